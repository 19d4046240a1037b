# SPDX-License-Identifier: MIT
"""Outcomes of tests, and their sum."""

from dataclasses import dataclass

SHOWN = 40              # last lines of a failed test that are printed


@dataclass
class Outcome:
    """What one test program or one boot test came to."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    details: str = ""
    note: str = ""


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
