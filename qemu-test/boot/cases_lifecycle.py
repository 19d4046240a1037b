# SPDX-License-Identifier: MIT
"""Linux stops, crashes and comes back; nothing is leaked."""

import re

from runner import BOCHS, QEMU, case

ROUNDS = 20


def owners(console):
    """{owner: bytes} as `memory` shows them."""
    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    found = re.findall(r"^  (\w[\w -]*?) +([\d.]+) (B|KiB|MiB|GiB)$",
                       console.run("memory"), re.M)
    return {name: round(float(n) * units[unit]) for name, n, unit in found}


def _again(console, command):
    """Ends a running Linux with that command, waits for the next one."""
    console.send(command)
    console.ready()


def _hard(console):
    """Stops Linux in the middle of its boot, where it cannot be asked."""
    console.run("linux stop")
    console.send("linux start")
    console.expect("isthmus: stage 66 ")
    console.run("linux stop")
    console.send("linux start")
    console.ready()


# Ways to end: asked to, a panic, a reset by itself, and in mid-air.
WAYS = (lambda c: _again(c, "linux restart"),
        lambda c: _again(c, "exec echo c > /proc/sysrq-trigger"),
        _hard,
        lambda c: _again(c, "exec reboot -f"))


TOUCHED = 4 << 12
UNIT = 2 << 20                  # of memory that a touch may be given
HEAP_KIB = 32                   # by which the heap may become larger, once


def heap(console):
    """KiB of host-bridge's heap, as `memory` shows them."""
    return int(re.search(r"heap, within host: (\d+) KiB",
                         console.run("memory"))[1])


@case("restart-20", "Linux killed and restarted 20 times, no page leaked",
      later=BOCHS)
def restart_20(t):
    console = t.console("--append", "panic=-1", timeout=900)
    console.ready()
    before = None
    write = "exec echo still here > /mnt/host/f; cat /mnt/host/f"
    for i in range(ROUNDS):
        WAYS[i % len(WAYS)](console)
        if i == len(WAYS) - 1:          # each way has been gone once
            console.run(write)          # and files have had their memory
            console.run("linux stop")
            before, small = owners(console), heap(console)
            t.check("free" in before, f"memory shows {before}")
            console.send("linux start")
            console.ready()
    said = console.run(write)
    t.check("still here" in said, f"the last Linux said {said!r}")
    console.run("linux stop")
    after = owners(console)
    # of its stack and heap the host may have touched a page more; one for each
    # restart would be more than that. The heap's end may have come to another
    # unit, for what was needed at once.
    touched = after["host"] - before["host"]
    grown = heap(console) - small
    beyond = UNIT if grown > 0 and touched >= UNIT else 0
    t.check(grown <= HEAP_KIB, f"the heap has grown by {grown} KiB")
    t.check(0 <= touched - beyond <= TOUCHED and after == {
        **before, "host": before["host"] + touched,
        "free": before["free"] - touched},
            f"owners before {before}, after {after}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# The kernel's ways to reset a PC (Documentation/ABI/testing/sysfs-kernel-reboot).
# There is no EFI and no keyboard controller: it goes on to the next way.
REBOOTS = ("acpi", "efi", "bios", "pci", "kbd", "triple")


def reboots(console, ways):
    """Each way in turn, and the kernel's own choice, end this Linux and bring
    the next one."""
    console.ready()
    console.send("exec reboot -f")
    console.ready()
    for way in ways:
        console.send(f"exec echo {way} > /sys/kernel/reboot/type; reboot -f")
        console.ready()
    console.send("poweroff")


@case("reboot-ways", "whichever way Linux reboots, it comes back",
      only=("bochs", "qemu-tcg"), why="there a triple fault resets the machine",
      later=BOCHS)
def reboot_ways(t):
    console = t.console(timeout=600)
    reboots(console, REBOOTS)
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("linux-crash", "a crash is reported; the host partition goes on")
def linux_crash(t):
    console = t.console("--append", "panic=-1")
    console.ready()
    console.send("exec echo c > /proc/sysrq-trigger")
    console.ready()
    said = console.run("linux log")
    t.check("Kernel panic - not syncing: sysrq triggered crash" in said,
            f"the log does not tell of the panic: {said[-800:]!r}")
    t.check(console.state() == "running", "it does not run after a crash")
    if t.platform not in (*BOCHS, *QEMU):   # there disk-kept-ide shows it
        console.send("reboot")
        console.ready()
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# Ends in its own way, in which the first signal must not be followed by
# another.
SERVICE = ("#!/bin/sh\n"
           "trap 'sleep 0.5; echo saved > /mnt/host/saved; exit' TERM\n"
           "while :; do sleep 0.1; done\n")


@case("console-files", "ls cat cp rm mkdir on the volume and in Linux",
      later=BOCHS)
def console_files(t):
    with open(t.path("service"), "w", encoding="ascii") as f:
        f.write(SERVICE)
    console = t.console("--overlay",
                        t.overlay({"bin/service": t.path("service")}))
    console.ready()
    console.run("mkdir /d")
    console.run("exec echo from linux > /tmp/f")
    console.run("cp linux:/tmp/f /d/f")
    said = console.run("cat /d/f")
    t.check("from linux\n" in said, f"cat said {said!r}")
    console.run("exec echo more >> /mnt/host/d/f")
    console.run("cp /d/f linux:/tmp/g")
    said = console.run("exec cat /tmp/g")
    t.check("from linux\nmore\n" in said, f"Linux has {said!r}")
    t.check("f" in console.run("ls /d").split(), "ls does not show the file")
    t.check("g" in console.run("ls linux:/tmp").split(),
            "ls does not show Linux's file")
    console.run("rm /d/f")
    t.check("f" not in console.run("ls /d").split(), "the file is still there")
    t.check("no such" in console.run("cat /d/f").lower(),
            "no message for a missing file")
    # A shutdown that lets a service end, but no shell at a terminal stay.
    console.run("exec setsid sh /bin/service >/dev/null 2>&1 &")
    console.run("linux stop")
    t.check(console.run("cat /saved") == "saved\n",
            "a service was killed before it had ended")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
