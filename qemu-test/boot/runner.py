# SPDX-License-Identifier: MIT
"""Runs the boot tests: each has its own machine or machines, driven through
`tools/isthmus boot` as a user would.

A test is a function marked with @case; it gets a Case, which starts machines
and says what is wrong. Limits are CPU time of the emulator. At most two
emulators run at a time.
"""

import concurrent.futures
import importlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOL = os.path.join(ROOT, "tools", "isthmus")
BUILD = os.path.join(ROOT, "build")

sys.path.insert(0, os.path.join(ROOT, "tools"))

from isthmus_lib import platforms  # noqa: E402
from isthmus_lib.testing import Outcome  # noqa: E402

MODULES = ("cases_linux", "cases_files", "cases_sockets", "cases_lifecycle",
           "cases_failures", "cases_doctor", "cases_isolation",
           "cases_mutants", "cases_both", "cases_debugging", "cases_channel", "cases_nested",
           "cases_coherence", "cases_resets", "cases_restart", "cases_disks", "cases_pci",
           "cases_drives", "cases_hangs", "cases_power", "cases_memory",
           "cases_kernels",
           "cases_several", "cases_net", "cases_nics", "cases_net_out",
           "cases_fork", "cases_fork_proofs", "cases_net_ports",
           "cases_isolated", "cases_show", "cases_clock", "cases_net_two", "cases_net_flood",
           "cases_net_tap", "cases_distro", "cases_distro_plain",
           "cases_distro_convert", "cases_distro_sysv", "cases_screen",
           "cases_serial",
           "cases_distro_several", "cases_distro_trouble", "cases_distro_cost",
           "cases_connects", "cases_sessions", "cases_unix", "cases_black_box",
           "cases_hostile")
# More of them: `make test-all`, or by name.
MORE_MODULES = ("cases_driver", "cases_machines", "cases_net_proof",
                "cases_containers", "cases_judges", "cases_random")
PLATFORMS = os.environ.get("PLATFORMS", "bochs qemu-tcg").split()
BOCHS = ("bochs", "bochs-amd")
QEMU = ("qemu-tcg",)
NESTED = ("nested-amd", "nested-intel")
AT_ONCE = int(os.environ.get("EMULATORS", "2"))
TIMEOUT = 150           # CPU seconds of one machine, unless a test says else
SLOWER = {"nested-amd": 4, "nested-intel": 12}  # times that
PROMPT = "isthmus> "
# What `isolation` says: MiB, ticks, the manifest's number.
HOLDS = (r"isolation holds: (\d+) MiB looked at in (\d+) ticks; "
         r"manifest ([0-9a-f]{16})\r?\n")
CASES = []


class Failed(Exception):
    """The test found something wrong."""


class Skipped(Exception):
    """The test cannot run here; the reason is its text."""


class Entry:
    """A test. `only`: the platforms it is for, None for every one; `why`: the
    reason why the others cannot have it. `later`: platforms on which it shows
    what another one has shown, and is left to `make test-all`. A test that
    starts machines of several platforms itself has only=() and runs once,
    with anything in `later` in `make test-all` alone."""

    def __init__(self, name, summary, function, only, why, later):
        self.name = name
        self.summary = summary
        self.function = function
        self.only = only
        self.why = why
        self.later = later


def case(name, summary, only=None, why=None, later=()):
    """Marks a test."""
    def mark(function):
        CASES.append(Entry(name, summary, function, only, why, later))
        return function
    return mark


class Result:
    """What a finished run of the tool left."""

    def __init__(self, status, out, err, serial, linux):
        self.status = status
        self.out = out
        self.err = err
        self.serial = serial
        self.linux = linux


def echo_of(line):
    """A pattern for the echo of a typed line's end, and of Enter. A notice
    between two of its characters has the line drawn anew, with what erases
    the rest of the row behind it."""
    drawn = r"(?:\x1b\[K)?"
    return "".join(re.escape(c) + drawn for c in line[-20:]) + r"\s*\r?\n"


class Console:
    """The host console of a running machine."""

    def __init__(self, owner, command):
        self.owner = owner
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=ROOT, env=owner.environ)
        self.seen = ""
        self.at = 0                     # what was expected lies before
        self.asked = None               # where it was asked about isolation
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        out = open(os.path.join(self.owner.folder, "console.txt"), "ab")
        with out:
            while data := os.read(self.process.stdout.fileno(), 65536):
                out.write(data)
                out.flush()
                with self.changed:
                    self.seen += data.decode("utf-8", "replace")
                    self.changed.notify()
        with self.changed:
            self.seen += "\0"           # nothing more comes
            self.changed.notify()

    def send(self, line):
        """Types a line. Before a machine is switched off its hypervisor says
        whether partitions are apart after all that the test did: finish()
        reads it."""
        if line == "poweroff":
            self.asked = len(self.seen)
            line = "isolation\n" + line
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def expect(self, pattern):
        """Waits for a regular expression after what was expected before.
        Returns the match; the machine's end is a failure."""
        compiled = re.compile(pattern)
        with self.changed:
            while True:
                found = compiled.search(self.seen, self.at)
                if found:
                    self.at = found.end()
                    return found
                if self.seen.endswith("\0"):
                    raise Failed(f"the machine ended, expected '{pattern}'; "
                                 f"it last said:\n{self.seen[-3000:]}")
                self.changed.wait()

    def run(self, line):
        """Types a command; returns what it printed up to the next prompt."""
        self.send(line)
        self.expect(echo_of(line))
        start = self.at
        self.expect(re.escape(PROMPT))
        return self.seen[start:self.at - len(PROMPT)].replace("\r", "")

    def state(self, partition="linux"):
        """What `status` says of a partition: "running", "stopped"..."""
        said = self.run("status")
        found = re.search(rf"^ +\d+ {partition} +(\S+)", said, re.M)
        if not found:
            raise Failed(f"no line of {partition} in status: {said!r}")
        return found[1]

    def ready(self):
        """Waits until Linux's agent is up."""
        self.expect(r"isthmus: stage 68 ")

    def finish(self):
        """Waits for the machine's end; returns the tool's exit status."""
        self.process.stdin.close()
        status = self.process.wait()
        self.reader.join()
        if self.asked is not None and not re.search(
                HOLDS, self.seen[self.asked:]):
            raise Failed("before poweroff, isolation does not hold: "
                         f"{self.seen[self.asked:][-3000:]}")
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


class Case:
    """What a test works with."""

    def __init__(self, name, logs, platform=None):
        self.name = name
        self.platform = platform
        self.note = ""                  # what was seen, for the last line
        self.left_out = []              # what of it cannot be here, and why
        self.folder = os.path.join(logs, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.runs = 0
        self.environ = None             # of the tool, if not ours
        self.consoles = []

    def on(self, platform):
        """This test's machines are of that platform, if it works here."""
        reason = platforms.missing(platform)
        if reason:
            raise Skipped(reason)
        self.platform = platform

    def check(self, truth, message):
        if not truth:
            raise Failed(message)

    def path(self, name):
        """A file of this test."""
        return os.path.join(self.folder, name)

    def need(self, *files):
        """Build results the test cannot do without."""
        for name in files:
            if not os.path.exists(os.path.join(ROOT, name)):
                raise Failed(f"{name} has not been built")

    def _command(self, options, timeout, verb="boot"):
        self.runs += 1
        if "--platform" not in options:
            timeout *= SLOWER.get(self.platform, 1)
        serial = self.path(f"serial-{self.runs}.log")
        linux = self.path(f"linux-{self.runs}.log")
        for name in (serial, linux):
            open(name, "wb").close()
        command = [TOOL, verb, "--timeout", str(timeout), "--log", serial,
                   "--linux-console", linux, *options]
        if self.platform and "--platform" not in options:
            command[2:2] = ["--platform", self.platform]
        return command, serial, linux

    def boot(self, *options, timeout=TIMEOUT, verb="boot"):
        """Runs the tool to its end."""
        command, serial, linux = self._command(options, timeout, verb)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environ, check=False)
        result = Result(done.returncode, done.stdout.decode("utf-8", "replace"),
                        done.stderr.decode("utf-8", "replace"), _read(serial),
                        _read(linux))
        with open(self.path(f"output-{self.runs}.txt"), "w",
                  encoding="utf-8") as f:
            f.write(f"$ {' '.join(command)}\nstatus {result.status}\n"
                    f"--- stdout\n{result.out}\n--- stderr\n{result.err}\n")
        return result

    def exec(self, command, *options, timeout=TIMEOUT, status=0):
        """Runs a command in Linux; its status must be `status`."""
        result = self.boot("--exec", command, *options, timeout=timeout)
        self.check(result.status == status,
                   f"'{command[:60]}' ended with status {result.status}, "
                   f"expected {status}\n{result.out[-2000:]}"
                   f"{result.err[-3000:]}")
        return result

    def console(self, *options, timeout=TIMEOUT, under=()):
        """Boots to the host console; under: a command that is given that of
        the tool."""
        command, _, _ = self._command(options, timeout)
        self.consoles.append(Console(self, [*under, *command]))
        return self.consoles[-1]

    def overlay(self, files):
        """A folder for --overlay: {name in Linux: local file}."""
        folder = self.path("overlay")
        for name, source in files.items():
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)
        return folder

    def guest_program(self, name):
        """A static program for Linux, from qemu-test/boot/guest."""
        source = os.path.join(HERE, "guest", name + ".c")
        target = self.path(name)
        self.tool(["musl-gcc", "-std=gnu11", "-O2", "-static", "-Wall",
                   "-Wextra", "-Werror", "-idirafter", "/usr/include",
                   "-idirafter", "/usr/include/x86_64-linux-gnu",
                   "-o", target, source])
        return target

    def tool(self, command, **kwargs):
        """A program of this computer that must succeed."""
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, **kwargs)
        text = done.stdout.decode("utf-8", "replace")
        self.check(done.returncode == 0,
                   f"{' '.join(command)} failed:\n{text[-2000:]}")
        return text

    def close(self):
        for console in self.consoles:
            console.close()


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def _run_one(job, logs):
    name, entry, platform = job
    start = time.monotonic()
    outcome = Outcome("boot " + name, note=entry.summary)
    if platform and entry.only and platform not in entry.only:
        outcome.skipped, outcome.note = 1, entry.why
        return outcome
    test = Case(name, logs, platform)
    try:
        if platform in NESTED:          # what it is made of need not be there
            test.on(platform)
        entry.function(test)
        outcome.passed, outcome.skipped = 1, len(test.left_out)
        test.note += "".join(f"\n    SKIPPED: {what}" for what
                             in test.left_out)
    except Skipped as reason:
        outcome.skipped, outcome.note = 1, str(reason)
    except Failed as reason:
        outcome.failed, outcome.details = 1, str(reason)
    except Exception:                   # pylint: disable=broad-except
        outcome.failed, outcome.details = 1, traceback.format_exc()
    finally:
        test.close()
    outcome.note += f"{test.note} [{time.monotonic() - start:.0f} s]"
    if outcome.failed:
        outcome.details += f"\n(logs: {os.path.relpath(test.folder, ROOT)})"
    return outcome


def _jobs(more):
    """(name, entry, platform) of every test on every platform wanted; the slow
    first, so that at the end no emulator has a long one by itself."""
    for entry in CASES:
        if entry.only == () and (more or not entry.later):
            yield entry.name, entry, None
    for platform in PLATFORMS:
        for entry in CASES:
            if entry.only != () and (more or platform not in entry.later):
                yield f"{platform}/{entry.name}", entry, platform


def run(names, logs):
    """Runs the tests whose name (PLATFORM/NAME) contains one of `names` (all
    without); yields an Outcome for each, in their order."""
    more = names or os.environ.get("TEST_ALL")
    for module in MODULES + (MORE_MODULES if more else ()):
        importlib.import_module(module)
    chosen = [job for job in _jobs(more)
              if not names or any(n in job[0] for n in names)]
    if not chosen:
        yield Outcome("boot", failed=1, details=f"no test matches {names}; "
                      "known are " + " ".join(c.name for c in CASES))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda job: _run_one(job, logs), chosen)
