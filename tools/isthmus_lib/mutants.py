# SPDX-License-Identifier: MIT
"""Lists of mutants, small changes of the sources as a mistake would make them,
and what becomes of each: the unit tests that should notice are built with it
and run. How a test is built the makefile says; what does not depend on the
changed file is taken from build/unit as it is. The sources stay as they are.

A list is a text of lines:

    # a comment
    file hypervisor/core/exit.c     the file of those that follow
    by hv_exit hv_cost_vmx          unit tests, one of which must fail
    mutant what is broken
    - what stands in the file, once
    + what stands there instead

`by` before the first mutant of a file is for all of them, behind `mutant` for
that one; `each` instead of `by`: all of these tests must fail. Several lines
of `-` or `+` are joined by line breaks; with no `+` it is taken out. A mutant
that means the same has a line `equivalent` with the argument: its tests are
run nevertheless, and must pass. One with a line `survives` is known to pass
them: it counts as such, and is no news."""

import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field

from .common import Failure

LISTS = "qemu-test/mutants"
KILLED, SURVIVED, EQUIVALENT, ERROR = "killed", "survived", "equivalent", \
    "error"
LIMIT_CPU = 10          # seconds at least, or
LIMIT_TIMES = 5         # as often what the test takes without a mutant
LIMIT_WALL = 8          # times that for one that waits for ever
# The first failure is enough; what eats memory has failed; more power cuts than
# the tests have by themselves.
ENVIRONMENT = {"CMOCKA_TEST_ABORT": "1", "CRASH_STATES": "8000",
               "ASAN_OPTIONS": "hard_rss_limit_mb=4000"}
GATES = (("", 95), ("hypervisor/", 100))


@dataclass
class Mutant:
    """One change; `old` stands once in `file`."""

    room: str           # the list's name
    file: str
    name: str
    tests: list
    each: bool = False
    argument: str = ""
    known: bool = False     # it survives, as far as is known
    old: list = field(default_factory=list)
    new: list = field(default_factory=list)

    def __str__(self):
        return f"{self.file}: {self.name}"

    def applied(self, text):
        """The file's text with the change; None: not one place for it."""
        old, new = "\n".join(self.old), "\n".join(self.new)
        if not old or old == new or text.count(old) != 1:
            return None
        return text.replace(old, new)


def parse(text, room):
    """The mutants of one list's text."""
    mutants, file, default, current = [], "", ([], False), None
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.partition(" ")
        if not line or word.startswith("#"):
            continue
        if word == "file":
            file, default, current = rest, ([], False), None
        elif word in ("by", "each"):
            tests = rest.split(), word == "each"
            if current:
                current.tests, current.each = tests
            else:
                default = tests
        elif word == "mutant" and file:
            current = Mutant(room, file, rest, *default)
            mutants.append(current)
        elif word == "equivalent" and current:
            current.argument = rest
        elif word == "survives" and current:
            current.known = True
        elif word in "-+" and current:
            (current.old if word == "-" else current.new).append(rest)
        else:
            raise Failure(f"{room}:{number}: what is '{line}'?")
    for m in mutants:
        if not m.tests or not m.old:
            raise Failure(f"{room}: '{m.name}' has no test, or no place")
    return mutants


def load(root):
    """All mutants of the project's lists."""
    out = []
    for path in sorted(glob.glob(os.path.join(root, LISTS, "*.list"))):
        with open(path, encoding="utf-8") as f:
            out += parse(f.read(), os.path.basename(path)[:-len(".list")])
    seen = set()
    for m in out:
        if (m.file, m.name) in seen:
            raise Failure(f"two mutants are called '{m}'")
        seen.add((m.file, m.name))
    return out


def named(root, file, name):
    """That one of all."""
    return next(m for m in load(root) if (m.file, m.name) == (file, name))


def _read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


class Project:
    """A tree with a makefile whose build/unit/NAME are the tests."""

    def __init__(self, root, out, limit=LIMIT_CPU):
        self.root, self.out, self.limit = root, out, limit
        self.lock = threading.Lock()
        self.asked = {}     # (file, test): the makefile's commands
        self.base = {}      # test: seconds it may take, or what is wrong
        self.own = {}       # test: the texts of its own sources
        # what the makefile asks for every time
        self.old = [word for path in glob.glob("build/deps/*", root_dir=root)
                    for word in ("-o", path)]

    def make(self, *words):
        return subprocess.run(["make", "-s", "--no-print-directory", *words],
                              cwd=self.root, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def build(self, tests):
        """All these tests as they are, side by side; and what is their own of
        their sources, without what many share."""
        self.make("-k", f"-j{os.cpu_count()}",
                  *(f"build/unit/{test}" for test in tests))
        said = self.make("--eval", "own-sources: ; @:$(foreach t," +
                         " ".join(tests) + ",$(info $(t) $($(t)_SRCS)))",
                         "own-sources").stdout.decode()
        for test, *names in map(str.split, said.splitlines()):
            self.own[test] = [_read(self.root, name) for name in names
                              if name.startswith("qemu-test/")
                              and "/fake/" not in name]

    def commands(self, file, test):
        """What the makefile would do if the file had changed: the
        compilers' command lines."""
        with self.lock:
            if (file, test) not in self.asked:
                said = self.make("-n", "-W", file, *self.old,
                                 f"build/unit/{test}")
                lines = said.stdout.decode().replace("\\\n", " ").splitlines()
                self.asked[file, test] = [
                    shlex.split(line) for line in lines
                    if line.startswith("gcc ")]
            return self.asked[file, test]

    def run(self, program, seconds, cwd):
        """Whether it passes, and the processor's seconds; None: it took
        longer than `seconds`."""
        with subprocess.Popen(
                ["prlimit", f"--cpu={seconds}", "--core=0", program], cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
                env=dict(os.environ, **ENVIRONMENT)) as child:
            late = threading.Event()

            def stop():
                late.set()
                os.killpg(child.pid, signal.SIGKILL)

            timer = threading.Timer(seconds * LIMIT_WALL, stop)
            timer.start()
            _, status, usage = os.wait4(child.pid, 0)
            timer.cancel()
            child.returncode = os.waitstatus_to_exitcode(status)
        used = usage.ru_utime + usage.ru_stime
        if late.is_set() or used > seconds - 0.5:
            return None, used
        return child.returncode == 0, used

    def without(self, test):
        """Seconds to allow the test; a text: it fails as it is."""
        with self.lock:
            if test in self.base:
                return self.base[test]
        built = self.make(f"build/unit/{test}")
        answer = f"{test} cannot be built: " + \
            built.stdout.decode(errors="replace")[-500:]
        if not built.returncode:
            passes, used = self.run(
                os.path.join(self.root, "build", "unit", test), 1000,
                self.root)
            answer = max(self.limit, int(used * LIMIT_TIMES)) if passes \
                else f"{test} fails without a mutant"
        with self.lock:
            self.base[test] = answer
        return answer

    def key(self, mutant):
        """Of what its verdict depends on, but for the rest of the programs:
        the file, the change, the tests."""
        try:
            text = _read(self.root, mutant.file)
        except OSError:
            text = None
        return hashlib.sha256(repr((
            text, mutant.old, mutant.new, mutant.each, mutant.argument,
            [(test, self.own.get(test)) for test in mutant.tests]
        )).encode()).hexdigest()


class Bench:
    """A copy of the tree in which one mutant at a time is made."""

    def __init__(self, project, number):
        self.project = project
        self.tree = os.path.join(project.out, f"tree{number}")
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(project.root, self.tree, symlinks=True,
                        ignore=shutil.ignore_patterns(".git", "build"))
        os.symlink(os.path.join(project.root, "build"),
                   os.path.join(self.tree, "build"))
        self.made = os.path.join(project.out, f"made{number}")

    def judge(self, mutant):
        """(what became of it, by what or why)."""
        try:
            before = _read(self.project.root, mutant.file)
        except OSError:
            return ERROR, "there is no such file"
        text = mutant.applied(before)
        if text is None:
            return ERROR, "not one place for it"
        path = os.path.join(self.tree, mutant.file)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        shutil.rmtree(self.made, ignore_errors=True)
        os.makedirs(self.made)
        try:
            return self._judge(mutant)
        finally:
            with open(path, "w", encoding="utf-8") as f:
                f.write(before)

    def _judge(self, mutant):
        found = []
        for test in mutant.tests:
            result = self._try(mutant, test)
            if result[0] == ERROR:
                return result
            if result[0] == KILLED:
                found.append(result[1])
                if not mutant.each:
                    break
            elif mutant.each:
                return SURVIVED, result[1]
        if not found:
            return (EQUIVALENT, mutant.argument) if mutant.argument else \
                (SURVIVED, ", ".join(mutant.tests) + " passed")
        if mutant.argument:
            return ERROR, "is called equivalent, and is killed by " + found[0]
        return KILLED, ", ".join(found)

    def _try(self, mutant, test):
        seconds = self.project.without(test)
        if isinstance(seconds, str):
            return ERROR, seconds
        program, why = self._built(mutant.file, test)
        if not program:
            return ERROR, why
        passes, _ = self.project.run(program, seconds, self.tree)
        if passes is None:
            return KILLED, f"{test} (no end after {seconds} s)"
        return (SURVIVED, f"{test} passed") if passes else (KILLED, test)

    def _built(self, file, test):
        """The test's program with the changed file in it; or None, why."""
        commands = self.project.commands(file, test)
        if not commands:
            return None, f"{test} has nothing of it"
        ours = {}           # what is made by us, in whose place
        for number, words in enumerate(commands):
            at = words.index("-o") + 1
            made = words[at]
            words = [ours.get(word, word) for word in words
                     if word not in ("-MMD", "-MP", "-Werror")]
            at = words.index("-o") + 1
            ours[made] = os.path.join(
                self.made, f"{len(commands)}-{number}-" +
                hashlib.sha256(made.encode()).hexdigest()[:16] + ".o")
            words[at] = ours[made]
            if os.path.exists(ours[made]) and "-c" in words:
                continue
            done = subprocess.run([*words, "-w", "-g0"], cwd=self.tree,
                                  stdout=subprocess.PIPE, check=False,
                                  stderr=subprocess.STDOUT)
            if done.returncode:
                return None, "it does not compile: " + \
                    done.stdout.decode(errors="replace")[:500]
        return ours[made], ""


class Results:
    """What is known already, in a file."""

    def __init__(self, path):
        self.path, self.lock, self.known = path, threading.Lock(), {}
        try:
            self.known = json.loads(_read(path))
        except (OSError, ValueError):
            pass

    def keep(self, key, result):
        """An error may come from elsewhere: it is looked for again."""
        with self.lock:
            self.known[key] = result
            kept = {k: r for k, r in self.known.items() if r[0] != ERROR}
            with open(self.path + ".new", "w", encoding="utf-8") as f:
                json.dump(kept, f, indent=0)
            os.replace(self.path + ".new", self.path)


def table(verdicts, gates=GATES):
    """Lines: killed, survived, equivalent, percent of each folder, and what
    is wrong: below a gate, news, errors. `verdicts` are (mutant, verdict)."""
    rows, news = {}, 0
    for mutant, verdict in verdicts:
        news += verdict == SURVIVED and not mutant.known
        row = rows.setdefault(os.path.dirname(mutant.file),
                              dict.fromkeys((KILLED, SURVIVED, EQUIVALENT,
                                             ERROR), 0))
        row[verdict] += 1
    lines = [f"{'':28} killed survived equivalent errors"]
    for name, row in [*sorted(rows.items()), ("all", _sum(rows, ""))]:
        lines.append(f"{name:28} {row[KILLED]:6} {row[SURVIVED]:8} "
                     f"{row[EQUIVALENT]:10} {row[ERROR]:6} "
                     f"{_percent(row):6.1f} %")
    below = [f"mutants: {_percent(_sum(rows, part)):.1f} % of "
             f"{part or 'all'} killed, {least} % wanted"
             for part, least in gates
             if _percent(_sum(rows, part)) < least]
    if news:
        below.append(f"mutants: {news} survived that should not")
    if errors := _sum(rows, "")[ERROR]:
        below.append(f"mutants: {errors} cannot be judged")
    return lines, below


def _sum(rows, part):
    chosen = [row for name, row in rows.items() if (name + "/").startswith(
        part)]
    return {kind: sum(row[kind] for row in chosen)
            for kind in (KILLED, SURVIVED, EQUIVALENT, ERROR)}


def _percent(row):
    judged = row[KILLED] + row[SURVIVED]
    return 100 * row[KILLED] / judged if judged else 100
