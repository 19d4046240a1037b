# SPDX-License-Identifier: MIT
"""Tests of the comparison: what rules.py masks is masked, and everything
else is found."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import exit_trace  # noqa: E402

END = "T1.0 io rip=9 out port=d1f0 size=4 value=e0d ->\n"
START = "T1.0 start rip=200200 cs-base=0 cr0=80000031\n"


def compare(one, two):
    """None when equal, else the text of the divergence."""
    _, wrong = exit_trace.compare([START + one + END, START + two + END],
                                  ["one", "two"])
    return wrong


class Comparison(unittest.TestCase):
    def equal(self, one, two):
        self.assertIsNone(compare(one, two))

    def differ(self, one, two):
        self.assertIsNotNone(compare(one, two))

    def test_equal_lines(self):
        line = "T1.0 io rip=1 in port=20 size=1 -> rax=ff next+1\n"
        self.equal(line, line)
        self.assertEqual(exit_trace.compare([START + line + END] * 2,
                                            ["a", "b"]), (2, None))

    def test_every_part_of_a_line_counts(self):
        line = "T1.0 msr-write rip=1 reg=277 value=6 -> pat=6 next+2\n"
        for old, new in (("write", "read"), ("rip=1", "rip=3"),
                         ("277", "278"), ("value=6", "value=7"),
                         ("pat=6", "pat=7"), (" pat=6", ""),
                         ("next+2", "next+3"), (" next+2", ""),
                         ("-> pat=6 next+2", "-> exception=d error=0")):
            self.differ(line, line.replace(old, new, 1))

    def test_an_exit_too_many(self):
        line = "T1.0 hlt rip=1 -> next+1 halts\n"
        self.differ(line, line * 2)
        self.differ(line + "T1.1 hlt rip=5 -> next+1 halts\n", line)

    def test_time_is_left_out(self):
        line = "T1.0 hlt rip=1 -> next+1 halts\n"
        self.equal(line, "T1.0 timer rip=1 ->\n" + line
                   + "T1.0 ext-intr rip=2 ->\nT1.0 intr-window rip=2 ->\n")
        self.differ(line + "T1.0 event rip=2 intr=40\n", line)
        self.equal("T1.0 msr-write rip=1 reg=6e0 value=111 -> next+2\n",
                   "T1.0 msr-write rip=1 reg=6e0 value=222 -> next+2\n")

    def test_interleaving_of_vcpus_is_left_out(self):
        one = "T1.0 hlt rip=1 -> next+1 halts\n"
        two = "T1.1 hlt rip=2 -> next+1 halts\n"
        self.equal(one + two, two + one)

    def test_cpuid_masks(self):
        line = "T1.0 cpuid rip=1 leaf={} sub=0 -> rax={} rcx={} rdx=0 rbx=1 " \
               "next+2\n"
        self.equal(line.format("0", "d", "1234"), line.format("0", "d", "56"))
        self.differ(line.format("0", "d", "1"), line.format("0", "e", "1"))
        self.differ(line.format("1", "0", "1"), line.format("1", "0", "3"))
        self.equal(line.format("1", "0", "20000"), line.format("1", "0", "0"))

    def test_control_register_writes_of_guest_owned_bits(self):
        owned = "T1.0 cr-access rip=1 write cr=0 value=80010031 -> " \
                "cr0=80010031 next+3\n"
        other = owned.replace("80010031", "80000011")
        self.equal(owned + "T1.0 cr-access rip=2 clts cr=0 -> next+2\n", "")
        self.differ(other, "")
        # what an accepted write changed is remembered, a refused one's not
        self.equal(other + other, other)
        refused = other[:other.index("->")] + "-> exception=d error=0\n"
        self.differ(refused + other, refused)

    def test_reads_that_only_amd_v_sees(self):
        read = "T1.0 cr-access rip=5 read cr={} -> rax=20 next+3\n"
        self.equal(read.format(4), "")
        self.differ(read.format(8), "")

    def test_marked_stretches(self):
        mark = "T1.0 io rip=1 out port=d1f0 size=4 value={} -> next+1\n"
        on, off = mark.format("102"), mark.format("100")
        line = "T1.0 exception rip=5 vector=11 -> exception=11 error=0\n"
        self.equal(on + line + off, on + off)
        self.differ(on + off + line, on + off)
        on = mark.format("104")
        line = "T1.0 memory rip=5 gpa=6002000 access=r ->\n"
        self.equal(on + line + off,
                   on + line.replace("access=r", "access=w") + off)
        self.differ(on + line + off,
                    on + line.replace("2000", "3000") + off)

    def test_stretches_of_one_emulator(self):
        mark = "T1.0 io rip=1 out port=d1f0 size=4 value={} -> next+1\n"
        line = "T1.0 skip rip=5 -> next+2\n"
        texts = [START + mark.format("105") + middle + mark.format("100")
                 + END for middle in (line, "")]
        self.assertIsNotNone(exit_trace.compare(texts, "ab")[1])
        self.assertIsNone(exit_trace.compare(
            texts, "ab", exit_trace.rules.KNOWN_QEMU_10)[1])

    def test_a_trace_without_its_end(self):
        _, wrong = exit_trace.compare([START + END, START], ["a", "b"])
        self.assertIn("b: the trace does not reach the end mark", wrong)
        _, wrong = exit_trace.compare(["", ""], ["a", "b"])
        self.assertIsNotNone(wrong)

    def test_both_states_are_shown(self):
        one = "T1.0 msr-write rip=1 reg=277 value=6 -> pat=6 next+2\n"
        wrong = compare(one + "T1.0 hlt rip=7 -> next+1 halts\n",
                        one + "T1.0 hlt rip=8 -> next+1 halts\n")
        for text in ("vCPU 1.0: exit 3 differs", "--- one", "--- two",
                     "> hlt rip=7", "> hlt rip=8", "pat=6"):
            self.assertIn(text, wrong)


if __name__ == "__main__":
    unittest.main()
