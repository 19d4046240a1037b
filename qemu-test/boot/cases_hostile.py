# SPDX-License-Identifier: MIT
"""Enemies, with one oracle for all: docs/hostile.md."""

import hostile_rules as rules
from hostile import Hostile
from runner import BOCHS, QEMU, case

REAL = ("bochs", *QEMU)
WHY = ("Bochs' AMD-V has no exit for an interrupt from a guest that was "
       "entered with interrupts off")


SLOW = "on QEMU it has not been seen to its end"


@case("hostile", "what a processor can be asked for: 17 rows, all oracles",
      only=("bochs",), why=SLOW)
def hostile(t):
    enemy = Hostile(t, ["cpu-rows"])
    enemy.until_end()
    enemy.judge(rules.of("cpu", t.platform))


@case("hostile-storm", "the same again and again: 7 rows, all oracles",
      only=("bochs",), why=SLOW, later=REAL)
def hostile_storm(t):
    enemy = Hostile(t, ["storm-rows"])
    enemy.until_end()
    enemy.judge(rules.of("storm", t.platform))


@case("hostile-channel", "rings, connections, files, disks by hand: 15 rows, "
      "all oracles, and the service that is owed", only=REAL, why=WHY, later=REAL)
def hostile_channel(t):
    enemy = Hostile(t, ["channel-rows"])
    enemy.until_end()
    enemy.judge(rules.of("channel", t.platform))


@case("hostile-lives", "what ends a partition, or never ends: 32 lives of 9 "
      "rows, all oracles, and then the service that is owed",
      only=("bochs",), why=SLOW, later=REAL)
def hostile_lives(t):
    lives = rules.lives(t.platform)
    enemy = Hostile(t, [test for test, _ in lives])
    enemy.lives([outcome for _, outcome in lives])
    enemy.judge(rules.of("lives", t.platform))
