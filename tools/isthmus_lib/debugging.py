# SPDX-License-Identifier: MIT
"""`isthmus boot --gdb`, `--qmp` and `--deterministic`: what they add to an
emulator's command line, and what the user is told. docs/debugging.md explains
them."""

import os
import re

from isthmus_lib.common import ROOT, Failure, run, say

GDB_PORT = 1234
SCRIPT = os.path.join("tools", "gdb", "isthmus.gdb")
# Time counted in instructions, a fixed clock and fixed random numbers: the
# same run every time.
DETERMINISTIC = ["-icount", "shift=0,sleep=off",
                 "-rtc", "base=2024-01-01,clock=vm", "-seed", "42"]
REPEATING = ("qemu-tcg", "bochs", "bochs-amd")
STUB = re.compile(r"tcp:(?:127\.0\.0\.1|localhost)?:(\d+)|unix:.+")


def add_options(group):
    """The options, for a group of `isthmus boot`."""
    group.add_argument("--gdb", nargs="?", const=f"tcp::{GDB_PORT}",
                       metavar="STUB", help="wait for gdb before the first "
                       "instruction (QEMU only): tcp::PORT of this computer "
                       f"(default tcp::{GDB_PORT}) or unix:PATH; then: gdb -x "
                       + SCRIPT)
    group.add_argument("--qmp", metavar="FILE", help="QEMU: its monitor (QMP) "
                       "listens on the socket FILE")
    group.add_argument("--deterministic", action="store_true", help="the "
                       "same run every time, byte for byte (Bochs is so "
                       "anyway; QEMU counts instructions, and is slower)")


def qemu_arguments(settings):
    """Arguments for qemu-system-x86_64."""
    added = list(DETERMINISTIC) if settings.deterministic else []
    if added and (settings.more_disks() or settings.nic):
        # A disk and a network take their time: a clock that ran ahead for
        # everybody who waits for them would run timers all the while.
        added[1] = "shift=0,sleep=on"
    if settings.gdb:
        added += ["-S", "-gdb", stub(settings.gdb)]
    if settings.qmp:
        added += ["-qmp", f"unix:{_quoted(settings.qmp)},server=on,wait=off"]
    return added


def _quoted(path):
    return os.path.abspath(path).replace(",", ",,")


def bochs_prefix(folder, settings):
    """What goes before a Bochs command: a fixed time(), from which Bochs
    takes the date and its random numbers."""
    if not settings.deterministic:
        return []
    library = os.path.join(folder, "fixed-time.so")
    run(["gcc", "-shared", "-fPIC", "-O2", "-o", library,
         os.path.join(ROOT, "tools", "fixed-time.c")])
    return ["env", f"LD_PRELOAD={library}"]


def stub(text):
    """QEMU's name of the debugger's connection, on this computer only."""
    found = STUB.fullmatch(text)
    if not found:
        raise Failure(f"--gdb {text}: expected tcp::PORT or unix:PATH", 2)
    if found[1]:
        return f"tcp:127.0.0.1:{found[1]}"
    return text + ",server=on,wait=off"


def check(platform, settings):
    """Refuses what the platform cannot do; says how to go on."""
    if settings.deterministic and platform.name not in REPEATING:
        raise Failure(f"--deterministic: {platform.name} does not repeat "
                      "itself; --platform qemu-tcg or bochs does", 2)
    if settings.qmp and not platform.name.startswith("qemu"):
        raise Failure(f"--qmp needs QEMU; the platform is {platform.name}", 2)
    if not settings.gdb:
        return
    if not platform.name.startswith("qemu"):
        raise Failure(f"--gdb needs QEMU; the platform is {platform.name} "
                      "(--platform qemu-tcg); Bochs has a debugger of its "
                      "own: docs/debugging.md", 2)
    target = stub(settings.gdb)
    where = target[4:] if target.startswith("tcp:") else \
        target[5:].split(",")[0]
    say("the machine waits for gdb; in another terminal, in "
        f"{ROOT}:\n  gdb -x {SCRIPT}"
        + ("" if where.endswith(f":{GDB_PORT}")
           else f" -ex 'target remote {where}'"))
