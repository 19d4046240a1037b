# SPDX-License-Identifier: MIT
"""Files that mke2fs put into a file system come out of it as they were."""

import argparse
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import datadisk, ext4, volume  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402

OLD = 1_000_000_000_123_456_789
# A user and a group beside the owner's: as setfacl would say it.
ACL = b"\2\0\0\0" + b"".join(
    tag.to_bytes(2, "little") + perm.to_bytes(2, "little")
    + owner.to_bytes(4, "little") for tag, perm, owner in (
        (1, 6, 0xffffffff), (2, 4, 1234), (4, 4, 0xffffffff),
        (8, 6, 77), (16, 6, 0xffffffff), (32, 0, 0xffffffff)))


def listing(folder):
    """{path: all that is known of it}, links by who they are shared with."""
    found, first = {}, {}
    for top, dirs, files in os.walk(folder):
        for name in [""] + dirs + files:
            path = os.path.join(top, name) if name else top
            info = os.lstat(path)
            short = os.path.relpath(path, folder)
            if short == "lost+found":
                continue
            content = None
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as f:
                    content = f.read()
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            same = first.setdefault(info.st_ino, short) \
                if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode) else ""
            found[short] = (
                info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns,
                info.st_rdev, content, same,
                {n: os.getxattr(path, n, follow_symlinks=False)
                 for n in os.listxattr(path, follow_symlinks=False)})
    return found


def fill(folder):
    """One of each kind, with what can be known of it."""
    def path(name):
        return os.path.join(folder, name)

    def write(name, data, at=0):
        with open(path(name), "wb") as f:
            f.seek(at)
            f.write(data)

    os.makedirs(path("d/e"))
    write("empty", b"")
    write("plain", b"hello\n")
    write("hole", b"end", 5_000_000)
    write("\N{SNOWMAN}", os.urandom(300_000))
    for i in range(300):
        write(f"d/file-{i:03}-with-a-name-that-takes-room", b"%d" % i)
    with open(path("pieces"), "wb") as f:
        for i in range(600):
            f.seek(i * 16384)
            f.write(b"piece %d" % i)
    os.symlink("plain", path("link"))
    os.symlink("x/" * 100, path("long-link"))
    os.link(path("plain"), path("d/again"))
    os.mkfifo(path("fifo"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path("socket"))
    os.chmod(path("plain"), 0o4711)
    os.chmod(path("d/e"), 0o1777)
    for name in ("user.short", "user.a-rather-long-name"):
        os.setxattr(path("plain"), name, b"value of it")
    os.setxattr(path("hole"), "user.large", b"v" * 900)
    if os.geteuid() == 0:
        os.chown(path("hole"), 70_000, 80_000)
        os.chown(path("link"), 5, 6, follow_symlinks=False)
        os.mknod(path("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(path("disk"), stat.S_IFBLK | 0o600, os.makedev(300, 70_000))
        os.setxattr(path("d"), "trusted.t", b"\0\1")
        os.setxattr(path("empty"), "system.posix_acl_access", ACL)
    for top, dirs, files in os.walk(folder, topdown=False):
        for name in files + dirs:
            os.utime(os.path.join(top, name), ns=(OLD, OLD),
                     follow_symlinks=False)


@unittest.skipUnless(shutil.which("mke2fs"), "there is no mke2fs")
class Ext4(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.folder = self.temporary.name
        self.image = os.path.join(self.folder, "image")

    def tearDown(self):
        self.temporary.cleanup()

    def out(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def make(self, *options):
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options,
                        self.image, "64M"], check=True,
                       stderr=subprocess.DEVNULL)

    def test_all_comes_back(self):
        source = self.out("source")
        fill(source)
        want = listing(source)
        for number, options in enumerate((
                [], ["-b", "4096"], ["-b", "1024", "-O", "^64bit"],
                ["-b", "2048", "-O", "^metadata_csum,^has_journal"])):
            self.make(*options, "-d", source)
            target = self.out(f"out{number}")
            self.assertEqual(ext4.extract(self.image, target), 0)
            found = listing(target)
            for one in (want, found):       # mke2fs keeps seconds, and
                one.pop(".", None)          # not the top folder's own
            seconds = [{p: v[:3] + (v[3] // 10**9,) + v[4:]
                        for p, v in one.items()} for one in (want, found)]
            self.maxDiff = 2000
            self.assertEqual(seconds[0].keys(), seconds[1].keys())
            for path, values in seconds[0].items():
                self.assertEqual(values, seconds[1][path], path)
            hole = os.stat(os.path.join(target, "hole"))
            self.assertLess(hole.st_blocks * 512, 200_000)
            os.unlink(self.image)

    def test_large_folders_get_trees(self):
        source = self.out("source")
        for name in ("large", "small"):
            os.mkdir(os.path.join(source, name))
        for i in range(500):
            with open(os.path.join(source, "large", f"some-name-{i}"), "w",
                      encoding="ascii") as f:
                f.write(str(i))
        disk = os.path.join(self.folder, "disk")
        volume.make_ext4(self.image, source)
        datadisk.make(argparse.Namespace(path=disk, sector=512), 64, True,
                      source)
        for number, image in enumerate((self.image, disk)):
            said = subprocess.run(["debugfs", "-R", "htree /large", image],
                                  stdout=subprocess.PIPE, check=True,
                                  stderr=subprocess.DEVNULL).stdout
            self.assertIn(b"Root node dump", said)
            target = self.out(f"out{number}")
            ext4.extract(image, target)
            large = os.path.join(target, "large")
            self.assertEqual(sorted(os.listdir(large)),
                             sorted(f"some-name-{i}" for i in range(500)))
            with open(os.path.join(large, "some-name-77"), "rb") as f:
                self.assertEqual(f.read(), b"77")

    def test_what_is_not_known_is_refused(self):
        with open(self.image, "wb") as f:
            f.truncate(1 << 20)
        with self.assertRaisesRegex(Failure, "no ext4"):
            ext4.extract(self.image, self.out("a"))
        os.unlink(self.image)
        self.make("-O", "inline_data")
        with self.assertRaisesRegex(Failure, "not known"):
            ext4.extract(self.image, self.out("b"))


if __name__ == "__main__":
    unittest.main()
