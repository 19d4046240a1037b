# SPDX-License-Identifier: MIT
"""That shared words of a ring are read and written by the one accessor, in our
programs and in Linux's driver: a compiler may read anything else twice."""

import glob
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib.common import ROOT  # noqa: E402

SOURCES = ("proto/ring.h", "host-bridge/*/*.[ch]", "guest/driver/*.[ch]")
# A word of the header that the other end may change, or look at.
SHARED = re.compile(r"(\w+\()?(&?)[\w.>-]*\b(peer|own)->"
                    r"(magic|version|generation|prod|cons|prod_event|"
                    r"cons_event|live)\b")
ALLOWED = {("peer", "ring_load("), ("own", "ring_store("),
           ("own", "ring_load(")}


def faults(text):
    """Lines of C that read or write a shared word otherwise."""
    found = []
    # before anybody looks: its own header is cleared and filled
    text = re.sub(r"static inline enum ring_status ring_init\(.*?\n}\n",
                  lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text,
                  flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        for call, address, end, word in SHARED.findall(line):
            if not address or (end, call) not in ALLOWED:
                found.append(f"{number}: {end}->{word}: {line.strip()}")
    return found


class RingLoads(unittest.TestCase):
    def test_ours(self):
        seen = 0
        for pattern in SOURCES:
            for path in glob.glob(os.path.join(ROOT, pattern)):
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                seen += len(SHARED.findall(text))
                self.assertEqual(faults(text), [], path)
        self.assertGreater(seen, 15)

    def test_faults(self):
        for line in ("if (r->peer->prod == 3) {", "x = s.ring.peer->magic;",
                     "r->own->prod = 4;", "f(&r->peer->cons);",
                     "ring_store(&r->peer->cons, 1);"):
            self.assertEqual(len(faults(line)), 1, line)
        self.assertEqual(faults("x = ring_load(&r->peer->prod);"), [])
        self.assertEqual(faults("/* r->peer->prod */"), [])


if __name__ == "__main__":
    unittest.main(verbosity=0)
