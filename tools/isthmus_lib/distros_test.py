#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of distributions on the build machine: archives that mean harm, OCI
layouts, the ext4 that is written and the tar that comes out of it, the store.
Needs e2fsprogs; no root, no network, no emulator."""

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import distro_command, distros, ext4, ext4_make  # noqa: E402
from isthmus_lib import mmdebstrap, oci, roottree           # noqa: E402
from isthmus_lib import tar_out, unpack                     # noqa: E402
from isthmus_lib.common import ROOT, Failure                # noqa: E402

TOOL = os.path.join(ROOT, "tools", "isthmus")
MIB = 1 << 20
DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHAR, BLOCK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in (
    (1, 7, roottree.NO_ID), (2, 6, 1000), (4, 5, roottree.NO_ID),
    (8, 4, 4000000000), (16, 7, roottree.NO_ID), (32, 0, roottree.NO_ID)))


def member(name, data=b"", kind=tarfile.REGTYPE, **more):
    """(header, content) of a tar's member."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write_tar(path, members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT,
                      errors="surrogateescape") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


class InFolder(unittest.TestCase):
    """Each test has a folder, which is the store's place too."""

    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.folder = self.temporary.name
        self.environ = {"XDG_DATA_HOME": self.path("data"),
                        "XDG_CACHE_HOME": self.path("cache"),
                        "TMPDIR": self.folder}
        patch = mock.patch.dict(os.environ, self.environ)
        patch.start()
        self.addCleanup(patch.stop)
        self.addCleanup(self.temporary.cleanup)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def tar(self, *members, name="t.tar"):
        return write_tar(self.path(name), members)

    def empty(self, *args, **more):
        tree = roottree.Tree(*args, **more)
        self.addCleanup(tree.__exit__)
        return tree

    def tree(self, *members, most=1 << 30, **more):
        tree = self.empty(most, **more)
        tree.add(self.tar(*members))
        return tree

    def tool(self, *words, status=0):
        done = subprocess.run([TOOL, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=120,
                              stdin=subprocess.DEVNULL, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def image(self, tree, mib=64):
        """The image of a tree; what we have written, before e2fsck may put
        anything right, must be in order."""
        path, check = self.path("i.img"), ext4_make._check

        def twice(image, how):
            if how == "-fyD":
                check(image, "-fn")
            check(image, how)
        with mock.patch.object(ext4_make, "_check", twice):
            ext4_make.make(path, tree, mib * MIB, "test")
        return path


# Members, part of what is said of them.
BAD = [
    ([member("/etc/x")], "absolute"),
    ([member("../x")], "has .."),
    ([member("a/../../x")], "has .."),
    ([member("a/..", kind=DIR)], "has .."),
    ([member("a", kind=LINK, linkname=".."), member("a/x")],
     "leads out of the root"),
    ([member("a", kind=LINK, linkname="b/../../c"), member("b", kind=DIR),
      member("a/x")], "leads out of the root"),
    ([member("a", kind=LINK, linkname="b"), member("b", kind=LINK,
                                                   linkname="a"),
      member("a/x")], "in a circle"),
    ([member("a", kind=LINK, linkname="a"), member("a/x")], "in a circle"),
    ([member("a", kind=LINK, linkname="")], "or to none"),
    ([member("a", kind=LINK, linkname="x" * 5000)], "4095"),
    ([member("f", b"x"), member("f/x")], "no folder on its way"),
    ([member("f", b"x"), member("l", kind=LINK, linkname="f"),
      member("l/x")], "no folder on its way"),
    ([member("a", kind=HARD, linkname="../../etc/passwd")], "has .."),
    ([member("a", kind=HARD, linkname="/etc/passwd")], "absolute"),
    ([member("a", kind=HARD, linkname="b")], "no file of the archive's"),
    ([member("d", kind=DIR), member("a", kind=HARD, linkname="d")],
     "no file of the archive's"),
    ([member("a", kind=HARD, linkname="a")], "no file of the archive's"),
    ([member("x", kind=BLOCK, devmajor=8)], "a block device, 8:0"),
    ([member("x", kind=CHAR, devmajor=1, devminor=1)],
     "a character device, 1:1"),
    ([member("x", kind=CHAR, devmajor=4096)], "is none"),
    ([member("", b"x")], "the root is no folder"),
    ([member("./", b"x")], "the root is no folder"),
    ([member("a" * 300)], "more than 255 bytes"),
    ([member("a/" * 2050 + "b")], "more than 4095 bytes"),
    ([member("a/" * 1200 + "b")], "1000 folders"),
    ([member("x", uid=0xffffffff)], "its owner"),
    ([member("x", gid=1 << 40)], "its owner"),
    ([member("x", kind=b"Z")], "not known"),
    ([member("x", b"12345")] * 3, "--size makes more"),
    ([member("x", pax_headers={"mtime": "nan"})], "its time 'nan'"),
    ([member("x", pax_headers={"mtime": "9" * 30})], "its time"),
    ([member("x", pax_headers={"SCHILY.acl.access": "user:lisa:rwx"})],
     "user:lisa:rwx"),
    ([member("x", pax_headers={"SCHILY.acl.access": "other:1:rwx"})],
     "other:1:rwx"),
    ([member("x", b"3\n0\n4\n2\n4\n8\n0\n".ljust(512, b"\0") + b"12345678",
             pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                          "GNU.sparse.realsize": "8"})], "pieces overlap"),
    ([member("x", b"1\n8\n4\n".ljust(512, b"\0") + b"1234",
             pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                          "GNU.sparse.realsize": "10"})], "not in it"),
    ([member("x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor":
                               "0", "GNU.sparse.realsize": str(1 << 60)})],
     "no tar archive"),
    ([member("x", b"0\n".ljust(512, b"\0"),
             pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                          "GNU.sparse.realsize": str(1 << 60)})],
     f"a file of {1 << 60} bytes"),
    ([member("x", pax_headers={"comment": "x" * (2 << 20)})],
     "an extended header of"),
]


class Archives(InFolder):
    def test_what_means_harm_is_refused_by_name(self):
        for members, part in BAD:
            with self.subTest(part=part, name=members[-1][0].name[:40]):
                with self.assertRaises(Failure) as caught:
                    self.tree(*members, most=12)
                said = str(caught.exception)
                self.assertIn(part, said)
                self.assertIn(self.path("t.tar"), said)
                self.assertLess(len(said), 800)
        self.assertEqual(os.listdir(self.folder), ["t.tar"])

    def test_what_is_no_archive(self):
        whole = read(self.tar(member("x", b"y" * 4000)))
        head = bytearray(whole[:512])
        head[124:136] = b"\xff" * 12            # a size below 0
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        for data, part in (
                (b"nonsense" * 200, "no tar archive"), (whole[:700],
                                                        "in the middle"),
                (bytes(head) + whole[512:], "no tar archive")):
            with self.subTest(part=part), \
                    self.assertRaisesRegex(Failure, part):
                self.empty(1 << 30).add(self.write("x", data))

    def test_a_way_through_links_stays_within(self):
        tree = self.tree(
            member("usr/lib", kind=DIR), member("lib", kind=LINK,
                                                linkname="usr/lib"),
            member("lib/a", b"1"), member("up", kind=LINK,
                                          linkname="/usr/../lib/./b"),
            member("usr/lib/b", kind=DIR), member("up/c", b"2"))
        self.assertEqual(tree.read("usr/lib/a"), b"1")
        self.assertEqual(tree.read("usr/lib/b/c"), b"2")
        self.assertTrue(tree.root.children["lib"].is_link())

    def test_usual_devices_and_all_by_wish(self):
        self.tree(member("dev/null", kind=CHAR, devmajor=1, devminor=3))
        tree = self.tree(member("sda", kind=BLOCK, devmajor=8), devices=True)
        self.assertEqual(tree.find(["sda"]).device, (8, 0))

    def test_compressed_by_its_content(self):
        data = read(self.tar(member("x", b"y" * 99999)))
        ways = [gzip.compress, bz2.compress, lzma.compress]
        if shutil.which("zstd"):
            ways.append(lambda d: subprocess.run(
                ["zstd", "-cq"], input=d, stdout=subprocess.PIPE,
                check=True).stdout)
        for way in ways:
            small = way(data)
            os.makedirs(self.path("w"), exist_ok=True)
            path = self.write("x.tar.gz", small)
            out = unpack.plain(path, self.path("w"), len(data))
            self.assertEqual(read(out), data)
            with self.assertRaisesRegex(Failure, "x.tar.gz: it becomes more"):
                unpack.plain(path, self.path("w"), len(data) - 1)
            self.write("x.tar.gz", small[:len(small) // 2])
            with self.assertRaisesRegex(Failure, "x.tar.gz: it is damaged"):
                unpack.plain(path, self.path("w"), len(data))


def everything(size=1 << 34):
    """A root with one of each; `size`: of the file with the most holes."""
    holes = b"".join(b"%d\n4096\n" % (8192 * i) for i in range(2000))
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    holes = b"2000\n" + holes
    return [
        member(".", kind=DIR, mode=0o755),
        member("etc", kind=DIR, mode=0o1777, uid=5, gid=70000, pax_headers={
            "SCHILY.acl.default": "user::rwx,user:1000:rw-,group::r-x,"
            "group:4000000000:r--,mask::rwx,other::---"}),
        member("etc/passwd", b"root:x:0:0\nanna:x:1000:1000\n", mode=0o640,
               uid=4000000000, gid=3, pax_headers={
                   "mtime": "1700000000.123456789"}),
        member("etc/again", kind=HARD, linkname="etc/passwd"),
        member("old", b"x", pax_headers={"mtime": "-1.5"}),
        member("new", b"x", pax_headers={"mtime": "4294967296.000000001"}),
        member("suid", b"x", mode=0o4755, pax_headers={
            "SCHILY.xattr.security.capability": "\1\0\0\2" + "\0" * 16,
            "SCHILY.xattr.user.bytes": "a\udcff\n=\0b"}),
        member("many", b"x", pax_headers={
            f"SCHILY.xattr.user.{'n' * i}": "v" * 50 * i
            for i in range(1, 11)}),
        member("acl", b"x", pax_headers={
            "SCHILY.acl.access": "user::rwx\nuser:lisa:rw-:1000\n"
            "group::r-x\ngroup:4000000000:r--\nmask::rwx\nother::---"}),
        member("short", kind=LINK, linkname="s" * 59, uid=7),
        member("long", kind=LINK, linkname="l" * 60),
        member("longer", kind=LINK, linkname="/" + "l" * 4000),
        member("\udcff\n\"", b"a name of any bytes"),
        member("n" * 255, b"x"), member("empty"),
        member("large", bytes(range(256)) * 40000),
        member("null", kind=CHAR, devmajor=1, devminor=3, mode=0o666),
        member("wide", kind=BLOCK, devmajor=259, devminor=0x12345),
        member("pipe", kind=FIFO, mode=0o600),
        member("holes", holes.ljust(-(-len(holes) // 512) * 512, b"\0")
               + b"h" * (2000 * 4096), pax_headers={
                   **sparse, "GNU.sparse.name": "holes",
                   "GNU.sparse.realsize": str(size)}),
        member("hole", b"1\n4194304\n0\n".ljust(512, b"\0"), pax_headers={
            **sparse, "GNU.sparse.name": "hole",
            "GNU.sparse.realsize": "4194304"}),
        member("crowd", kind=DIR),
        *(member(f"crowd/{'c' * (i % 40)}{i}", b"") for i in range(3000)),
    ]


class Images(InFolder):
    def test_all_that_a_root_has_comes_out_again(self):
        tree = self.tree(*everything(), devices=True)
        image = self.image(tree)
        out = self.path("out.tar")
        self.assertEqual(tar_out.write(image, out, "out.tar"), 0)
        again = self.empty(1 << 30, devices=True)
        again.add(out)
        del tree.root.children["lost+found"]
        before, after = self.all_of(tree), self.all_of(again)
        self.assertEqual(sorted(before), sorted(after))
        for name, what in before.items():
            self.assertEqual(what, after[name], name)
        self.assertEqual(tree.find(["acl"]).xattrs,
                         {"system.posix_acl_access": ACL})
        self.assertIs(again.find(["etc", "again"]),
                      again.find(["etc", "passwd"]))
        second = self.path("again.tar")
        tar_out.write(self.image(again), second, "again.tar")
        self.assertEqual(read(out), read(second))
        listed = subprocess.run(["tar", "--warning=no-unknown-keyword", "-tvf",
                                 out], stdout=subprocess.PIPE, check=True)
        self.assertEqual(len(listed.stdout.splitlines()), len(before))
        self.assertLess(os.path.getsize(out), 40 * MIB)

    @staticmethod
    def all_of(tree):
        found = {}
        for name, node in tree.nodes():
            content = hashlib.sha256()
            for at, where, count in node.pieces:
                content.update(b"%d " % at + node.source.pread(count, where))
            found[name] = (oct(node.mode), node.uid, node.gid, node.mtime,
                           node.device, node.target, node.xattrs, node.size,
                           content.hexdigest())
        return found

    @unittest.skipUnless(os.getuid() == 0, "only root unpacks owners")
    def test_gnu_tar_and_our_copy_say_the_same(self):
        members = [m for m in everything(1 << 25) if m[0].name not in (
            "wide", "null", "longer") and not any(
                k.startswith("SCHILY") for k in m[0].pax_headers)]
        image = self.image(self.tree(*members))
        tar_out.write(image, self.path("o.tar"), "o.tar")
        for name in ("tar", "copy"):
            os.mkdir(self.path(name))
        subprocess.run(["tar", "-C", self.path("tar"), "--numeric-owner",
                        "--warning=no-timestamp", "--warning="
                        "no-unknown-keyword", "-xpf", self.path("o.tar")],
                       check=True)
        self.assertEqual(ext4.extract(image, self.path("copy")), 0)
        differ = subprocess.run(
            ["tar", "-C", self.path("copy"), "--numeric-owner",
             "--warning=no-unknown-keyword", "-df", self.path("o.tar")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            text=True)
        self.assertEqual((differ.returncode, differ.stdout), (0, ""))
        info = os.stat(self.path("tar/holes"))
        self.assertEqual(info.st_size, 1 << 25)
        self.assertLess(info.st_blocks * 512, 9 * MIB)

    def test_folders_that_fill_their_blocks(self):
        """Entries of each sum of sizes about one block's, and two blocks'."""
        tree = roottree.Tree(MIB)
        for room in (*range(4040, 4080, 4), *range(8100, 8200, 4)):
            for i in range(room // 256):
                tree.put_file(f"{room}/{i:0248}", b"")
            if rest := room % 256:
                tree.put_file(f"{room}/" + "x" * max(rest - 8, 1), b"")
        self.image(tree)

    def test_too_small_is_said(self):
        tree = self.tree(member("x", b"y" * (20 * MIB)))
        with self.assertRaisesRegex(Failure, "/x: the image is too small"):
            ext4_make.make(self.path("i"), tree, 16 * MIB, "t")
        tree = self.tree(member("x", pax_headers={
            "SCHILY.xattr.user.x": "y" * 5000}))
        with self.assertRaisesRegex(Failure, "/x: its extended attributes"):
            ext4_make.make(self.path("i"), tree, 16 * MIB, "t")
        tree = self.tree(member("lost+found", b"y"))
        with self.assertRaisesRegex(Failure, "lost.found: it is no folder"):
            ext4_make.make(self.path("i"), tree, 16 * MIB, "t")


class Layout:
    """An OCI image layout, as others make one."""

    def __init__(self, path):
        self.path = path
        os.makedirs(f"{path}/blobs/sha256")
        self.put("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self.layers, self.diffs, self.manifests = [], [], []

    def put(self, name, value):
        with open(f"{self.path}/{name}", "w", encoding="utf-8") as f:
            json.dump(value, f)

    def blob(self, data, kind="x"):
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{self.path}/blobs/sha256/{digest}", "wb") as f:
            f.write(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}",
                "size": len(data)}

    def layer(self, *members, compress=gzip.compress):
        path = write_tar(f"{self.path}/t", members)
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        self.layers.append(self.blob(compress(data)))
        self.diffs.append("sha256:" + hashlib.sha256(data).hexdigest())

    def image(self, config=None, **more):
        """Ends an image of the layers so far."""
        whole = self.blob(json.dumps({
            "architecture": "amd64", "os": "linux", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": self.diffs}}).encode())
        entry = self.blob(json.dumps({
            "schemaVersion": 2, "config": whole,
            "layers": self.layers}).encode(),
            "application/vnd.oci.image.manifest.v1+json")
        self.manifests.append({**entry, **more})
        self.put("index.json", {"manifests": self.manifests})
        return entry


class Layouts(InFolder):
    """OCI layouts."""

    def layout(self):
        return Layout(self.path(f"oci{len(os.listdir(self.folder))}"))

    def fill(self, layout, tag=None, most=1 << 30):
        tree = self.empty(most)
        os.makedirs(self.path("w"), exist_ok=True)
        oci.Image(layout.path, tag).fill(tree, self.path("w"), most)
        return tree

    def test_layers_lie_over_each_other(self):
        layout = self.layout()
        layout.layer(
            member("usr/lib/a", b"a"), member("lib", kind=LINK,
                                              linkname="usr/lib"),
            member("etc/gone", b"x"), member("etc/stays", b"1"),
            member("opaque/old", b"x"), member("opaque/deep/old", b"x"),
            member("kept", b"same"), member("name", kind=HARD,
                                            linkname="kept"),
            member("file", b"x"), member("folder/in", b"x"),
            member("all/one", b"x"), compress=bytes)
        layout.layer(
            member("lib/b", b"b"), member("etc/.wh.gone"),
            member("opaque/deep/new", b"n"), member("opaque/.wh..wh..opq"),
            member("opaque/new", b"n"), member("kept", b"other"),
            member("file/now", b"f"), member(".wh.file"),
            member("folder", b"f"), member(".wh.all"), member("all/two", b"2"),
            member("not/.wh.there"))
        tree = self.fill_with(layout)
        for name, data in (("usr/lib/a", b"a"), ("usr/lib/b", b"b"),
                           ("etc/gone", None), ("etc/stays", b"1"),
                           ("opaque/old", None), ("opaque/deep/old", None),
                           ("opaque/new", b"n"), ("opaque/deep/new", b"n"),
                           ("kept", b"other"), ("name", b"same"),
                           ("file/now", b"f"), ("folder", b"f"),
                           ("all/one", None), ("all/two", b"2")):
            self.assertEqual(tree.read(name), data, name)
        self.assertNotIn("not", tree.root.children)
        self.assertFalse([n for n, _ in tree.nodes() if ".wh." in n])

    def fill_with(self, layout):
        layout.image()
        return self.fill(layout)

    def test_whiteouts_do_not_reach_their_own_layer(self):
        layout = self.layout()
        layout.layer(member("a/old", b"x"))
        layout.layer(member("a/new", b"n"), member("a/.wh.new"))
        self.assertEqual(self.fill_with(layout).read("a/new"), b"n")

    def test_settings_and_an_index_in_an_index(self):
        layout = self.layout()
        layout.layer(member("etc/passwd", b"root:x:0:0\nweb:x:33:33\n"))
        entry = layout.image({"Entrypoint": ["/bin/app", "-x"], "Cmd": ["y"],
                              "Env": ["A=b c"], "User": "33:33",
                              "WorkingDir": "/srv"})
        inner = layout.blob(json.dumps({"manifests": [
            {**entry, "platform": {"os": "linux", "architecture": "arm64"},
             "digest": "sha256:" + "0" * 64},
            {**entry, "platform": {"os": "linux", "architecture": "amd64"}},
        ]}).encode(), oci.INDEXES[0])
        layout.put("index.json", {"manifests": [inner]})
        image = oci.Image(layout.path)
        self.assertEqual(image.settings(), {
            "entrypoint": ["/bin/app", "-x"], "command": ["y"],
            "environment": ["A=b c"], "user": "33:33", "directory": "/srv"})
        distro_command.command(types.SimpleNamespace(
            verb="import", source=layout.path, name="app", tag=None, size=64,
            user=None, devices=False))
        made = distros.find("app")
        self.assertEqual(made.settings()["user"], "web")
        self.assertEqual(made.settings()["entrypoint"], ["/bin/app", "-x"])
        volume = ext4.Volume(made.image)
        root = dict(volume.entries(volume.inode(2)))
        etc = dict(volume.entries(volume.inode(root[b"etc"])))
        self.assertEqual(volume.content(volume.inode(
            etc[b"isthmus-distro"])), b"user=web\n")
        volume.close()

    def test_several_images_have_tags(self):
        layout = self.layout()
        layout.layer(member("one", b"1"))
        layout.image(annotations={"org.opencontainers.image.ref.name": "1"})
        layout.layer(member("two", b"2"))
        layout.image(annotations={"org.opencontainers.image.ref.name": "2"})
        with self.assertRaisesRegex(Failure, "several images, 1, 2; --tag"):
            self.fill(layout)
        self.assertNotIn("two", self.fill(layout, "1").root.children)
        self.assertIn("two", self.fill(layout, "2").root.children)
        with self.assertRaisesRegex(Failure, "no image .* of the name 3"):
            self.fill(layout, "3")

    def damaged(self, what, part, *members):
        """A good layout in which what() changes something is refused."""
        layout = self.layout()
        layout.layer(member("a", b"1"), *members)
        layout.image()
        what(layout)
        with self.assertRaisesRegex(Failure, part) as caught:
            self.fill(layout)
        self.assertIn(layout.path, str(caught.exception))

    @staticmethod
    def change(layout, entry, data=None):
        path = f"{layout.path}/blobs/sha256/" + entry["digest"][7:]
        if data is None:
            os.unlink(path)
            return
        with open(path, "r+b") as f:
            f.seek(0, os.SEEK_SET if data else os.SEEK_END)
            f.write(data or b"more")

    def test_what_is_not_what_its_digest_says(self):
        self.damaged(lambda l: self.change(l, l.layers[0], b"\x1f\x8c"),
                     "another digest: it is damaged")
        self.damaged(lambda l: self.change(l, l.layers[0], b""),
                     "bytes, and not")
        self.damaged(lambda l: self.change(l, l.layers[0]), "No such file")
        self.damaged(lambda l: self.change(l, l.manifests[0], b"{"*5),
                     "another digest")

        def other_diff(layout):
            layout.diffs[0] = "sha256:" + "0" * 64
            layout.manifests.clear()
            layout.image()
        self.damaged(other_diff, "layer 1 unpacked has another digest")

        def one_more(layout):
            layout.diffs.append(layout.diffs[0])
            layout.manifests.clear()
            layout.image()
        self.damaged(one_more, "1 layers, and the digests of 2")

    def test_what_leads_out_of_the_folder(self):
        secret = self.write("secret", b"{}")

        def outside(layout):
            layout.put("index.json", {"manifests": [
                {"digest": "sha256:../../../../secret", "size": 2}]})
        self.damaged(outside, "is no digest")

        def link(layout):
            self.change(layout, layout.layers[0])
            os.symlink(secret, f"{layout.path}/blobs/sha256/"
                       + layout.layers[0]["digest"][7:])
        self.damaged(link, "is no regular file")
        self.damaged(lambda l: None, "has ..", member("../x", b"1"))
        self.damaged(lambda l: None, "what has no name", member("a/.wh..."))

    def test_what_is_no_layout(self):
        self.damaged(lambda l: os.unlink(f"{l.path}/oci-layout"),
                     "no OCI image layout")
        self.damaged(lambda l: l.put("oci-layout",
                                     {"imageLayoutVersion": "2.0"}),
                     "version '2.0'")
        self.damaged(lambda l: l.put("index.json", {"manifests": []}),
                     "'manifests' of index.json is empty")
        self.damaged(lambda l: l.put("index.json", [1]), "no JSON object")
        self.damaged(lambda l: l.put("index.json", {"manifests": [{
            **l.manifests[0], "platform": {"os": "windows"}}]}),
            "no image for Linux on amd64")

        def circle(layout):
            entry = layout.manifests[0]
            for _ in range(oci.DEPTH_MAX + 2):
                entry = layout.blob(json.dumps(
                    {"manifests": [entry]}).encode())
            layout.put("index.json", {"manifests": [entry]})
        self.damaged(circle, "more than 4 indexes")


class Store(InFolder):
    """What is there, what is not, and who has it."""

    def take(self, name, *more, status=0):
        tar = self.tar(member("bin/sh", b"x", mode=0o755))
        return self.tool("distro", "import", tar, name, "--size", "64", *more,
                         status=status)

    def test_from_an_archive_to_its_end(self):
        self.take("one")
        self.take("two")
        self.assertEqual(self.tool("distro", "default").stdout, "one\n")
        self.tool("distro", "default", "two")
        listed = self.tool("distro", "list").stdout.splitlines()
        self.assertRegex(listed[0], r"^  one +\d+ of 64 MiB  user root  ")
        self.assertRegex(listed[1], r"^\* two ")
        out = self.path("x.tar.gz")
        self.tool("distro", "export", "two", out)
        with tarfile.open(out) as tar:
            self.assertEqual(tar.getnames(), [".", "bin", "bin/sh", "etc",
                                              "etc/isthmus-distro"])
        self.assertIn("no default distribution now",
                      self.tool("distro", "remove", "two").stderr)
        self.assertEqual(distros.names(), ["one"])
        self.assertIn("makes one of one",
                      self.tool("distro", "default", status=2).stderr)
        self.assertIn("a distribution 'one' already",
                      self.take("one", status=2).stderr)
        self.assertEqual(sorted(os.listdir(distros.folder())),
                         ["lock", "one"])

    def test_settings_come_back_with_the_archive(self):
        tar = self.tar(member("etc/passwd", b"root:x:0:0\nanna:x:1000:1000\n"))
        self.tool("distro", "import", tar, "a", "--user", "anna", "--size",
                  "64")
        self.tool("distro", "export", "a", self.path("a.tar"))
        self.tool("distro", "import", self.path("a.tar"), "b", "--size", "64")
        self.assertEqual(distros.find("b").settings()["user"], "anna")
        self.assertIn("nobody is called so", self.tool(
            "distro", "import", tar, "c", "--user", "bert", status=2).stderr)
        self.assertEqual(distros.names(), ["a", "b"])

    def test_who_has_it_has_it_alone(self):
        self.take("one")
        one = distros.find("one")
        with one.used():
            for words in (("remove", "one"), ("export", "one",
                                              self.path("o.tar"))):
                self.assertIn("one is in use by another isthmus", self.tool(
                    "distro", *words, status=1).stderr)
        self.assertFalse(os.path.exists(self.path("o.tar")))
        with one.used(shared=True), one.used(shared=True), \
                self.assertRaises(Failure), one.used():
            pass

    def test_one_name_is_made_once(self):
        with distros.new("a") as folder:
            self.assertEqual(distros.names(), [])
            with self.assertRaisesRegex(Failure, "making 'a' just now"):
                with distros.new("a"):
                    pass
            with distros.new("a-b") as other:
                distros.write_settings(other, user="root")
            distros.write_settings(folder, user="root")
        self.assertEqual(distros.names(), ["a", "a-b"])

    def test_a_failure_leaves_nothing(self):
        with self.assertRaises(KeyboardInterrupt), distros.new("a") as folder:
            distros.write_settings(folder, user="root")
            raise KeyboardInterrupt
        self.assertEqual(os.listdir(distros.folder()), ["lock"])

    def test_a_killed_run_is_cleared_up_by_the_next(self):
        child = os.fork()
        if child == 0:
            with distros.new("a"):
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        self.assertEqual(len(os.listdir(distros.folder())), 2)
        self.take("b")
        self.assertEqual(sorted(os.listdir(distros.folder())),
                         ["b", "default", "lock"])

    def test_names_of_files(self):
        for source, name in (("/x/Debian_12.tar.gz", "debian-12"),
                             ("a.tgz", "a"), ("oci/", "oci"),
                             ("alpine-3.19.tar", "alpine-3.19"),
                             ("09-x.tar.xz", "x"), ("n" * 40, "n" * 24)):
            self.assertEqual(distro_command.name_of(source), name)
        with self.assertRaisesRegex(Failure, "be called"):
            distro_command.name_of("12.tar")

    def test_archives_of_something_else(self):
        for members, part in (
                ([member("manifest.json", b"[]")], "an image in an archive"),
                ([member("rootfs/bin/sh", b"")], "first names are rootfs"),
                ([], "no root file system|no tar archive")):
            self.assertRegex(self.tool(
                "distro", "import", self.tar(*members), "x",
                status=2).stderr, part)
        self.assertEqual(distros.names(), [])


# In mmdebstrap's place: writes down how it was called, and does what the file
# `do` says.
FAKE = """#!/bin/sh
printf '%s\\n' "$@" > "$FAKE/called-$(ls "$FAKE" | wc -l)"
. "$FAKE/do"
"""


class Debian(InFolder):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("fake"))
        os.mkdir(self.path("etc"))
        self.write("etc/os-release", b'VERSION_CODENAME="bookworm"\n')
        self.write("etc/apt/sources.list",
                   b"deb http://m.example/debian bookworm main\n"
                   b"deb http://m.example/sec bookworm-security main\n")
        self.write("bin/mmdebstrap", FAKE.encode())
        os.chmod(self.path("bin/mmdebstrap"), 0o755)
        self.write("key", b"")
        for name in ("resolv.conf", "dpkg/dpkg.cfg.d/99mmdebstrap",
                     "apt/apt.conf.d/99mmdebstrap", "machine-id"):
            self.write("root/etc/" + name, b"x")
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            os.makedirs(self.path("root/" + name), 0o700)
        with tarfile.open(self.path("fake.tar"), "w") as tar:
            tar.add(self.path("root"), ".")
        os.environ.update(
            PATH=self.path("bin") + ":" + os.environ["PATH"],
            FAKE=self.path("fake"), TAR=self.path("fake.tar"))
        for name, value in (("KEYRING", self.path("key")),
                            ("missing", lambda: None)):
            patch = mock.patch.object(mmdebstrap, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(mmdebstrap.debian, "ETC", self.path("etc"))
        patch.start()
        self.addCleanup(patch.stop)
        mmdebstrap.debian.release.cache_clear()
        self.addCleanup(mmdebstrap.debian.release.cache_clear)

    def build(self, do, **more):
        self.write("fake/do", do.encode())
        args = {"what": "debian", "name": "d", "release": None, "packages": "",
                "size": 64, "user": None, "init": "systemd", **more}
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                distro_command.command(types.SimpleNamespace(
                    verb="build", **args))
            except Failure as failure:
                said.write(str(failure))
        calls = sorted(n for n in os.listdir(self.path("fake"))
                       if n.startswith("called"))
        texts = []
        for name in calls:
            with open(self.path("fake/" + name), encoding="utf-8") as f:
                texts.append(f.read().splitlines())
            os.unlink(self.path("fake/" + name))
        return texts, said.getvalue()

    GOOD = 'for a; do case $a in *root.tar) cp "$TAR" "$a";; esac; done\n'
    READ = 'touch "$XDG_CACHE_HOME/isthmus/distro-bookworm/lists/InRelease"\n'

    def test_a_root_that_knows_nothing_of_here(self):
        (call,), _ = self.build(self.GOOD, user="anna", packages="git,gdb")
        self.assertIn("bookworm", call)
        self.assertIn(f"deb [signed-by={self.path('key')}] "
                      "http://m.example/sec bookworm-security main", call)
        include = next(w for w in call if w.startswith("--include="))
        self.assertTrue(include.endswith(",git,gdb"))
        self.assertTrue(any("useradd" in w and "anna" in w for w in call))
        made = distros.find("d")
        self.assertEqual(made.settings()["user"], "anna")
        self.assertEqual(made.settings()["release"], "Debian 12")
        os.mkdir(self.path("out"))
        ext4.extract(made.image, self.path("out"))
        found = {os.path.relpath(os.path.join(top, n), self.path("out"))
                 for top, _, files in os.walk(self.path("out"))
                 for n in files}
        self.assertEqual(found, {
            "etc/hostname", "etc/hosts", "etc/machine-id",
            "etc/isthmus-distro", *(
                f"etc/systemd/system/{n}.service"
                for n in distro_command.NO_SERVICES)})
        self.assertEqual(os.path.getsize(self.path("out/etc/machine-id")), 0)
        self.assertEqual(os.stat(self.path("out/var/lib/apt/lists")).st_mode,
                         stat.S_IFDIR | 0o755)

    def test_one_with_another_init(self):
        table = b"id:2:initdefault:\n1:23:respawn:/sbin/getty 38400 tty1\n"
        with tarfile.open(self.path("fake.tar"), "a") as tar:
            tar.addfile(*[io.BytesIO(f) if isinstance(f, bytes) else f
                          for f in member("./etc/inittab", table)])
        for init, package, path in (("sysv", "sysvinit-core", "/sbin/init"),
                                    ("none", "netbase", "none")):
            (call,), _ = self.build(self.GOOD, name=init, init=init)
            include = next(w for w in call if w.startswith("--include="))
            self.assertIn(package, include)
            self.assertNotIn("systemd", include)
            made = distros.find(init)
            self.assertEqual(made.settings()["init"], path)
            os.mkdir(self.path(init))
            ext4.extract(made.image, self.path(init))
            self.assertFalse(os.path.exists(self.path(f"{init}/etc/systemd")))
            self.assertEqual(read(self.path(f"{init}/etc/inittab")),
                             table.replace(b"1:23", b"#1:23"))

    def test_lists_are_read_when_they_are_old_or_do_not_do(self):
        (first,), _ = self.build(self.READ + self.GOOD)
        self.assertNotIn("--skip=update", first)
        (second,), _ = self.build(self.GOOD, name="e")
        self.assertIn("--skip=update", second)
        calls, _ = self.build(
            'case "$*" in *skip=update*) echo "E: gone"; exit 1; esac\n'
            + self.GOOD, name="f")
        self.assertEqual(["--skip=update" in c for c in calls],
                         [True, False])
        later = time.time() + mmdebstrap.LISTS_LAST + 9
        with mock.patch.object(time, "time", lambda: later):
            calls, said = self.build(
                'case "$*" in *skip=update*) ;; *) echo "E: no network"; '
                "exit 1; esac\n" + self.GOOD, name="g")
        self.assertEqual(["--skip=update" in c for c in calls],
                         [False, True])
        self.assertIn("it failed: no network", said)
        self.assertEqual(distros.names(), ["d", "e", "f", "g"])

    def test_what_cannot_be_made_says_why(self):
        calls, said = self.build(
            "echo 'E: Unable to locate package nonesuch'; exit 1\n",
            packages="nonesuch")
        self.assertEqual(len(calls), 1)
        self.assertIn("bookworm could be made: Unable to locate package "
                      "nonesuch", said)
        for more, part in (({"packages": "a;b"}, "'a;b' is no package"),
                           ({"user": "a b"}, "cannot be a user's name"),
                           ({"name": "A"}, "cannot be a distribution's"),
                           ({"name": "a" * 25}, "at most 24")):
            calls, said = self.build(self.GOOD, **more)
            self.assertEqual(calls, [])
            self.assertIn(part, said)
        self.assertEqual(distros.names(), [])

    @unittest.skipUnless(os.getuid() == 0, "only root mounts")
    def test_what_it_has_mounted_is_not_emptied(self):
        """It ended amid its work, with a folder of this computer's mounted in
        the one that is removed after it."""
        canary = self.write("canary/file", b"x")
        _, said = self.build(
            'mkdir "$TMPDIR/root"\n'
            f'mount --bind "{self.path("canary")}" "$TMPDIR/root" || exit 3\n'
            'test -e "$TMPDIR/root/file" || exit 4\n'
            "echo 'E: killed'; exit 9\n")
        self.assertIn("could be made: killed", said)
        self.assertTrue(os.path.exists(canary))
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            self.assertNotIn(self.folder, f.read())
        self.assertFalse([n for n in os.listdir(self.folder)
                          if n.startswith("isthmus-run-")])


if __name__ == "__main__":
    unittest.main()
