# SPDX-License-Identifier: MIT
"""Tests that need two platforms, or two runs on one: the same guest program
exits alike on VT-x and AMD-V; the same run gives the same log."""

import os
import re
import sys

from runner import ROOT, case

sys.path.insert(0, os.path.join(ROOT, "qemu-test", "diff"))

import exit_trace  # noqa: E402
import rules  # noqa: E402

MANIFEST = "qemu-test/diff/diff.dts"
PROGRAM = "build/guest/diff.bzImage"
HYPERVISOR = "build/hypervisor/hypervisor-trace.elf"
END = f"port={exit_trace.MARK_PORT:x} size=4 value={exit_trace.MARK_END:x}"
# What a run should not repeat by itself: the kernel's time stamps, the
# clock, interrupts, random numbers, and the time in nanoseconds, which are
# instructions on QEMU: one more or less, anywhere, is seen.
TELLING = "dmesg; date; cat /proc/interrupts; head -c 16 /dev/urandom | " \
    "od -x; head -4 /proc/timer_list"


def alike(t, pair):
    """The program's exits are the same on these two."""
    t.need(PROGRAM, HYPERVISOR)
    texts = []
    for platform in pair:
        result = t.boot("--platform", platform, "--manifest", MANIFEST,
                        "--until", END)
        t.check(result.status == 0,
                f"{platform}: status {result.status}: {result.err}")
        texts.append(result.linux)
    version = t.tool(["qemu-system-x86_64", "--version"])
    newer = int(re.search(r"version (\d+)", version)[1]) >= 10
    count, wrong = exit_trace.compare(
        texts, pair, rules.KNOWN_QEMU_10 if newer else ())
    t.check(wrong is None, f"{count} exits are equal, then:\n{wrong}")
    t.check(count > 800, f"only {count} exits were compared")


@case("diff", "a guest program exits alike on VT-x and AMD-V, exit by exit",
      only=())
def diff(t):
    alike(t, ("bochs", "qemu-tcg"))


def repeats(t, platform):
    """Two runs, the same bytes on every line."""
    first, second = (t.exec(TELLING, "--platform", platform,
                            "--deterministic", timeout=300)
                     for _ in range(2))
    for what in ("out", "serial", "linux"):
        one, two = getattr(first, what), getattr(second, what)
        at = next((i for i, (a, b) in enumerate(zip(one, two)) if a != b),
                  min(len(one), len(two)))
        t.check(one == two, f"{what} differs at byte {at}: "
                f"{one[max(0, at - 60):at + 60]!r} and "
                f"{two[max(0, at - 60):at + 60]!r}")
    t.check("Linux version" in first.out, "the kernel's log is not there")


@case("repeat-bochs", "two runs on Bochs give the same log, byte for byte",
      only=())
def repeat_bochs(t):
    repeats(t, "bochs")


@case("repeat-qemu-tcg", "two runs on QEMU give the same log, byte for byte",
      only=(), later=("qemu-tcg",))
def repeat_qemu(t):
    repeats(t, "qemu-tcg")
