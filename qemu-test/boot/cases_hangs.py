# SPDX-License-Identifier: MIT
"""Disks that hang: one that is well after its reset, one that is not; and
disks that fail with the volume on them."""

import os
import re
import subprocess
import time

from qmp import Qmp
from runner import QEMU, case

DATA = "/machine/peripheral/data-disk/virtio-backend"
MIB = 8
NOT_CLOSED = re.compile("isthmus: disk virtio0: the volume on it could not be "
                        r"closed: I/O error; .* up to [1-9]\d* blocks")

# Reads a file; what came of it.
READ = """
(sha256sum < /mnt/host/$1 > /tmp/$1 2>&1; echo "ended $?" >> /tmp/$1) \\
        > /dev/null 2>&1 < /dev/null &
"""
READ_END = """
until grep -q ended /tmp/$1; do sleep 0.1; done
cat /tmp/$1
"""
# Looks at the time, and asks the host for a file, again and again.
BEATS = """
(while :; do
        cut -d ' ' -f 1 /proc/uptime
        touch /mnt/host/beat
        sleep 0.1
done > /tmp/beats 2>&1 < /dev/null) > /dev/null 2>&1 &
"""
# The longest that it took, in hundredths of a second.
LONGEST = """
tr -d . < /tmp/beats | (
        read last; longest=0
        while read now; do
                [ $((now - last)) -le $longest ] || longest=$((now - last))
                last=$now
        done
        echo "longest $longest")
"""


def counted(t, console, name):
    """What `disk` says of it: state, hangs, resets."""
    said = console.run("disk")
    found = re.search(rf"^  {name}: .*\n    (.*), (?:read only|may be written "
                      r"to);.* hangs (\d+), resets (\d+)", said, re.M)
    t.check(found, f"disk says {said!r}")
    return found[1], int(found[2]), int(found[3])


def comes_back(t, console, qmp, want):
    """The volume's disk hangs; what was asked of it is there after a reset."""
    qmp.run("object-add", **{"qom-type": "throttle-group", "id": "hang"})
    qmp.hang(id=DATA)
    console.run("exec sh /test/read big")
    said = console.run("exec echo alive")
    t.check("alive" in said, f"Linux says {said!r}")
    said = console.run("disk read nvme0 0")
    t.check("55 aa" in said, f"the other disk says {said!r}")
    t.check(counted(t, console, "virtio0") == ("ready", 0, 0),
            "it does not hang")
    # What hangs goes on hanging until the reset.
    qmp.run("qom-set", path="/objects/hang", property="limits",
            value={"bps-total": 1 << 40})
    said = console.run("exec sh /test/read-end big")
    t.check(want in said and "ended 0" in said, f"read: {said!r}")
    state, hangs, resets = counted(t, console, "virtio0")
    t.check(state == "ready" and hangs > 0 and resets == 1,
            f"{state}, {hangs} hangs, {resets} resets")


def fails(t, console, qmp):
    """The other one hangs after its reset, too; the console waits for it."""
    console.run("exec sh /test/beats")
    qmp.hang("other", device="boot")
    console.run("disk read nvme0 1")
    began = time.monotonic()
    said = console.run("disk read nvme0 9")
    took = time.monotonic() - began
    t.check("I/O error" in said, f"the hanging disk says {said!r}")
    t.check(19 < took < 60, f"that took {took:.0f} s")
    state, hangs, resets = counted(t, console, "nvme0")
    t.check("FAILED" in state and hangs > 0 and resets == 1,
            f"{state}, {hangs} hangs, {resets} resets")
    said = console.run("disk read nvme0 9")
    t.check("I/O error" in said, f"the failed disk says {said!r}")
    said = console.run("exec sh /test/longest")
    longest = int(re.search(r"longest (\d+)", said)[1])
    t.check(longest < 500, f"Linux had to wait for {longest / 100} s")
    return longest


def power_off(t, console, qmp):
    """The volume's disk hangs for good, with something to be written."""
    console.run("exec echo new > /mnt/host/new; echo $?")
    qmp.run("qom-set", path="/objects/hang", property="limits",
            value={"bps-total": 1})
    console.run("exec sh /test/read other")
    began = time.monotonic()
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    took = time.monotonic() - began
    t.check(took < 75, f"poweroff took {took:.0f} s")
    t.check(NOT_CLOSED.search(console.seen), console.seen[-1000:])


def repair(t, path):
    """What is in the log comes back; then nothing is wrong."""
    subprocess.run(["e2fsck", "-fp", path], check=False,
                   stdout=subprocess.DEVNULL)
    t.tool(["e2fsck", "-fn", path])


@case("disk-hangs", "a disk that hangs is reset, then fails; all else goes on",
      only=QEMU, why="Bochs's disks cannot hang")
def disk_hangs(t):
    share = t.path("share")
    os.mkdir(share)
    for name in ("big", "other"):
        with open(os.path.join(share, name), "wb") as f:
            f.write(os.urandom(MIB << 20))
    want = t.tool(["sha256sum", os.path.join(share, "big")]).split()[0]
    files = {}
    for name, text in (("read", READ), ("read-end", READ_END),
                       ("beats", BEATS), ("longest", LONGEST)):
        files[f"test/{name}"] = t.path(name)
        with open(t.path(name), "w", encoding="ascii") as f:
            f.write(text)
    path = t.path("volume.img")
    console = t.console("--disk", path, "--disk-size", "64",
                        "--disk-volume", "--share", share, "--boot-disk",
                        "nvme", "--overlay", t.overlay(files),
                        "--qmp", t.path("qmp"), timeout=300)
    console.ready()
    qmp = Qmp(t.path("qmp"))
    try:
        comes_back(t, console, qmp, want)
        longest = fails(t, console, qmp)
        power_off(t, console, qmp)
    finally:
        qmp.close()
    repair(t, path)
    t.note += f", Linux waited for {longest / 100} s at most"


# What a bad sector in a file costs; then until the log cannot be written.
FILE = """
cd /mnt/host
cat bad > /dev/null; echo "read $?"
cmp good1 good2 && echo same
dd if=good1 of=bad bs=4096 count=1 conv=notrunc,fsync; echo "write $?"
echo new > other; dd if=other of=other2 conv=fsync 2> /dev/null
echo "other $?"
"""
LOG = """
cd /mnt/host
i=0
while echo $i | dd of=n$i conv=fsync 2> /dev/null; do i=$((i + 1)); done
echo "last $i"
mkdir d 2>&1; echo "mkdir $?"
cat n0
"""


def blocks(t, image, what):
    """The blocks that a file of an ext4 lies in."""
    said = t.tool(["debugfs", "-R", f"blocks {what}", image])
    return [int(n) for n in said.splitlines()[-1].split()]


@case("volume-disk-fails", "a volume on a disk that cannot be written: EIO, "
      "then read-only, and what was promised is there", only=QEMU,
      why="Bochs's disks do not fail")
def volume_disk_fails(t):
    path, share = t.path("volume.img"), t.path("share")
    os.mkdir(share)
    for name in ("good1", "bad", "good2"):
        with open(os.path.join(share, name), "wb") as f:
            f.write(b"a" * 8192)
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", share,
            path])
    bad = 2 * blocks(t, path, "/bad")[3]
    log = 2 * blocks(t, path, "<8>")[60]
    files = {}
    for name, text in (("file", FILE), ("log", LOG)):
        files[f"test/{name}"] = t.path(name)
        with open(t.path(name), "w", encoding="ascii") as f:
            f.write(text)
    console = t.console("--disk", path, "--disk-volume", "--overlay",
                        t.overlay(files), "--disk-bad", str(bad),
                        "--disk-bad", str(log))
    console.ready()
    said = console.run("exec sh /test/file")
    for word in "read 1", "same", "write 1", "other 0":
        t.check(word + "\n" in said, f"no \"{word}\": {said!r}")
    t.check(said.count("Input/output error") == 2, said)
    said = console.run("exec sh /test/log")
    last = int(re.search(r"last (\d+)", said)[1])
    t.check(last > 1 and "Read-only file system\n" in said and
            "mkdir 1\n0\n" in said, said)
    t.check(re.search(r"isthmus: the volume's disk virtio0 cannot be written",
                      console.seen), "the console says nothing")
    said = console.run("status")
    t.check("volume: on disk virtio0, READ ONLY: " in said, said)
    said = console.run("disk")
    t.check("the volume: on disk virtio0, READ ONLY: " in said and
            re.search(r" [1-9]\d* errors, ", said) and
            re.search(r" written, [1-9]\d* failed", said), said)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    t.check(NOT_CLOSED.search(console.seen), console.seen[-1000:])
    # All that an fsync promised is in the log.
    repair(t, path)
    for i in range(last):
        said = t.tool(["debugfs", "-R", f"cat /n{i}", path])
        t.check(said.endswith(f"\n{i}\n"), f"n{i} has {said!r}")
