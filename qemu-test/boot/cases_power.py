# SPDX-License-Identifier: MIT
"""Power cuts on machines: each disk driver's writes are written down, and what
any flush and what lies between two may leave is judged."""

import os
import shutil

import power
from runner import QEMU, case

MIB = 16
ALL = "TEST_ALL" in os.environ


def new_volume(t, name="volume.img", mib=MIB, block_size=1024):
    path = t.path(name)
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(block_size), path,
            f"{mib}M"])
    return path


def logged(t, path, *options, turns, most, run="promises /mnt/host",
           look=power.look):
    """Linux replaces, appends and unpacks while QEMU writes down what reaches
    the disk."""
    base, log = t.path("base"), t.path("log")
    shutil.copyfile(path, base)
    overlay = t.overlay({"bin/promises": t.guest_program("promises")})
    console = t.console("--disk", path, "--disk-volume", "--disk-log", log,
                        "--overlay", overlay, *options, timeout=300)
    console.ready()
    console.send("exec " + run)
    acks, last = [], 0
    while last < turns:
        last = int(console.expect(r"\nlog-(\d+)\r?\n")[1])
        seen = power.said(console.seen[:console.at])
        # What was promised before this is in the log by now.
        acks.append((os.path.getsize(log), seen))
    console.close()
    try:
        judged, count = power.judge_log(base, log, acks, most, look=look)
    except power.Wrong as error:
        t.check(False, str(error))
    t.check(count > turns, f"only {count} states of {last} turns")
    t.note = f" ({judged} states of {count}, {last} turns)"
    for name in (path, base, log):
        os.unlink(name)


@case("power-log", "what virtio's flushes allow a power cut to leave keeps "
      "all promises", only=QEMU, why="it takes QEMU's blklogwrites")
def power_log(t):
    logged(t, new_volume(t), turns=100 if ALL else 24,
           most=600 if ALL else 60)


@case("power-log-nvme", "what NVMe's do, in blocks of 4 KiB, likewise",
      only=QEMU, why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_nvme(t):
    logged(t, new_volume(t, block_size=4096), "--disk-bus", "nvme", turns=100,
           most=400)


@case("power-log-ahci", "what SATA's do likewise", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_ahci(t):
    logged(t, new_volume(t), "--disk-bus", "ahci", turns=100, most=400)


@case("power-log-ide", "what IDE's do likewise", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_ide(t):
    logged(t, new_volume(t), "--disk-bus", "ide", "--machine", "pc",
           turns=100, most=400)


def look_into(image, promised):
    """At the disk of Linux's that is a file of the volume."""
    power.recover(image)
    inner = power.dump(image, "linux-disk", image + ".inner")
    try:
        power.look(inner, promised)
    finally:
        os.unlink(inner)


@case("power-linux-disk", "what fsync promised on a disk of Linux's in a file "
      "of the volume is there, too", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_linux_disk(t):
    path, inner = new_volume(t, mib=24), new_volume(t, "linux-disk", 8)
    t.tool(["debugfs", "-w", "-R", f"write {inner} linux-disk", path])
    logged(t, path, "--linux-disk", "8", turns=60, most=400, look=look_into,
           run="mkdir /d; mount -t ext4 /dev/isthmus0 /d && promises /d")
