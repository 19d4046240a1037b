# SPDX-License-Identifier: MIT
"""QEMU with KVM and nested virtualization, the computer around it emulated:
the least that must work there, on as few machines as possible, for each takes
a minute of CPU time (nested-intel: three). `make test-all` runs the other
tests on nested-amd too."""

import re

from cases_isolation import busy
from runner import case

# Both directions of the channel, and what Linux sees of the machine.
SOUND = ("set -e; head -c 300000 /dev/urandom > /mnt/host/a; "
         "cp /mnt/host/a /tmp/a; cmp /tmp/a /mnt/host/a; nproc; "
         "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo")


def seconds(text):
    """H:MM:SS.mmm in what `status` says."""
    hours, minutes, rest = re.search(r"up (\d+):(\d+):([\d.]+),", text).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def clock(t, console):
    """Linux's clock goes as the host partition's does."""
    def uptime():
        return float(re.search(r"^([\d.]+) [\d.]+$", console.run(
            "exec cat /proc/uptime"), re.M)[1])

    outer, inner = seconds(console.run("status")), uptime()
    console.run("exec sleep 3")
    inner, outer = uptime() - inner, seconds(console.run("status")) - outer
    t.check(3 <= inner < outer, f"Linux counted {inner:.2f} s, the host "
            f"partition {outer:.2f} s around it")


def life(t):
    """Console, commands, files, clock; a crash, and Linux is back."""
    console = t.console("--append", "panic=-1")
    console.ready()
    said = console.run("exec uname; nproc; echo kept > /mnt/host/f")
    t.check(re.search(r"^Linux\s+1$", said, re.M), f"it said {said!r}")
    clock(t, console)
    console.send("exec echo c > /proc/sysrq-trigger")
    console.ready()
    t.check("kept\n" in console.run("exec cat /mnt/host/f"),
            "the next Linux does not see the file")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def two_cpus(t, *options):
    """Both CPUs, files and sockets."""
    overlay = t.overlay({"bin/sockets": t.guest_program("sockets")})
    result = t.exec(SOUND + "; sockets", "--smp", "2", "--overlay", overlay,
                    *options)
    t.check(result.out.startswith("2\n"), f"CPUs: {result.out!r}")
    t.check("sockets: all passed" in result.out, result.out[-2000:])


@case("nested-amd-life", "nested AMD-V: exec, files, clock, crash", only=())
def amd_life(t):
    t.on("nested-amd")
    life(t)


@case("nested-amd-smp2", "nested AMD-V: 2 CPUs, files, sockets", only=(),
      later=("nested-amd",))
def amd_smp2(t):
    t.on("nested-amd")
    two_cpus(t, "--machine", "pc", "--boot-disk", "virtio")


@case("nested-amd-hog", "nested AMD-V: cli; jmp $ does not keep the processor",
      only=(), later=("nested-amd",))
def amd_hog(t):
    t.on("nested-amd")
    busy(t, "spin")


@case("nested-intel-life", "nested VT-x: exec, files, clock, crash", only=(),
      later=("nested-intel",))
def intel_life(t):
    t.on("nested-intel")
    life(t)
