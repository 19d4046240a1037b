# SPDX-License-Identifier: MIT
"""A machine with an enemy, a canary and the oracle, and what is judged of each
row of the hostile tests: docs/hostile.md."""

import re
import time

from cases_lifecycle import owners
from cases_several import manifest
from runner import Failed, PROMPT

ENEMY = "build/guest/payload.bzImage"
CANARY = "build/guest/canary.bzImage"
HYPERVISOR = "build/hypervisor/hypervisor-hostile.elf"
HOST = "build/host-bridge/host-bridge-hostile.elf"
OWN = 'path = "\\\\isthmus\\\\hypervisor.elf";'
OWN_HOST = 'path = "\\\\isthmus\\\\host-bridge.elf";'
ENEMY_MIB = 384
CANARY_MIB = 64
KEPT_BYTES = 64 << 10           # O5, of a stopped partition: its root table

# O1: three share one CPU, in slices of 5 ms, and who comes first in one round
# may come last in the next: two slices of each of the others; and what the
# canary itself does between two beats.
GAP_US = 22000
EXIT_TICKS = 20000              # O6, a guest's
LINES_PER_KILL = 40             # O7, with the dump of a vCPU
LINES_OF = {"HC03": 4}          # and what the hypervisor has to say besides
LINE = (r"ORACLE (\S+) us=(?P<us>\d+) beats=(?P<beats>\d+) gap=(?P<gap>\d+) "
        r"drift=(?P<drift>\d+) memory=\d+/(?P<memory>\w+) "
        r"registers=(?P<looks>\d+)/(?P<registers>\w+) stray=(?P<stray>\w+) "
        r"exit=(?P<exit>\d+) (?P<where>\S+) host-exit=(?P<host>\d+) \S+ "
        r"kills=(?P<kills>\d+) lines=(?P<lines>\d+) locks=(?P<locks>\d+) "
        r"image=(?P<image>\w+)\s")
DEAD = r"Linux enemy crashed: ([^,]*), at [0-9a-f]+, detail ([0-9a-f]+)\W"


def two(t, tests, vcpus=1, hypervisor=HYPERVISOR, host=None):
    """The manifest: host, enemy, canary; the oracle in the hypervisor."""
    t.need(ENEMY, CANARY, hypervisor, *([host] if host else []))
    path = manifest(t, ("enemy", "canary"), ENEMY_MIB)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    modules = "".join(f'\t\t{name} {{ path = "\\\\isthmus\\\\{name}"; '
                      f'file = "{file}"; }};\n'
                      for name, file in (("enemy", ENEMY), ("canary", CANARY)))
    text = text.replace("\tmodules {\n", "\tmodules {\n" + modules)
    text = text.replace(OWN, f'{OWN} file = "{hypervisor}";')
    if host:
        text = text.replace(OWN_HOST, f'{OWN_HOST} file = "{host}";')
    text = text.replace('\t\t\tinitrd = "initrd";\n', "")
    parts = re.split(r"(?=\t\t(?:enemy|canary) \{\n\t\t\t)", text)
    t.check(len(parts) == 3, "the manifest is not as it was")
    for n, name in ((1, "enemy"), (2, "canary")):
        parts[n] = parts[n].replace('kernel = "kernel"', f'kernel = "{name}"')
    parts[1] = re.sub(r'bootargs = "[^"]*"',
                      f'bootargs = "isthmus.test={",".join(tests)}"',
                      parts[1]).replace("vcpus = <1>", f"vcpus = <{vcpus}>")
    parts[2] = parts[2].replace(f"<{ENEMY_MIB}>", f"<{CANARY_MIB}>")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(parts))
    return path


class Hostile:
    """A machine on which an enemy does `tests`, a life each; parts: of two().
    exact: time is instructions, without which O1 and O6 are not judged."""

    def __init__(self, t, tests, *options, timeout=200, exact=True, **parts):
        self.t = t
        self.tests = tests
        self.exact = exact
        options += ("--deterministic",) if exact else ()
        self.console = t.console("--manifest", two(t, tests, **parts),
                                 *options, timeout=timeout)
        self.log = t.path(f"linux-{t.runs}.log")
        self.wrong = []

    def enemy_said(self):
        """What the enemy printed, by the second serial line."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "".join(re.findall(r"^enemy: ([^\n]*\n)",
                                      f.read().replace("\r", ""), re.M))

    def said(self):
        """That, and what a hostile host partition has."""
        host = re.findall(r"(?:^|\x1b\[K)HOST ([^\r\n]*)", self.console.seen,
                          re.M)
        return self.enemy_said() + "".join(f"PAYLOAD {line}\n"
                                           for line in host)

    def until_end(self, ends=1):
        """Waits until the enemy has come so often to the end of a life."""
        while self.enemy_said().count("PAYLOAD end\n") < ends:
            if self.console.process.poll() is not None:
                raise Failed("the machine ended: "
                             + self.console.seen[-2000:])
            found = re.search(r"PANIC|Linux \w+ crashed", self.console.seen)
            if found:
                raise Failed(self.console.seen[found.start():][:3000]
                             + self.enemy_said()[-1000:])
            time.sleep(0.2)

    def _outcome(self, life):
        """How life number `life` has ended, or None yet."""
        seen = self.console.seen[self.console.at:]
        found = re.search(DEAD, seen)
        if found:
            self.console.expect(DEAD)
            return f"dies: {found[1]} {found[2]}"
        found = re.search(r"Linux enemy asked for a reset\W", seen)
        if found:
            self.console.expect("asked for a reset")
            return "resets"
        said = re.split(r"PAYLOAD start ", self.enemy_said())
        if len(said) == life + 2 and "PAYLOAD end\n" in said[-1]:
            result = re.findall(r"PAYLOAD \S+ ((?:ok|#|vector).*)", said[-1])
            return "ends: " + (result[-1] if result else "")
        if "\0" in seen or "PANIC" in seen:
            raise Failed(f"the machine ended: {seen[-3000:]}")
        return None

    def _next(self):
        """The next life begins, by itself, or because it is asked for."""
        found = self.console.expect(r"stage 66 linux started: enemy\W|"
                                    "it stays down until")
        if "down" in found[0]:
            self.console.expect(re.escape(PROMPT))
            self.console.send("linux start enemy")
            self.console.expect(r"stage 66 linux started: enemy\W")

    def lives(self, expected):
        """One life each: expected outcomes, as patterns; of one that loops for
        ever, None."""
        console = self.console
        for life, (test, want) in enumerate(zip(self.tests, expected)):
            outcome = None
            while want is None and \
                    f"PAYLOAD start {test}\n" not in self.enemy_said() or \
                    want is not None and not outcome:
                outcome = self._outcome(life)
                time.sleep(0.1)
            for _ in range(5 if want is None else 0):
                if console.state("enemy") != "running":
                    self.wrong.append(f"{test}: does not loop")
            if want and not re.match(want, outcome):
                self.wrong.append(f"{test}: {outcome}")
            if life == len(expected) - 1:
                break
            if want is None or outcome.startswith("ends"):
                console.run("linux stop enemy")
                console.send("linux start enemy")
            self._next()

    def rows(self):
        """{row: [(attempt, detail, result)]} of what the enemy said."""
        rows, now = {}, None
        for line in self.said().splitlines():
            found = re.match(r"PAYLOAD row (\w{4})\b", line)
            if found:
                now = rows.setdefault(found[1], [])
                continue
            found = re.match(r"PAYLOAD ([a-z][\w-]*?)-?(0x[0-9a-f]+)? "
                             r"((?:ok|#|vector).*)", line)
            if found and now is not None:
                now.append((found[1], int(found[2], 16) if found[2] else None,
                            found[3].strip()))
        return rows

    def registers(self):
        """What the canary has found of its registers, with a hypervisor that
        loses one: "" for nothing. Ends the machine."""
        console = self.console
        while "PAYLOAD end\n" not in self.enemy_said() and \
                "\0" not in console.seen and \
                not re.search("PANIC| crashed", console.seen):
            time.sleep(0.2)
        if re.search("\0|PANIC| crashed", console.seen):
            return ""
        said = console.run("log")
        console.send("poweroff")
        console.asked = None            # it may not hold
        console.finish()
        rows = [m.groupdict() for m in re.finditer(LINE, said)]
        return " ".join({f"{key}={row[key]}" for row in rows
                         for key in ("registers", "stray") if row[key] != "0"})

    def judge(self, rules):
        """Ends the machine. All of a row's attempts, by its rule; all of the
        oracle's words on it. Says each row's, or fails by their names."""
        t, console = self.t, self.console
        said = console.run("log")
        look = console.run("isolation")
        if "isolation holds" not in look:
            self.wrong.append(f"O5: {look!r}")
        if console.state("host") != "running" or \
                console.state("canary") != "running":
            self.wrong.append("O1: host or canary does not run")
        console.run("linux stop enemy")
        kept = owners(console)["enemy"]
        if kept > KEPT_BYTES:
            self.wrong.append(f"O5: the stopped enemy keeps {kept} bytes")
        console.send("poweroff")
        console.finish()
        stopped = len(re.findall("partition enemy stopped: reason", said))
        rows = self.rows()
        told = list(re.finditer(LINE, said.replace("\r", "")))
        told = [(m[1], m.groupdict()) for m in told]
        kills = sum(int(row["kills"]) for _, row in told)
        if stopped != kills:
            self.wrong.append(f"O7: {stopped} lines of {kills} ends")
        missing = set(rules) - {name for name, _ in told}
        if missing:
            self.wrong.append(f"rows that were not told: {sorted(missing)}")
        lines = []
        for name, row in told:
            bad = [f"{oracle} {what}" for oracle, what
                   in self._oracles(name, row)
                   if self.exact or oracle not in ("O1", "O6")]
            bad += rules[name](rows.get(name, [])) if name in rules else []
            lines.append(f"{name}: {'; '.join(bad) or 'ok'} "
                         f"({int(row['us']) // 1000} ms, gap "
                         f"{int(row['gap']) // 1000} ms, longest exit "
                         f"{row['exit']} {row['where']})")
            self.wrong += [f"{name}: {what}" for what in bad]
        with open(t.path("rows.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        t.check(not self.wrong, "\n".join(self.wrong))
        t.note += "".join("\n    " + line for line in lines) + "\n   "

    @staticmethod
    def _oracles(name, row):
        """(oracle, what is wrong) of one row's line."""
        n = {key: int(row[key]) for key in ("us", "gap", "drift", "looks",
                                            "exit", "kills", "lines",
                                            "locks")}
        if n["gap"] > GAP_US:
            yield "O1", f"no beat for {n['gap']} us"
        if n["drift"]:
            yield "O1", "the canary's clock is wrong"
        if row["memory"] != "0":
            yield "O2", f"the canary's memory, {row['memory']}"
        if row["registers"] != "0":
            yield "O3", f"the canary's registers, {row['registers']}"
        if row["stray"] != "0":
            yield "O3", f"a foreign interrupt, {row['stray']}"
        if n["us"] > 500000 and not n["looks"]:
            yield "O3", "the canary has not looked at its registers"
        if row["image"] != "same":
            yield "O5", "the hypervisor's code or tables have changed"
        if n["locks"]:
            yield "O5", f"{n['locks']} exits left a lock taken"
        if n["exit"] > EXIT_TICKS:
            yield "O6", f"{n['exit']} ticks for {row['where']}"
        if n["lines"] > n["kills"] * LINES_PER_KILL + LINES_OF.get(name, 0):
            yield "O7", f"{n['lines']} lines in the log"
