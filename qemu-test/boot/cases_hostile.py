# SPDX-License-Identifier: MIT
"""Enemies, with one oracle for all: docs/hostile.md."""

import hostile_rules as rules
from hostile import Hostile
from runner import BOCHS, QEMU, case

REAL = ("bochs", *QEMU)
WHY = ("Bochs' AMD-V has no exit for an interrupt from a guest that was "
       "entered with interrupts off")


@case("hostile", "what a processor can be asked for: 17 rows, all oracles",
      only=REAL, why=WHY, later=QEMU)
def hostile(t):
    enemy = Hostile(t, ["cpu-rows"])
    enemy.until_end()
    enemy.judge(rules.of("cpu", t.platform))
