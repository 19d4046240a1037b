# SPDX-License-Identifier: MIT
"""Disks: each driver finds the disk of --disk, reads all of it but for a bad
sector, and what is written is there after a reboot, behind another IOMMU where
there is one, and in the file; what the manifest does not name is not written
to."""

import hashlib
import os
import re
import stat
import time

from isthmus_lib import ext4_test, gpt, manifest
from isthmus_lib.common import ROOT
from parts import Parts
from qmp import Qmp
from runner import BOCHS, QEMU, case

MIB = 20
BAD = 20000                     # a sector of 512 bytes


def write_first(t, console, name, other, last):
    """A few sectors; and what must not be possible."""
    for number, text in ((0, "first"), (last, "last"), (7, "gone")):
        said = console.run(f"disk write {name} {number} {text}")
        t.check("is written" in said, f"write {number} said {said!r}")
    console.run(f"disk write {name} 7 seventh")
    said = console.run(f"disk write {name} {last + 1} beyond")
    t.check("Invalid argument" in said, f"beyond the end: {said!r}")
    for foreign in (other, other + "p1"):
        said = console.run(f"disk write {foreign} 0 harm")
        t.check("Read-only" in said, f"{foreign} of the boot disk: {said!r}")
    said = console.run("disk")
    found = re.search(rf"^  {other}: .*\n.*\n +\d+ reads .*", said, re.M)
    t.check(found and ", 0 writes (0), 0 flushes, 0 discards" in found[0],
            f"of the boot disk disk says {said!r}")


def writes(qmp):
    """What the emulator has written to the boot disk. (It has the firmware's
    variables, too.)"""
    return [{name: d["stats"][name] for name in (
        "wr_operations", "wr_bytes", "flush_operations", "unmap_operations")}
            for d in qmp.run("query-blockstats") if d["device"]]


def read_all(t, console, name, last, bad):
    """What was written, then all of it; a bad sector is found, and costs no
    other, though QEMU joins requests that lie side by side into one."""
    for number, text in ((0, "first"), (last, "last"), (7, "seventh")):
        said = console.run(f"disk read {name} {number}")
        t.check(text in said, f"sector {number} has {said!r}")
    said = console.run(f"disk check {name}")
    found = "0 of them bad" if bad is None else (
        f"1 of them bad, the first is {bad}")
    t.check(f"{last + 1} of {last + 1} sectors" in said and found in said,
            f"check said {said!r}")
    if bad is not None:
        said = console.run(f"disk read {name} {bad}")
        t.check("I/O error" in said, f"the bad sector: {said!r}")
        said = console.run(f"disk read {name} {bad - 1}")
        t.check("error" not in said, f"the one before it: {said!r}")
    said = console.run("disk")
    wrong = re.findall(r"errors (\d+), nonsense (\d+), hangs (\d+)", said)
    t.check([w[1:] for w in wrong] == [("0", "0")] * 2,
            f"disk says {said!r}")
    # Those of the two looks for it, and those that QEMU joined to one.
    errors = sorted(int(w[0]) for w in wrong)
    t.check(errors[0] == 0 and (errors[1] > 2 if bad else errors[1] == 0),
            f"disk says {said!r}")


def kept(t, name, other, *options, sector=512):
    """The disk of --disk is `name`, the boot disk is `other`."""
    path, bad = t.path("kept.img"), None
    if t.platform in QEMU:
        bad = BAD * 512 // sector
        options += ("--disk-bad", str(BAD))
        options += ("--qmp", t.path("qmp"))
    # a machine with AMD's IOMMU, which is the default, then one with Intel's
    other_unit = ("--iommu", "intel") if t.platform in QEMU and \
        "pc" not in options else ()
    console = t.console("--disk", path, "--disk-size", str(MIB), *options,
                        timeout=300)
    console.ready()
    qmp = Qmp(t.path("qmp")) if t.platform in QEMU else None
    before = qmp and writes(qmp)
    last = os.path.getsize(path) // sector - 1
    said = console.run("disk")
    t.check(f"  {name}: " in said and f" in sectors of {sector}" in said,
            f"there is no {name}: {said!r}")
    t.check(said.count("may be written to") == 1, f"open are: {said!r}")
    t.check((" % worn" in said) == name.startswith("nvme"),
            f"of wear it says {said!r}")
    write_first(t, console, name, other, last)
    if qmp:
        t.check(len(before) == 1 and writes(qmp) == before,
                f"the boot disk was written to: {before}, {writes(qmp)}")
        qmp.close()
    if other_unit:
        console.send("poweroff")
        t.check(console.finish() == 0, "poweroff did not end the machine well")
        console = t.console("--disk", path, *options, *other_unit, timeout=300)
    else:
        console.send("reboot")
    console.ready()
    t.check(not other_unit or "VT-d" in console.run("status"),
            "that is another machine")
    read_all(t, console, name, last, bad)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    with open(path, "rb") as f:
        for number, text in ((0, b"first"), (last, b"last"), (7, b"seventh")):
            f.seek(number * sector)
            data = f.read(sector)
            t.check(data == text.ljust(sector, b"\0"),
                    f"the file's sector {number} is {data[:20]!r}")


@case("disk-kept-virtio", "a virtio disk keeps what is written", only=QEMU,
      why="Bochs has IDE only")
def kept_virtio(t):
    kept(t, "virtio0", "ahci0")


@case("disk-kept-nvme", "an NVMe disk of 4096-byte sectors likewise",
      only=QEMU, why="Bochs has IDE only")
def kept_nvme(t):
    kept(t, "nvme0", "ahci0", "--disk-bus", "nvme", "--disk-sector", "4096",
         sector=4096)


@case("disk-kept-ahci", "a SATA disk likewise", only=QEMU,
      why="Bochs has IDE only")
def kept_ahci(t):
    kept(t, "ahci1", "ahci0", "--disk-bus", "ahci")


@case("disk-kept-ide", "an IDE disk likewise", only=(*QEMU, *BOCHS),
      why="KVM's machines have other tests", later=BOCHS)
def kept_ide(t):
    if t.platform in BOCHS:
        kept(t, "ide1", "ide0")
    else:
        kept(t, "ide0", "ahci0", "--disk-bus", "ide")


@case("disk-kept-ide-pc", "likewise beside the boot disk, without an IOMMU",
      only=QEMU, why="Bochs's is so", later=QEMU)
def kept_ide_pc(t):
    kept(t, "ide1", "ide0", "--disk-bus", "ide", "--machine", "pc")


def on_disk(t, first, then, *options):
    """Linux writes to a volume on a disk; the next boots find it, on another
    controller: that is nothing to the volume."""
    path, share = t.path("volume.img"), t.path("share")
    os.mkdir(share)
    with open(os.path.join(share, "given"), "w", encoding="ascii") as f:
        f.write("from the share\n")
    options += ("--disk", path, "--disk-volume", "--disk-bus")
    # More than there is memory for blocks.
    made = t.exec("set -e; cd /mnt/host; cat given; mkdir d; "
                  "for i in $(seq 200); do echo $i > d/$i; done; "
                  "ln -s d/7 link; "
                  "dd if=/dev/zero bs=1M count=24 | tr '\\0' x > big; "
                  "dd if=/dev/urandom of=noise bs=1M count=4; "
                  "sha256sum noise > sum; rm d/100; mv d/101 d/new; sync",
                  *options, first, "--disk-size", "128", "--share", share,
                  timeout=300)
    t.check("from the share" in made.out, f"the share: {made.out!r}")
    t.tool(["e2fsck", "-fn", path])
    found = t.exec("set -e; cd /mnt/host; ls d | wc -l; cat link d/new; "
                   "tr -d x < big | wc -c; wc -c < big; sha256sum -c sum; "
                   "(cat big & cat noise & ls -l d & wait) > /dev/null; "
                   "echo more >> link; rm big; cp noise copy; sync; cat link; "
                   # Full; then there is room again.
                   "dd if=/dev/zero of=fill bs=64k 2>&1 | grep -c 'No space'; "
                   "cp noise second 2> /dev/null || echo full; "
                   "sha256sum -c sum; rm fill second; sync; "
                   "cp noise third; sync; cmp noise third && echo room",
                   *options, then, timeout=300)
    want = f"199\n7\n101\n0\n{24 << 20}\nnoise: OK\n7\nmore\n" \
        "1\nfull\nnoise: OK\nroom\n"
    t.check(found.out.replace("\r", "") == want, f"found {found.out!r}")
    t.tool(["e2fsck", "-fn", path])
    # A volume that cannot be used has no other in its place.
    with open(path, "r+b") as f:
        f.seek(1024)
        f.write(bytes(1024))
    result = t.boot("--exec", "ls /mnt/host", *options, then)
    t.check(re.search(r"FAILED stage 62 volume ready: disk \S+: ",
                      result.serial), f"it says {result.serial[-2000:]!r}")


@case("volume-linux-disk", "Linux's own disk is a file of a volume on a disk",
      only=QEMU, why="the disk's driver is another elsewhere, not the file")
def volume_linux_disk(t):
    """More is written than is kept in memory."""
    path = t.path("volume.img")
    options = ("--disk", path, "--disk-volume", "--linux-disk", "40")
    made = t.exec("set -e; dd if=/dev/urandom of=/r bs=1M count=30; "
                  "dd if=/r of=/dev/isthmus0 bs=1M; sync; "
                  "echo 3 > /proc/sys/vm/drop_caches; "
                  "head -c 31457280 /dev/isthmus0 | cmp - /r; sha256sum < /r",
                  "--disk-size", "128", *options, timeout=300)
    t.tool(["e2fsck", "-fn", path])
    found = t.exec("head -c 31457280 /dev/isthmus0 | sha256sum", *options,
                   timeout=300)
    t.check(len(found.out) > 64 and found.out[:64] in made.out,
            f"there was {made.out!r}, is {found.out!r}")


TRIM = """
set -e; F=/mnt/host/linux-disk
used() { sync; du -k $F | cut -f 1; }
now() { cut -d ' ' -f 1 /proc/uptime | tr -d . | sed 's/^0*//'; }
mke2fs /dev/isthmus0 > /dev/null; mkdir /tmp/m; mount /dev/isthmus0 /tmp/m
touch /tmp/m/f; fstrim /tmp/m
before=$(used)
dd if=/dev/zero of=/tmp/m/f bs=1M count=256 2> /dev/null
full=$(used)
rm /tmp/m/f; sync; began=$(now)
fstrim /tmp/m
while [ $(used) -gt $((before + 1024)) ] &&
        [ $(($(now) - began)) -lt 1000 ]; do :; done
echo $before $full $(used) $(($(now) - began))
sleep 3
"""


@case("linux-disk-trim", "what Linux gives back of its disk the volume has again "
      "within 3 s, and the device", only=QEMU, why="Bochs's disks keep all")
def linux_disk_trim(t):
    path = t.path("volume.img")
    done = t.exec(TRIM, "--disk", path, "--disk-volume", "--disk-size", "512",
                  "--linux-disk", "320", timeout=300)
    before, full, after, time_taken = map(int, done.out.split())
    t.check(full >= before + (256 << 10), f"256 MiB took {before}..{full} KiB")
    t.check(after <= before + 1024, f"{before} KiB became {full}, then {after}")
    t.check(time_taken <= 300, f"it took {time_taken} hundredths of a second")
    kept = os.stat(path).st_blocks * 512
    t.check(kept < 64 << 20, f"the device keeps {kept >> 20} MiB")
    t.tool(["e2fsck", "-fn", path])


def parted(path, mib):
    """A disk with two parts, `one` and `two`, of that many MiB each."""
    sectors = (2 * mib + 2) << 11
    with open(path, "wb") as f:
        f.truncate(sectors * 512)
    gpt.write(path, sectors, [
        (gpt.LINUX, 2048, mib << 11, "one"),
        (gpt.LINUX, (mib + 1) << 11, mib << 11, "two")], "parted")


# Of the disk, and of the copy that Linux has of it.
DISCARD = "blkdiscard -o 1048576 -l 4194304 $D; " \
    "dd if=/dev/zero of=/r bs=1M seek=1 count=4 conv=notrunc; "


@case("linux-disk-device", "Linux's own disk is a part of a disk, or a whole "
      "one, which nobody else has", only=(*QEMU, *BOCHS), later=BOCHS,
      why="KVM's machines have other tests")
def linux_disk_device(t):
    """What Linux writes is in that part and nowhere else; what it gives back
    goes to the device."""
    path = t.path("parted.img")
    parted(path, 16)
    options = ("--disk", path, "--linux-disk", "label:two")
    qemu = t.platform in QEMU
    made = t.exec("set -e; exec 2>/dev/null; D=/dev/isthmus0; "
                  "blockdev --getsize64 $D; "
                  "dd if=/dev/urandom of=/r bs=1M count=16; "
                  "dd if=/r of=$D bs=1M oflag=direct; sync; "
                  "dd if=$D bs=128k iflag=direct | cmp - /r; "
                  "echo 3 > /proc/sys/vm/drop_caches; cmp $D /r; "
                  + (DISCARD if qemu else "")
                  + "sha256sum < /r; "
                  "dd if=/r of=$D bs=4k count=1 conv=notrunc,fsync; "
                  "cat /sys/block/isthmus0/queue/discard_max_bytes",
                  *options, timeout=300)
    said = made.out.split()
    t.check(said[0] == str(16 << 20), f"its size: {made.out!r}")
    t.check((int(said[-1]) > 0) == qemu, f"discard: {made.out!r}")
    with open(path, "rb") as f:
        data = f.read()
    t.check(not any(data[1 << 20:17 << 20]), "the other part was written to")
    part = data[17 << 20:33 << 20]
    t.check(not qemu or not any(part[1 << 20:5 << 20]), "it was not discarded")
    t.check(hashlib.sha256(part).hexdigest() in made.out,
            f"there was {made.out!r}")
    # The whole disk, which the volume, a part of it, has already; one that
    # there is not, with a volume on one that there is not.
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-E",
            "offset=1048576,nodiscard", path, "16M"])
    for word, part, why in (
            ("disk", "one", ["a part of it, is used by the volume"]),
            ("nvme7", "gone", ["nvme7: there is no such disk",
                               'volume-disk "label:gone": there is no such'])):
        refused = t.boot("--exec", "ls /dev/isthmus0", "--disk", path,
                         "--linux-disk", word, "--manifest",
                         volume_on(t, "label:" + part))
        for sentence in why:
            t.check(sentence in refused.serial,
                    f"{word}: {refused.serial[-1500:]!r}")
        t.check(refused.status != 0 and not refused.out,
                f"{word}: Linux has it: {refused.out!r}")


@case("linux-disk-sectors", "Linux's own disk is one with sectors of 4096 bytes",
      only=QEMU, why="Bochs's disks have sectors of 512 bytes")
def linux_disk_sectors(t):
    """Linux knows how large they are, and writes no part of one; what is
    smaller it makes whole ones of."""
    path = t.path("disk.img")
    made = t.exec("exec 2>/dev/null; D=/dev/isthmus0; "
                  "cat /sys/block/isthmus0/queue/logical_block_size; "
                  "dd if=/dev/urandom of=/r bs=1M count=16; "
                  "dd if=/r of=$D bs=1M oflag=direct && echo whole; "
                  "printf abc | dd of=$D bs=1 seek=9000000 && "
                  "printf abc | dd of=/r bs=1 seek=9000000 conv=notrunc; "
                  "sync; echo 3 > /proc/sys/vm/drop_caches; cmp $D /r; "
                  + DISCARD + "sha256sum < /r; echo $?",
                  "--disk", path, "--disk-size", "16", "--disk-sector", "4096",
                  "--linux-disk", "disk", timeout=300)
    said = made.out.split()
    t.check(said[:2] == ["4096", "whole"] and said[-1] == "0" and
            len(said) == 5, f"Linux said {made.out!r}")
    with open(path, "rb") as f:
        data = f.read()
    t.check(data[9000000:9000003] == b"abc" and not any(data[1 << 20:5 << 20]),
            "what is on the disk is not what Linux wrote, and gave back")
    t.check(hashlib.sha256(data[:16 << 20]).hexdigest() == said[2],
            f"Linux has {made.out!r}")


@case("image-volume", "an image with a volume of its own, in a GPT part",
      only=(*QEMU, *BOCHS), later=BOCHS, why="KVM's machines have other tests")
def image_volume(t):
    path, share = t.path("image.img"), t.path("share")
    os.mkdir(share)
    with open(os.path.join(share, "given"), "w", encoding="ascii") as f:
        f.write("from the share\n")
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", path, "--volume",
            "64", "--share", share])
    console = t.console("--image", path)
    console.expect("isthmus> ")
    said = console.run("disk")
    t.check(re.search(r"p1: GPT part, .*isthmus-boot; read only", said) and
            re.search(r"p2: GPT part, .* 64 MiB, isthmus-volume; may be", said),
            f"disk said {said!r}")
    said = console.run("cat given")
    t.check("from the share" in said, f"cat said {said!r}")
    console.run("cp given copy")
    for command in ("memory", "disk"):
        said = console.run(command)
        t.check(re.search(r"blocks in memory: at most \d+ KiB, .* [1-9]\d* "
                          r"hits, [1-9]\d* misses, ", said),
                f"{command} said {said!r}")
    said = console.run("fsck")
    t.check(re.search(r"^\d+ groups, [1-9]\d* inodes, [1-9]\d* blocks of "
                      r"files: 0 things are wrong$", said, re.M) and
            "\ngroup" not in said and "\ninode" not in said,
            f"fsck said {said!r}")
    said = console.run("sync") + console.run("exec cat /mnt/host/copy")
    t.check("from the share" in said, f"in Linux: {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("share-out", "what was shared comes out as it was, and what Linux made",
      only=QEMU, why="the disk's driver is another elsewhere, not the files")
def share_out(t):
    """The machine's end is one by force: the journal is replayed."""
    source, target = t.path("share"), t.path("out")
    os.mkdir(source)
    ext4_test.fill(source)
    result = t.boot(
        "--share", source, "--share-out", target, "--timeout", "400",
        "--exec", "cd /mnt/host; echo made > new; "
        "chown 4000000000:12 new; chmod 6751 new; touch -d @77 new; "
        "ln new d/new2; "
        "ln -s nowhere dangling; mknod node c 300 70000; mkfifo pipe; "
        "dd if=/dev/zero of=far bs=1 count=1 seek=40000000 "
        "2>/dev/null; "
        "sync; echo '<1>all is there' > /dev/kmsg; sleep 100",
        "--until", "all is there")
    with open(t.path("linux-1.log"), encoding="ascii", errors="replace") as f:
        t.check("powering off" not in f.read(), "it ended by itself")
    want, found = ext4_test.listing(source), ext4_test.listing(target)
    for path, (mode, uid, gid, mtime, *more) in want.items():
        if path in (".", "d"):
            continue                    # Linux made something in there
        t.check(path in found, f"{path} is not there: {result.err[-800:]}")
        has = found[path]
        t.check((mode, uid, gid, mtime // 10**9, *more) ==
                (*has[:3], has[3] // 10**9, *has[4:]),
                f"{path}: {want[path]!r} came back as {has!r}")
    new = found["new"]
    t.check(new[1:3] == (4000000000, 12) and new[0] & 0o7777 == 0o6751 and
            new[3] == 77 * 10**9 and new[5] == b"made\n" and
            found["d/new2"][6] == new[6], f"new came back as {new!r}")
    t.check(found["dangling"][5] == "nowhere" and
            stat.S_ISFIFO(found["pipe"][0]) and
            found["node"][4] == os.makedev(300, 70000) and
            os.stat(os.path.join(target, "far")).st_blocks < 100,
            f"{found['dangling']!r} {found['pipe']!r} {found['node']!r}")


def volume_on(t, word):
    """The manifest, with the volume on that disk."""
    path = t.path("volume-on.dts")
    with open(manifest.DEFAULT, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + f'\n/ {{ chosen {{ volume-disk = "{word}"; }}; }};\n')
    return path


@case("volume-console", "the console's commands on a volume in a part of a "
      "disk, whose other parts are left alone", only=(*QEMU, *BOCHS),
      why="KVM's machines have other tests", later=BOCHS)
def volume_console(t):
    share, volume, noise = t.path("share"), t.path("volume"), t.path("noise")
    os.mkdir(share)
    for i in range(300):
        with open(os.path.join(share, f"file-{i}"), "w",
                  encoding="ascii") as f:
            f.write(f"this is {i}\n" * 300)
    with open(volume, "wb") as f:
        f.truncate(48 << 20)
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-d", share, volume])
    with open(noise, "wb") as f:
        f.write(os.urandom(1 << 20))
    disk = Parts(t.path("disk.img"), {"one": noise, "two": volume,
                                      "three": noise})
    before = disk.besides("two")
    console = t.console("--disk", disk.path, "--disk-volume", "--disk-part",
                        "two", timeout=300)
    console.ready()
    name = "ide1" if t.platform in BOCHS else "virtio0"
    for foreign in (name, name + "p1", name + "p3"):
        said = console.run(f"disk write {foreign} 3 harm")
        t.check("Read-only" in said, f"{foreign}: {said!r}")
    said = console.run(f"disk write {name}p2 3 harm")
    t.check("the volume has it" in said, f"what the volume is on: {said!r}")
    said = console.run("ls")
    t.check(said.count("file-") == 300, f"ls said {said[-400:]!r}")
    said = console.run("cat file-77")
    t.check(said == "this is 77\n" * 300, f"cat said {said[-400:]!r}")
    for line in ("mkdir d", "cp file-5 d/copied", "mv d/copied file-6",
                 "mv file-6 d/copy", "cp linux:/proc/version d",
                 "cp linux:/bin/busybox linux:/tmp/box",
                 "mv linux:/tmp/box linux:/tmp/busybox",
                 "cp linux:/tmp/busybox d", "rm file-7", "sync"):
        said = console.run(line)
        t.check(said == "" or line.startswith("cp ") and
                said.endswith(" bytes\n"), f"{line} said {said!r}")
    for line, why in (("mv d d/in", "Invalid"), ("mv no d", "No such file"),
                      ("mv d linux:/", "not on one side"),
                      ("mv file-8 d/copy/x", "Not a directory")):
        said = console.run(line)
        t.check(why in said, f"{line} said {said!r}")
    said = console.run("exec cmp /bin/busybox /mnt/host/d/busybox && "
                       "cat /mnt/host/d/version")
    t.check("Linux version" in said and "status 0" in said,
            f"Linux says {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    t.check(disk.besides("two") == before, "foreign parts are changed")
    disk.take("two", volume)
    t.tool(["e2fsck", "-fn", volume])
    copy = t.path("copy")
    t.tool(["debugfs", "-R", f"dump /d/copy {copy}", volume])
    with open(copy, encoding="ascii") as f:
        t.check(f.read() == "this is 5\n" * 300, "the copy is another")


@case("volume-on-disk", "the volume is on a virtio disk, then a SATA disk, "
      "and lasts", only=QEMU, why="Bochs has IDE only")
def volume_virtio(t):
    on_disk(t, "virtio", "ahci")


@case("volume-on-disk-nvme", "the volume is on an NVMe disk, then a virtio "
      "disk likewise, with sectors of 4096 bytes", only=QEMU,
      why="Bochs has IDE only", later=QEMU)
def volume_nvme(t):
    on_disk(t, "nvme", "virtio", "--disk-sector", "4096")


@case("volume-killed", "what fsync promised is there when the power goes",
      only=QEMU, why="Bochs has IDE only")
def volume_killed(t):
    """Linux writes and syncs without end; the emulator ends in the middle."""
    path = t.path("volume.img")
    options = ("--disk", path, "--disk-volume")
    last = 0
    for instant in (0.3, 1.1, 2.0):
        size = ("--disk-size", "64") if not os.path.exists(path) else ()
        console = t.console(*options, *size, timeout=300)
        console.ready()
        console.send("exec cd /mnt/host; i=" + str(last) + "; while :; do "
                     "i=$((i + 1)); seq $i $((i + 2000)) > n$((i % 7)); "
                     "echo $i > new; sync; mv new at; sync; echo at-$i; done")
        console.expect(r"\nat-\d+\r?\n")
        time.sleep(instant)
        console.close()
        promised = int(re.findall(r"\nat-(\d+)\r?\n", console.seen)[-1])
        found = t.exec("set -e; cd /mnt/host; cat at; i=$(cat at); "
                       "seq $i $((i + 2000)) | cmp - n$((i % 7)) && echo same",
                       *options, timeout=300)
        t.tool(["e2fsck", "-fn", path])
        said = found.out.replace("\r", "").split()
        t.check(int(said[0]) >= promised, f"{promised} was promised, "
                f"there is {said}")
        last = int(said[0])
