#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Linux's program `distro` on this computer: init itself, in a mount namespace
where /mnt/host is an ext4 of the test's own, and then a volume that our server
serves (qemu-test/suites/serve.c). Conversions both ways of 7,000 files, killed
again and again; ends in the middle of a switch; archives, hostile ones among
them; removal. What must be equal is compared here, by other code than the
program's. For root, and where loop devices are; else it is skipped."""

import fcntl
import hashlib
import io
import os
import random
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
INIT = os.path.join(ROOT, "build/guest/init")
MKE2FS = os.path.join(ROOT, "build/deps/mke2fs")
TAR = os.path.join(ROOT, "build/deps/tar/tar")
SERVE = os.path.join(ROOT, "build/suites/serve")
HOST = "/mnt/host"
DISTROS = HOST + "/distros"
FILES = 7000
KILLS = 8
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in (
        (1, 6, 0xffffffff), (2, 5, 1000), (4, 4, 0xffffffff),
        (16, 5, 0xffffffff), (32, 0, 0xffffffff)))
CAPABILITY = struct.pack("<IIIII", 0x2000000, 0x400, 0, 0, 0)


def check(right, what):
    if not right:
        raise SystemExit(f"distro: {what}")


def distro(*words, status=0):
    """Runs the program; what it says."""
    done = subprocess.run(["distro", *words], executable=INIT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=600, check=False)
    check(done.returncode == status,
          f"distro {' '.join(words)}: status {done.returncode}: "
          f"{done.stdout[-600:]}")
    return done.stdout


class Tree:
    """Makes a tree of entries of every kind, always the same for a seed."""

    def __init__(self, root, count, seed=1):
        self.random = random.Random(seed)
        self.folders, self.files, self.made = [root], [], []
        os.makedirs(root)
        for number in range(count):
            self.entry(number)
        for path in reversed(self.made):
            self.dress(path)

    def entry(self, number):
        r = self.random
        path = os.path.join(r.choice(self.folders), str(number) + r.choice(
            ["", "é", " x", "\n", "-", "n" * 150]))
        if len(path) > 2000:
            path = f"{self.folders[0]}/{number}"
        kind = r.random()
        if kind < .08:
            os.mkdir(path)
            self.folders.append(path)
        elif kind < .65:
            self.file(path, kind > .6)
        elif kind < .75 and self.files:
            os.link(r.choice(self.files), path)
            return
        elif kind < .85:
            os.symlink(r.choice(["/etc/passwd", "../..", "x" * 900]), path)
        else:
            mode = r.choice([stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
            os.mknod(path, mode | 0o600, os.makedev(r.randrange(300),
                                                    r.randrange(9999)))
        self.made.append(path)

    def file(self, path, sparse):
        r = self.random
        with open(path, "wb") as f:
            f.write(r.randbytes(r.choice([0, 1, 4096, 9000])))
            if sparse:
                f.seek(r.randrange(1 << 24))
                f.write(r.randbytes(5000))
                f.truncate(r.randrange(1 << 24, 1 << 25))
        self.files.append(path)

    def dress(self, path):
        r = self.random
        os.chown(path, r.randrange(70000), r.randrange(70000),
                 follow_symlinks=False)
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            os.chmod(path, r.choice([0, 0o644, 0o4755, 0o2755, 0o1777]))
        if r.random() < .2 and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            os.setxattr(path, "user.u", r.randbytes(r.randrange(300)))
            os.setxattr(path, "trusted.t", b"")
            os.setxattr(path, "system.posix_acl_access", ACL)
        if r.random() < .1 and stat.S_ISREG(mode):
            os.setxattr(path, "security.capability", CAPABILITY)
        if r.random() < .1 and stat.S_ISDIR(mode):
            os.setxattr(path, "system.posix_acl_default", ACL)
        when = r.randrange(2 ** 31 * 10 ** 9)
        os.utime(path, ns=(when, when), follow_symlinks=False)


def content(path, size):
    """A hash of what is no zero in it: not all know each other's holes."""
    digest = hashlib.sha1()
    with open(path, "rb") as f:
        at = 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA) & ~4095
            except OSError:
                break
            piece = os.pread(f.fileno(), 4096, at)
            if piece.strip(b"\0"):
                digest.update(b"%d" % at + piece)
            at += 4096
    return digest.digest()


def look(root, tar=False):
    """All that counts of a tree, by name; without what tar leaves out."""
    found, names = {}, {}
    for folder, subs, files in os.walk(root):
        subs.sort()
        for name in sorted(subs + files) + ([""] if folder == root else []):
            path = os.path.join(folder, name)
            st, short = os.lstat(path), os.path.join(folder, name)[len(root):]
            if short == "/lost+found" or stat.S_ISSOCK(st.st_mode) and tar:
                continue
            what = [st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns]
            if not stat.S_ISDIR(st.st_mode):
                what += [st.st_rdev, st.st_nlink, names.setdefault(
                    st.st_ino, short)]
            if stat.S_ISREG(st.st_mode):
                what += [st.st_size, content(path, st.st_size)]
            elif stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            what.append(sorted(
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in os.listxattr(path, follow_symlinks=False)))
            found[short] = what
    return found


def same(root, expected, what, tar=False):
    found = look(root, tar)
    names = [name for name in {**found, **expected}
             if found.get(name) != expected.get(name)]
    check(not names, f"{what}: {len(names)} entries differ, as "
          + "".join(f"{name!r}: {expected.get(name)} was, "
                    f"{found.get(name)} is" for name in names[:1]))


def blocks(path):
    total = 0
    for folder, subs, files in os.walk(path):
        for name in subs + files:
            total += os.lstat(os.path.join(folder, name)).st_blocks
    return total


def in_image(image, act):
    where = "/mnt/image"
    os.makedirs(where, exist_ok=True)
    # The program has let go of it, or is about to.
    for _ in range(50):
        done = subprocess.run(["mount", "-o", "loop,ro", image, where],
                              check=False)
        if done.returncode == 0:
            break
        time.sleep(.1)
    act(where)
    subprocess.run(["umount", where], check=True)
    done = subprocess.run(["e2fsck", "-fn", image], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    check(done.returncode == 0, f"e2fsck of {image}: {done.stdout[-900:]}")


def convert(name, form, kills, more=()):
    """Kills it that often, at any time, and then lets it end. Of the folder
    nothing is left but the form, and `more`."""
    for _ in range(kills):
        with subprocess.Popen(
                ["distro", "convert", name, "--to", form], executable=INIT,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            time.sleep(random.random() * 1.5)
            process.kill()
            said = process.stderr.read()
        check(process.returncode in (0, -9), f"after a kill: {said}")
    distro("convert", name, "--to", form)
    folder = f"{DISTROS}/{name}"
    wanted = {{"files": "root", "disk": "disk.img"}[form], *more}
    check(set(os.listdir(folder)) == wanted,
          f"left in the folder: {os.listdir(folder)}")


def conversions():
    root = f"{DISTROS}/big/root"
    Tree(root, FILES)
    expected, room = look(root), blocks(root)
    convert("big", "disk", KILLS)
    in_image(f"{DISTROS}/big/disk.img",
             lambda where: same(where, expected, "converted to a disk"))
    check("image" in distro("list"), "the list")
    convert("big", "files", KILLS)
    same(root, expected, "and back to files")
    check(blocks(root) < room * 1.1, f"{blocks(root)} blocks, of {room}")
    check("files already" in distro("convert", "big", "--to", "files"),
          "converted to what it is")


def original_changes():
    """Where a conversion was begun, its original has changed since."""
    root = f"{DISTROS}/small/root"
    Tree(root, 300, 2)
    convert("small", "disk", 0)
    convert("small", "files", 0)
    with subprocess.Popen(["distro", "convert", "small", "--to", "disk"],
                          executable=INIT, stdout=subprocess.DEVNULL) as p:
        time.sleep(.15)
        p.kill()
    # Once it says so, the new form is what counts.
    if not os.path.exists(f"{DISTROS}/small/switch") and os.path.exists(root):
        os.mkdir(f"{root}/later")
        with open(f"{root}/later/file", "wb") as f:
            f.write(b"later")
        expected = look(root)
        convert("small", "disk", 0)
        in_image(f"{DISTROS}/small/disk.img", lambda where: same(
            where, expected, "changed meanwhile"))
        convert("small", "files", 0)


def switches():
    """A power cut in the switch, before each of its steps."""
    folder = f"{DISTROS}/small"
    for steps in range(3):
        convert("small", "files", 0)
        convert("small", "disk", 0)
        # As it was: the old form beside the new one.
        os.mkdir(f"{folder}/root")
        with open(f"{folder}/switch", "w", encoding="ascii") as f:
            f.write("disk")
        if steps == 0:
            os.rename(f"{folder}/disk.img", f"{folder}/disk.img.new")
        if steps == 2:
            os.rename(f"{folder}/root", f"{folder}/root.old")
        distro("convert", "small", "--to", "disk")
        check(os.listdir(folder) == ["disk.img"],
              f"a switch cut at {steps}: {os.listdir(folder)}")
    convert("small", "files", 0)
    # Somebody else's file in the place of the new form stays.
    with open(f"{folder}/disk.img", "wb") as f:
        f.write(b"mine")
    said = distro("convert", "small", "--to", "disk", status=1)
    check("disk.img is there" in said, said)
    os.unlink(f"{folder}/disk.img")


def no_room():
    """An image for which there is no room is not begun."""
    volume = os.statvfs(HOST)
    with open(f"{HOST}/most", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, volume.f_bavail * volume.f_frsize
                           - (6 << 20))
    said = distro("convert", "small", "--to", "disk", status=1)
    check("room on the host's volume" in said, said)
    os.unlink(f"{HOST}/most")
    check(os.listdir(f"{DISTROS}/small") == ["root"], "it was begun")


def locked():
    """What runs stays as it is."""
    os.makedirs("/run/distro/small", exist_ok=True)
    with open("/run/distro/small/lock", "w", encoding="ascii") as f:
        fcntl.fcntl(f, fcntl.F_OFD_SETLK,
                    struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
        for words in (("convert", "small", "--to", "disk"),
                      ("export", "small", f"{HOST}/x.tar"),
                      ("remove", "small", "--yes")):
            said = distro(*words, status=1)
            check("it runs" in said, said)
    check(os.path.isdir(f"{DISTROS}/small/root"), "it was removed")


def archives():
    root = f"{DISTROS}/small/root"
    os.makedirs(f"{root}/etc", exist_ok=True)
    os.makedirs(f"{root}/bin", exist_ok=True)
    with open(f"{root}/etc/isthmus-distro", "w", encoding="ascii") as f:
        f.write("user=anna\n")
    expected = look(root, tar=True)
    for form, end in (("files", ""), ("disk", ".gz"), ("files", ".bz2")):
        archive = f"{HOST}/small.tar{end}"
        distro("export", "small", archive)
        distro("import", archive, "copy", "--to", form, "--size", "300")
        if form == "files":
            same(f"{DISTROS}/copy/root", expected, f"through {archive}", True)
        else:
            in_image(f"{DISTROS}/copy/disk.img", lambda where: same(
                where, expected, "through an archive", True))
        with open(f"{DISTROS}/copy/config", encoding="ascii") as f:
            check(f.read() == "user=anna\n", "its settings")
        said = distro("import", archive, "copy", status=1)
        check("there already" in said, said)
        distro("default", "copy")
        check("--yes" in distro("remove", "copy", status=1), "no question")
        distro("remove", "copy", "--yes")
        check(not os.path.exists(f"{DISTROS}/copy") and
              not os.path.exists(f"{DISTROS}/default"), "it is there still")


def machine_disk(work):
    """A disk that the machine has been given: Linux's names of disks are
    ours here."""
    image = os.path.join(work, "old.img")
    with open(image, "wb") as f:
        f.truncate(200 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image], check=True)
    os.makedirs("/mnt/image", exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, "/mnt/image"], check=True)
    Tree("/mnt/image/data", 500, 3)
    os.mkdir("/mnt/image/etc")
    with open("/mnt/image/etc/isthmus-distro", "w", encoding="ascii") as f:
        f.write("user=bob\n")
    expected = look("/mnt/image")
    subprocess.run(["umount", "/mnt/image"], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], text=True,
                          stdout=subprocess.PIPE, check=True).stdout.strip()
    subprocess.run(["mount", "-t", "tmpfs", "t", "/sys/block"], check=True)
    try:
        os.mkdir(f"/sys/block/{os.path.basename(loop)}")
        with open(f"/sys/block/{os.path.basename(loop)}/name", "w",
                  encoding="ascii") as f:
            f.write("distro-old\n")
        move_disk(image, expected)
    finally:
        subprocess.run(["umount", "/sys/block"], check=True)
        subprocess.run(["losetup", "-d", loop], check=True)


def move_disk(image, expected):
    check("on a disk that" in distro("remove", "old", "--yes", status=1),
          "a disk was removed")
    convert("old", "files", 4, ("config", "moved"))
    same(f"{DISTROS}/old/root", expected, "a machine's disk")
    with open(f"{DISTROS}/old/config", encoding="ascii") as f:
        check(f.read() == "user=bob\n", "its settings")
    listed = [line.split() for line in distro("list").splitlines()]
    check([line for line in listed if line[0] == "old"] ==
          [["old", "stopped", "files"]], f"the list: {listed}")
    convert("old", "disk", 1, ("config", "moved"))
    check("machine's disk again" in distro("remove", "old", "--yes"),
          "the disk is not said")
    check("disk" in distro("list"), "the disk is not back")
    # The last that it does: who was killed there has left none.
    convert("old", "files", 0, ("config", "moved"))
    in_image(image, lambda where: check(
        os.path.exists(f"{where}/etc/isthmus-moved"), "it has no mark"))
    distro("remove", "old", "--yes")


def member(archive, name, kind=tarfile.REGTYPE, link="", data=b"evil"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    archive.addfile(info, io.BytesIO(data))


def hostile():
    """Whatever an archive holds, nothing but its root has changed."""
    os.mkdir(f"{HOST}/keep")
    with open(f"{HOST}/keep/secret", "wb") as f:
        f.write(b"secret")
    before = look(f"{HOST}/keep")
    others = sorted(os.listdir(HOST) + os.listdir("/"))
    attacks = (
        [("../../../keep/x", tarfile.REGTYPE, "")],
        [(HOST + "/keep/x", tarfile.REGTYPE, "")],
        [("l", tarfile.SYMTYPE, HOST + "/keep"),
         ("l/secret", tarfile.REGTYPE, "")],
        [("l", tarfile.SYMTYPE, "../../../keep"),
         ("l/x", tarfile.DIRTYPE, "")],
        [("h", tarfile.LNKTYPE, HOST + "/keep/secret"),
         ("h", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, "."), ("a/b", tarfile.SYMTYPE, "../.."),
         ("a/b/keep/secret", tarfile.REGTYPE, "")],
        [("bin", tarfile.SYMTYPE, HOST + "/keep"),
         ("bin/secret", tarfile.REGTYPE, "")],
        [("etc", tarfile.SYMTYPE, HOST + "/keep"),
         ("etc/isthmus-distro", tarfile.REGTYPE, "")],
    )
    for form in ("files", "disk"):
        for members in attacks:
            with tarfile.open(f"{HOST}/evil.tar", "w") as archive:
                member(archive, "usr", tarfile.DIRTYPE)
                for name, kind, link in members:
                    member(archive, name, kind, link)
            subprocess.run(["distro", "import", f"{HOST}/evil.tar", "evil",
                            "--to", form], executable=INIT, check=False,
                           stderr=subprocess.DEVNULL)
            same(f"{HOST}/keep", before, f"{members}")
            subprocess.run(["distro", "remove", "evil", "--yes"],
                           executable=INIT, check=False,
                           stderr=subprocess.DEVNULL)
            check(not os.path.exists(f"{DISTROS}/.import-evil"), "left")
    os.unlink(f"{HOST}/evil.tar")
    check(sorted(os.listdir(HOST) + os.listdir("/")) == others,
          "something is outside")


def volume(work):
    """/mnt/host as our server has it."""
    image = os.path.join(work, "volume.img")
    with open(image, "wb") as f:
        f.truncate(2 << 30)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-i",
                    "8192", "-m", "0", "-O", "^has_journal", image],
                   check=True)
    subprocess.run([SERVE, image, HOST], check=True)


def local(work):
    """/mnt/host as this Linux has it. False: it cannot be."""
    image = os.path.join(work, "host.img")
    with open(image, "wb") as f:
        f.truncate(3 << 30)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image], check=True)
    return subprocess.run(["mount", "-o", "loop,nosuid,nodev", image, HOST],
                          check=False).returncode == 0


def run_all(where):
    for test in (conversions, original_changes, switches, no_room, locked,
                 archives, hostile):
        began = time.monotonic()
        test()
        print(f"distro: {where}: {test.__name__}: right, "
              f"{time.monotonic() - began:.1f} s", flush=True)


def inside(work):
    """In a mount namespace that is gone with this process."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    os.environ["PATH"] = f"{MKE2FS}:{os.environ['PATH']}:/sbin:/usr/sbin"
    for where in ("/mnt", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "t", where], check=True)
    os.mkdir(HOST)
    # The program runs it in a root that holds no libraries.
    subprocess.run(["mount", "--bind", TAR, "/usr/bin/tar"], check=True)
    os.umask(0o022)
    for make in (local, volume):
        if make(work) is False:
            print("SKIPPED: distro: no loop device can be mounted")
            return
        try:
            run_all(make.__name__)
            machine_disk(work)
            print("distro: a disk of the machine's: right", flush=True)
        finally:
            # The server lives as long as it is mounted.
            subprocess.run(["umount", "-l", HOST], check=True)


def main():
    if os.geteuid() != 0:
        print("SKIPPED: distro: this is not root")
    elif sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as work:
            sys.exit(subprocess.run(
                ["unshare", "-m", sys.executable, "-B", __file__, "--inside",
                 work], check=False).returncode)


if __name__ == "__main__":
    main()
