# SPDX-License-Identifier: MIT
"""Outcomes of tests, and their sum."""

import re
from dataclasses import dataclass

SHOWN = 40              # last lines of a failed test that are printed
SKIPPED = re.compile(r"^SKIPPED: (.+)$", re.M)
SUM = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped\s*\Z", re.M)


@dataclass
class Outcome:
    """What one test program or one boot test came to."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    details: str = ""
    note: str = ""


def of_check(name, status, text):
    """The outcome of a program with that exit status and output."""
    skipped = SKIPPED.findall(text)
    counts = int(status == 0), int(status != 0), len(skipped)
    # make says more after the sum when something failed
    if found := SUM.search(re.sub(r"^make.*\n?", "", text, flags=re.M)):
        counts = tuple(int(n) for n in found.groups())
        if status and not counts[1]:    # it did not count what went wrong
            counts = counts[0], 1, counts[2]
    return Outcome(name, *counts, text, "; ".join(skipped))


class Tally:
    """Prints outcomes as they come and counts them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, outcome):
        self.passed += outcome.passed
        self.failed += outcome.failed
        self.skipped += outcome.skipped
        word = "FAIL" if outcome.failed else \
            "pass" if outcome.passed else "skip"
        count = outcome.passed + outcome.failed + outcome.skipped
        extra = f" ({outcome.passed} of {count})" if count > 1 else ""
        note = f"  {outcome.note}" if outcome.note else ""
        print(f"{word} {outcome.name}{extra}{note}", flush=True)
        if outcome.failed:
            for line in outcome.details.splitlines()[-SHOWN:]:
                print("     | " + line, flush=True)

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, " \
               f"{self.skipped} skipped"
