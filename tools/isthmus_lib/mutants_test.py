# SPDX-License-Identifier: MIT
"""Tests of tools/mutants, on a tree of a few lines with a makefile like
ours."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(sys.path[0], "..", "qemu-test", "mutants"))

import isolation  # noqa: E402

from isthmus_lib import mutants  # noqa: E402
from isthmus_lib.common import ROOT, Failure  # noqa: E402

MAKEFILE = """
right_SRCS := qemu-test/right.c boot/sum.c
build/unit/obj/%.o: %
	@mkdir -p $(@D)
	@gcc -I. -MMD -MP -Wall -Werror -c -o $@ $<
build/unit/%: build/unit/obj/qemu-test/%.c.o build/unit/obj/boot/sum.c.o
	@gcc -I. -o $@ $^
-include $(wildcard build/unit/obj/*/*.d)
"""
FILES = {
    "Makefile": MAKEFILE,
    "boot/sum.h": "#define LAST 3\nint sum(void);\n",
    "boot/sum.c": '#include "sum.h"\n'
                  "int sum(void)\n{\n\tint s = 0;\n\tint unused = 0;\n"
                  "\n\t(void)unused;\n"
                  "\tfor (int i = 0; i <= LAST; i++) {\n\t\ts += i;\n\t}\n"
                  "\treturn s;\n}\n",
    "qemu-test/right.c": '#include "boot/sum.h"\n'
                         "int main(void)\n{\n\treturn sum() != 6;\n}\n",
    "qemu-test/weak.c": '#include "boot/sum.h"\n'
                        "int main(void)\n{\n\treturn sum() < 0;\n}\n",
    "qemu-test/wrong.c": "int main(void)\n{\n\treturn 1;\n}\n",
}
LESS = "mutant one less\n- i <= LAST\n+ i < LAST\n"


class Parsing(unittest.TestCase):
    def parsed(self, text):
        return mutants.parse(text, "room")

    def test_of_a_list(self):
        first, second = self.parsed(
            "# note\nfile a/b.c\nby x y\n\nmutant one\n- \told\n-\n- \tline\n"
            "mutant two\neach z w\nequivalent it is = the same\n- a\n+ b\n+\n")
        self.assertEqual((first.room, first.file, first.name, first.tests,
                          first.each, first.argument),
                         ("room", "a/b.c", "one", ["x", "y"], False, ""))
        self.assertEqual(first.applied("\told\n\n\tline\n"), "\n")
        self.assertEqual((second.tests, second.each, second.argument),
                         (["z", "w"], True, "it is = the same"))
        self.assertEqual(second.applied("1a1"), "1b\n1")

    def test_tests_are_the_file_s(self):
        with self.assertRaises(Failure):
            self.parsed("file a\nby x\nmutant m\n- 1\n"
                        "file b\nmutant n\n- 1\n")

    def test_what_is_wrong_with_a_list(self):
        for text in ("mutant m\n- a\n", "file a\nby x\nmutant m\n+ a\n",
                     "file a\nmutant m\n- a\n", "file a\nby x\nwhat\n",
                     "file a\n- a\n"):
            with self.assertRaises(Failure, msg=text):
                self.parsed(text)

    def test_one_place(self):
        mutant, = self.parsed("file a\nby x\nmutant m\n- b\n+ c\n")
        self.assertIsNone(mutant.applied("abab"))
        self.assertIsNone(mutant.applied("a"))
        mutant.new = ["b"]
        self.assertIsNone(mutant.applied("ab"))

    def test_ours_have_their_places(self):
        for mutant in mutants.load(ROOT):
            with open(os.path.join(ROOT, mutant.file),
                      encoding="utf-8") as f:
                self.assertIsNotNone(mutant.applied(f.read()), str(mutant))

    def test_those_that_are_booted_have_theirs(self):
        text = {}
        for name, _, file, old, new, *_ in isolation.MUTANTS:
            if file not in text:
                with open(os.path.join(ROOT, "hypervisor", file),
                          encoding="utf-8") as f:
                    text[file] = f.read()
            self.assertEqual(text[file].count(old), 1, f"{file}: {name}")
            self.assertNotEqual(old, new, name)


class Table(unittest.TestCase):
    def below(self, *counts):
        """What is below a gate, of (file, verdict, how many)."""
        return mutants.table([
            (mutants.Mutant("r", file, "m", [], known=True), verdict)
            for file, verdict, count in counts for _ in range(count)])[1]

    def test_gates(self):
        killed, alive, same = (mutants.KILLED, mutants.SURVIVED,
                               mutants.EQUIVALENT)
        self.assertEqual(self.below(("boot/a", killed, 19),
                                    ("boot/a", alive, 1),
                                    ("hypervisor/x/a", killed, 1),
                                    ("hypervisor/x/a", same, 9)), [])
        self.assertEqual(len(self.below(("boot/a", killed, 18),
                                        ("boot/a", alive, 1))), 1)
        self.assertEqual(len(self.below(("boot/a", killed, 100),
                                        ("hypervisor/x/a", killed, 60),
                                        ("hypervisor/x/a", alive, 1))), 1)
        self.assertEqual(len(self.below(("boot/a", killed, 100),
                                        ("boot/a", mutants.ERROR, 1))), 1)

    def test_sums(self):
        lines, _ = mutants.table([
            (mutants.Mutant("r", "boot/a", "m", []), mutants.KILLED),
            (mutants.Mutant("r", "boot/a", "n", []), mutants.SURVIVED),
            (mutants.Mutant("r", "proto/a", "m", []), mutants.EQUIVALENT)])
        self.assertEqual([line.split() for line in lines[1:]], [
            ["boot", "1", "1", "0", "0", "50.0", "%"],
            ["proto", "0", "0", "1", "0", "100.0", "%"],
            ["all", "1", "1", "1", "0", "50.0", "%"]])


class Running(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.root = self.temporary.name
        for name, text in FILES.items():
            self.write(name, text)

    def tearDown(self):
        self.temporary.cleanup()

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def run_list(self, text, *words, by="by right", file="boot/sum.c"):
        """(exit status, what is said) of a run."""
        self.write("qemu-test/mutants/x.list", f"file {file}\n{by}\n{text}")
        done = subprocess.run(
            [os.path.join(ROOT, "tools", "mutants"), "--all", "--root",
             self.root, *words], stdout=subprocess.PIPE, check=False,
            stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    def check(self, text, status, said, words=(), **more):
        result = self.run_list(text, *words, **more)
        self.assertEqual(result[0], status, result[1])
        self.assertRegex(result[1], said)

    def test_killed(self):
        self.check(LESS, 0, r"killed: boot/sum.c: one less: right\n")
        self.check(LESS, 0, r"killed: .*: right\n", by="by weak right")

    def test_known(self):
        weak = "mutant weak\nsurvives\nby weak\n- return s;\n+ return 3;\n"
        self.check(LESS + weak, 0, "survived: .*: weak passed",
                   words=("--sample", "2"))
        self.check(LESS + weak, 1, "50.0 % of all killed, 95 % wanted\n$")
        self.check(LESS + weak.replace("survives\n", ""), 1,
                   "1 survived that should not", words=("--sample", "2"))

    def test_survived(self):
        self.check(LESS, 1, r"survived: .*: weak passed\n(.*\n)*"
                   "mutants: 0.0 % of all killed", by="by weak")

    def test_each(self):
        self.check(LESS, 1, "survived: .*: weak passed",
                   by="each right weak")
        self.check(LESS, 0, "killed: .*: right, right", by="each right right")

    def test_equivalent(self):
        same = "mutant same\nequivalent no sum is 7\n- return s\n+ return s"
        self.check(same + " == 7 ? 8 : s\n", 0,
                   "equivalent: .*: no sum is 7\n")
        self.check(same + " + 1\n", 1, "error: .*equivalent, and is killed")

    def test_what_cannot_be_judged(self):
        self.check("mutant no C\n- return s;\n+ return\n", 1,
                   "error: .*: it does not compile")
        self.check("mutant no place\n- sun\n+ sum\n", 1,
                   "error: .*: not one place for it")
        self.check("mutant two places\n- s\n+ t\n", 1,
                   "error: .*: not one place for it")
        self.check(LESS, 1, "error: .*: wrong fails without a mutant",
                   by="by wrong")
        self.check(LESS, 1, "error: .*: none cannot be built", by="by none")
        self.check("mutant m\n- !=\n+ ==\n", 1,
                   "error: .*: weak has nothing of it", by="by weak",
                   file="qemu-test/right.c")

    def test_a_warning_is_no_error(self):
        self.check("mutant no use\n- \t(void)unused;\n", 1, "survived")

    def test_a_header(self):
        self.check("mutant one less\n- LAST 3\n+ LAST 2\n", 0, "killed",
                   file="boot/sum.h")

    def test_one_at_a_time(self):
        self.write("qemu-test/mutants/x.list", "file boot/sum.h\nby right\n"
                   "mutant one less\n- LAST 3\n+ LAST 2\n"
                   "file boot/sum.c\nby right\n"
                   "mutant same\n- s += i;\n+ s = s + i;\n")
        project = mutants.Project(self.root, os.path.join(
            self.root, "build", "mutants"))
        bench = mutants.Bench(project, 0)
        self.assertEqual([bench.judge(mutant)[0]
                          for mutant in mutants.load(self.root)],
                         [mutants.KILLED, mutants.SURVIVED])

    def test_no_end(self):
        self.write("qemu-test/mutants/x.list", "file boot/sum.c\nby right\n"
                   "mutant for ever\n- i++\n+\n")
        project = mutants.Project(self.root, os.path.join(
            self.root, "build", "mutants"), limit=1)
        self.assertEqual(
            mutants.Bench(project, 0).judge(mutants.load(self.root)[0]),
            (mutants.KILLED, "right (no end after 1 s)"))

    def test_resumed(self):
        self.check(LESS, 0, "killed")
        results = os.path.join(self.root, "build/mutants/results.json")
        with open(results, encoding="utf-8") as f:
            kept = f.read()
        self.write("build/mutants/results.json",
                   kept.replace('"right"', '"as known"'))
        self.check(LESS, 0, "killed: .*: as known\n")
        # Another test, another change: judged anew.
        self.write("qemu-test/right.c", FILES["qemu-test/right.c"].replace(
            "!= 6", "< 0"))
        self.check(LESS, 1, "survived")
        self.check(LESS.replace("i < LAST", "i != LAST"), 1, "survived")

    def test_the_sources_stay(self):
        self.check(LESS, 0, "killed")
        for name, text in FILES.items():
            with open(os.path.join(self.root, name), encoding="utf-8") as f:
                self.assertEqual(f.read(), text)

    def test_samples(self):
        many = "".join(f"mutant {n}\n- return s;\n+ return s + {n};\n"
                       for n in range(1, 9))
        draws = [re.findall(r"sum.c: (\d)", self.run_list(
            many, "--list", "--sample", "3", "--seed", seed)[1])
            for seed in ("a", "a", "b", "c", "d", "e")]
        self.assertEqual([len(set(draw)) for draw in draws], [3] * 6)
        self.assertEqual(draws[0], draws[1])
        self.assertGreater(len({tuple(draw) for draw in draws}), 1)

    def test_only(self):
        said = self.run_list(LESS + "mutant other\n- s += i\n+ s -= i\n",
                             "--list", "--only", "less")[1]
        self.assertEqual(said, "x: boot/sum.c: one less\n")


if __name__ == "__main__":
    unittest.main()
