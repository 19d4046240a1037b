# SPDX-License-Identifier: MIT
"""Enemies, with one oracle for all: docs/hostile.md."""

import os
import sys

import hostile_rules as rules
from cases_isolated import ANY, VENDOR, make
from hostile import HOST, Hostile
from runner import QEMU, ROOT, case

sys.path.insert(0, os.path.join(ROOT, "qemu-test", "mutants"))
from registers import MUTANTS  # noqa: E402

REAL = ("bochs", *QEMU)
WHY = ("Bochs' AMD-V has no exit for an interrupt from a guest that was "
       "entered with interrupts off")


# Those of hostile-mutants whose names have it.
WORD = os.environ.get("MUTANT", "")
# How often as often as usual hostile-long does what it does.
TIMES = int(os.environ.get("HOSTILE_TIMES", "20"))


def judge(t, enemy, group, by=1):
    t.left_out += rules.left_out(group, t.platform)
    enemy.judge(rules.of(group, t.platform, by))


def rows(t, group, by=1, timeout=200):
    """A group of guest/payload/hostile.c, with a factor."""
    enemy = Hostile(t, [f"{group}-rows:{by:x}"], timeout=timeout)
    enemy.until_end()
    judge(t, enemy, group, by)


@case("hostile", "what a processor can be asked for: 17 rows, all oracles",
      only=REAL, why=WHY, later=QEMU)
def hostile(t):
    rows(t, "cpu")


@case("hostile-storm", "the same again and again: 7 rows, all oracles",
      only=REAL, why=WHY, later=REAL)
def hostile_storm(t):
    rows(t, "storm")


@case("hostile-channel", "rings, connections, files, disks by hand: 17 rows, "
      "all oracles, and the service that is owed", only=REAL, why=WHY,
      later=REAL)
def hostile_channel(t):
    rows(t, "channel")


@case("hostile-long", "ten rows twenty times as often, or HOSTILE_TIMES: "
      "400,000 times for 20,000", only=REAL, why=WHY, later=REAL)
def hostile_long(t):
    rows(t, "long", TIMES, 60 * TIMES)


@case("hostile-lives", "what ends a partition, or never ends: 33 lives of 9 "
      "rows, all oracles, and then the service that is owed", only=REAL,
      why=WHY, later=REAL)
def hostile_lives(t):
    lives = rules.lives(t.platform)
    enemy = Hostile(t, [test for test, _ in lives])
    enemy.lives([outcome for _, outcome in lives])
    judge(t, enemy, "lives")


@case("hostile-two", "two vCPUs: an instruction that is replaced after its "
      "exit, headers that change while the host reads; all oracles",
      only=REAL, why=WHY, later=REAL)
def hostile_two(t):
    # QEMU's firmware does not come up on two CPUs that count instructions
    exact = t.platform not in QEMU
    enemy = Hostile(t, ["two-rows"], "--smp", "2", vcpus=2, exact=exact,
                    timeout=400)
    enemy.until_end()
    judge(t, enemy, "two")


@case("hostile-host", "a host partition that asks for what it may not have, "
      "and for what fails within: 2 rows, all oracles, and the service that is "
      "owed", only=REAL, why=WHY, later=REAL)
def hostile_host(t):
    enemy = Hostile(t, ["HG27/service"], host=HOST, timeout=300)
    console = enemy.console
    console.expect("HOST end")
    for _ in range(2):              # the second begins, and ends the first
        ends = enemy.enemy_said().count("PAYLOAD end\n")
        console.run("linux stop enemy")
        console.send("linux start enemy")
        enemy.until_end(ends + 1)
    judge(t, enemy, "host")


@case("hostile-mutants", "hypervisors that do not switch a register, each: the "
      "canary's look at its own finds it", only=REAL, why=WHY, later=REAL)
def hostile_mutants(t):
    wrong = []
    for name, vendor, file, old, new in MUTANTS:
        if vendor not in (ANY, VENDOR[t.platform]) or WORD not in name:
            continue
        program = t.path("mutant.elf")
        make(file, old, new, program, target="changed-hostile")
        enemy = Hostile(t, ["register-rows"], exact=False,
                        hypervisor=program)
        found = enemy.registers()
        if not found:
            wrong.append(f"{name}: the canary has not seen it")
        t.note += f"\n    {name}: {found}"
    t.check(not wrong, "\n".join(wrong))
