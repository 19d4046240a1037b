# SPDX-License-Identifier: MIT
"""Disks: Linux's own, which lies in a file of the volume."""

import os
import re
import shutil

from cases_files import local_ext4
from isthmus_lib.common import BUILD
from runner import BOCHS, QEMU, case

# An ext4 on the disk; what is written is there after a remount, and what is
# removed and trimmed gives its room back to the volume.
USE = """
cd /tmp; mkdir m
gunzip -c /test/ext4.gz | dd of=/dev/isthmus0 bs=64k 2>/dev/null
mount /dev/isthmus0 m || exit
dd if=/dev/urandom of=m/f bs=1M count=8 2>/dev/null
sha256sum < m/f > sum
umount m; echo 3 > /proc/sys/vm/drop_caches
mount /dev/isthmus0 m
sha256sum < m/f | diff - sum && echo same
du -k /mnt/host/linux-disk
rm m/f; sync; fstrim m; sync
du -k /mnt/host/linux-disk
umount m
dd if=/dev/urandom of=x bs=512 count=4099 2>/dev/null
dd if=x of=/dev/isthmus0 bs=512 seek=9000 oflag=direct 2>/dev/null
dd if=/dev/isthmus0 bs=512 skip=9000 count=4099 iflag=direct 2>/dev/null |
        cmp - x && echo same
blkdiscard /dev/isthmus0
dd if=/dev/isthmus0 bs=1M iflag=direct 2>/dev/null | tr -d '\\0' | wc -c
dd if=x of=/dev/isthmus0 bs=512 seek=32767 count=2 2>&1 | grep -c 'No space'
"""


@case("linux-disk", "Linux's own disk: ext4 on it, direct access, trim gives "
      "room back to the host's volume", later=BOCHS)
def linux_disk(t):
    result = t.exec(USE, "--linux-disk", "16", "--overlay",
                    t.overlay({"test/ext4.gz": local_ext4(t)}))
    said = re.fullmatch(r"same\n(\d+)\s+/mnt/host/linux-disk\n"
                        r"(\d+)\s+/mnt/host/linux-disk\nsame\n0\n1\n",
                        result.out)
    t.check(said, result.out)
    full, trimmed = int(said[1]), int(said[2])
    t.check(full >= 8192, f"8 MiB on the disk are {full} KiB of the volume")
    t.check(trimmed <= full - 8192 + 64,
            f"of {full} KiB {trimmed} are left after fstrim")


LOOK = """
cat /etc/which; readlink /proc/1/exe
while ! [ -e /began ]; do busybox sleep 0.1; done
cat /began; echo through > /mnt/host/f
busybox grep -c 'isthmus0 / ext4' /proc/mounts
busybox ls -d /init /newroot
"""


def root_disk(t, init):
    """A disk with a small Linux: busybox, and an init of ours."""
    folder, path = t.path("root"), t.path("root.img")
    for name in ("bin", "sbin", "etc", "proc"):
        os.makedirs(os.path.join(folder, name))
    shutil.copy(os.path.join(BUILD, "deps", "busybox", "busybox"),
                os.path.join(folder, "bin"))
    for name in ("sh", "cat", "mount", "readlink"):
        os.symlink("busybox", os.path.join(folder, "bin", name))
    with open(os.path.join(folder, "etc", "inittab"), "w",
              encoding="ascii") as f:
        f.write("::sysinit:/bin/sh -c 'echo began > /began'\n")
    for name, text in (("which", "its own root\n"), ("look", LOOK),
                       ("hosts", "192.0.2.7 mine\n")):
        with open(os.path.join(folder, "etc", name), "w",
                  encoding="ascii") as f:
            f.write(text)
    if init:
        os.symlink("/bin/busybox", os.path.join(folder, "sbin", "init"))
    else:
        os.unlink(os.path.join(folder, "bin", "sh"))
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, path, "32M"])
    shutil.rmtree(folder)
    return path


@case("linux-root", "Linux's root is an ext4 on its disk, when it has an init",
      later=BOCHS, only=(*QEMU, *BOCHS), why="--disk is for these")
def linux_root(t):
    """Commands, files both ways and sockets go on in the new root."""
    path = root_disk(t, True)
    options = ("--disk", path, "--linux-disk", "disk", "--append",
               "root=/dev/isthmus0")
    console = t.console(*options, "--share", os.path.dirname(__file__))
    console.expect("isthmus> ")
    said = console.run("exec sh /etc/look")
    t.check("its own root\n/bin/busybox\nbegan\n1\n" in said and
            "/init: No such" in said and "/newroot: No such" in said,
            f"exec said {said!r}")
    # What the network is called is written where nothing is yet.
    said = console.run("cat linux:/etc/resolv.conf")
    t.check(said == "nameserver 10.77.1.1\n", f"resolv.conf: {said!r}")
    said = console.run("cat linux:/etc/hosts")
    t.check(said == "192.0.2.7 mine\n", f"hosts: {said!r}")
    said = console.run("cat f") + console.run("cat linux:/etc/which")
    t.check("through" in said and "its own root" in said, f"files: {said!r}")
    console.send("poweroff")
    console.expect("Linux powered off")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    t.tool(["e2fsck", "-fn", path])
    # No init there: that is said, and the initramfs goes on.
    os.unlink(path)
    root_disk(t, False)
    result = t.exec("cat /sys/block/isthmus0/name; ls /init", *options)
    t.check(result.out == "root\n/init\n", f"it said {result.out!r}")
    t.check("holds no init" in result.linux + result.serial,
            f"Linux's log: {result.linux[-800:]!r}")


# In use all the time, while it grows.
BUSY = """
(cd /tmp/m
for i in 1 2 3 4 5 6 7 8; do
        dd if=/dev/urandom of=f bs=64k count=16 2>/dev/null
        sync; sha256sum f; sleep 0.2
done > /tmp/sums 2>&1; echo $? > /tmp/end) > /dev/null 2>&1 &
"""
END = """
while [ ! -e /tmp/end ]; do sleep 0.1; done
cat /tmp/end; wc -l < /tmp/sums; cat /sys/block/isthmus0/size
cd /tmp/m; tail -n 1 /tmp/sums | sha256sum -c
dmesg | grep -c 'I/O error'
cp f /mnt/host/copy; cd /; umount /tmp/m
"""
AGAIN = """
mkdir /tmp/m; mount /dev/isthmus0 /tmp/m
cmp /tmp/m/f /mnt/host/copy && echo equal
"""


@case("linux-disk-lives", "Linux's own disk grows in use, and outlives Linux",
      later=BOCHS)
def linux_disk_lives(t):
    files = {"test/ext4.gz": local_ext4(t)}
    for name, text in ("busy", BUSY), ("end", END), ("again", AGAIN):
        files[f"test/{name}"] = t.path(name)
        with open(t.path(name), "w", encoding="ascii") as f:
            f.write(text)
    console = t.console("--linux-disk", "16", "--overlay", t.overlay(files))
    console.expect("isthmus> ")
    console.run("exec gunzip -c /test/ext4.gz > /dev/isthmus0; mkdir /tmp/m")
    said = console.run("exec mount /dev/isthmus0 /tmp/m")
    t.check("[exit status 0]" in said, said)
    said = console.run("exec cat /sys/block/isthmus0/name")
    t.check(said.startswith("root\n"), said)
    said = console.run("vdisk")
    t.check(re.search(r"root +16 MiB  in use, \d+ reads", said), said)
    for line, answer in (
            ("vdisk grow root 8", "a disk can only become larger"),
            ("vdisk grow data 32", 'Linux has no disk "data"'),
            ("vdisk grow root x", '"x" is no number of MiB'),
            ("disk grow data 32", 'Linux has no disk "data"'),
            ("vdisk grow", "usage: vdisk [grow NAME MIB]")):
        said = console.run(line)
        t.check(answer in said, f"{line}: {said}")
    console.run("exec sh /test/busy")
    for size in (20, 24, 32):
        said = console.run(f"disk grow root {size}")
        t.check(f"root has {size} MiB now" in said, said)
        console.run("exec sleep 0.4")
    said = console.run("exec sh /test/end")
    t.check(f"0\n8\n{32 << 11}\nf: OK\n0\n" in said, said)
    console.run("linux restart")
    said = console.run("exec sh /test/again")
    t.check("equal\n" in said, said)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
