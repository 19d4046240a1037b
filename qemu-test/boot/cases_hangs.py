# SPDX-License-Identifier: MIT
"""Disks that hang: one that is well after its reset, one that is not."""

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
