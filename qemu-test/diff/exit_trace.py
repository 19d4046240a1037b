# SPDX-License-Identifier: MIT
"""Reads exit traces (docs/debugging.md), takes out what rules.py allows to
differ, and compares them exit by exit."""

import os
import re
import subprocess

import rules

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                       "build", "guest", "diff.bzImage.elf")

LINE = re.compile(r"^T([0-9a-f]+)\.([0-9a-f]+) ([a-z-]+)(.*)$")
FIELD = re.compile(r"(\w[\w-]*)=([0-9a-z]+)")
MARK_PORT = 0xd1f0
MARK_END = 0xe0d
CONTEXT = 6


def place(rip):
    """Where in the test program an address is, in words."""
    if not os.path.exists(PROGRAM):
        return hex(rip)
    said = subprocess.run(["nm", "-n", PROGRAM], stdout=subprocess.PIPE,
                          check=False).stdout.decode()
    best = None
    for line in said.splitlines():
        address, _, rest = line.partition(" ")
        if address and rest[:1] in "tT" and int(address, 16) <= rip:
            best = f"{rest[2:]}+{rip - int(address, 16):#x}"
    return best or hex(rip)


class Exit:
    """One line: code, words, operands before the arrow, effects after."""

    def __init__(self, number, vcpu, code, rest):
        self.number = number
        self.vcpu = vcpu
        self.code = code
        before, _, after = rest.partition(" ->")
        self.operands = self._fields(before)
        self.effects = self._fields(after)
        self.words = FIELD.sub("", before).split() \
            + ["->"] + FIELD.sub("", after).split()
        self.text = f"{code}{rest}"

    @staticmethod
    def _fields(text):
        fields = {}
        for name, value in FIELD.findall(text):
            fields[name] = value if name == "access" else int(value, 16)
        return fields

    def mark(self):
        """What the guest marks here, or None."""
        if self.code == "io" and self.operands.get("port") == MARK_PORT:
            return self.operands.get("value")
        return None

    def key(self):
        """What has to be equal."""
        return (self.code, tuple(self.words), tuple(self.operands.items()),
                tuple(self.effects.items()))


def read(text):
    """The exits of a trace, up to the end mark, by vCPU: {name: [Exit]}.
    Second value: whether the end mark was there."""
    streams = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = LINE.match(line.rstrip("\r"))
        if not found:
            continue
        vcpu = f"{int(found[1], 16)}.{int(found[2], 16)}"
        event = Exit(number, vcpu, found[3], found[4])
        if event.mark() == MARK_END:    # the run may end within its line
            return streams, True
        streams.setdefault(vcpu, []).append(event)
    return streams, False


def _only_guest_owned(event, known):
    """An access to CR0 or CR4 that VT-x lets the guest make by itself: a
    read, whose value the guest reports, and some writes."""
    register = event.operands.get("cr")
    if event.code != "cr-access" or register not in rules.GUEST_OWNED:
        return False
    if "read" in event.words or "clts" in event.words:
        return True
    if "lmsw" in event.words:       # can only set PE, which is set
        return bool(known.get(0, 0) & 1)
    value = event.operands["value"]
    changed = (value ^ known.get(register, 0)) \
        & ~rules.GUEST_OWNED[register]
    if "exception" not in event.effects:
        known[register] = value
    return changed == 0


def _mask(event, ignored):
    """Removes from one exit what may differ."""
    if event.code == "cpuid":
        leaf, sub = event.operands["leaf"], event.operands["sub"]
        for for_leaf, for_sub, register, bits, _ in rules.CPUID:
            if leaf != for_leaf or for_sub not in (None, sub):
                continue
            for name in [register] if register else event.effects:
                if name in event.effects:
                    event.effects[name] &= ~bits
    for code, where, field, _ in rules.FIELDS:
        if code == event.code and all(event.operands.get(k) == v
                                      for k, v in where.items()):
            for fields in (event.operands, event.effects):
                fields.pop(field, None)
    if ignored:
        event.operands.pop(ignored, None)


def normalise(events, stretches):
    """What is left of one vCPU's exits; `stretches`: as rules.KNOWN."""
    left, known, region = [], {0: 0x80000031, 4: 0x20}, None
    for event in events:
        if event.code == "start":
            known = {0: event.operands["cr0"], 4:
                     0x20 if event.operands["cr0"] >> 31 else 0}
        own = _only_guest_owned(event, known)
        mark = event.mark()
        if mark is not None and mark & ~0xff == 0x100:
            region = stretches.get(mark & 0xff)
            continue
        if own or event.code in rules.DROPPED or (region and
                                                  region[0] == "all"):
            continue
        _mask(event, region[0] if region else None)
        left.append(event)
    return left


def state_at(events):
    """What is known of the vCPU after these exits."""
    state = {}
    for event in events:
        if event.mark() is not None:
            state["section"] = event.mark()
        state["rip"] = event.operands.get("rip", 0)
        for name, value in event.effects.items():
            if name not in ("exception", "error", "intr", "nmi"):
                state[name] = value
    return state


def _show(side, name, at):
    """One side of a divergence: the last exits, the state after them."""
    lines = [f"--- {name}"]
    for event in side[max(0, at - CONTEXT):at]:
        lines.append(f"  {event.number:6}   {event.text}")
    if at < len(side):
        event = side[at]
        lines.append(f"  {event.number:6} > {event.text}")
        lines.append(f"           at {place(event.operands.get('rip', 0))}")
    else:
        lines.append("         > (nothing more)")
    state = state_at(side[:at])
    lines.append("  state: " + " ".join(
        f"{k}={v:x}" if isinstance(v, int) else f"{k}={v}"
        for k, v in sorted(state.items())))
    return lines


def compare(texts, names, more=()):
    """Compares two traces; `more`: stretches to be added to rules.KNOWN.
    Returns (number of exits compared, what is wrong as a text or None)."""
    stretches = {**rules.KNOWN, **dict(more)}
    streams = []
    for text, name in zip(texts, names):
        found, complete = read(text)
        if not complete:
            ends = [s[-1].text for s in found.values()]
            return 0, f"{name}: the trace does not reach the end mark; " \
                f"last exits: {ends}"
        streams.append(found)
    if sorted(streams[0]) != sorted(streams[1]):
        return 0, f"vCPUs: {sorted(streams[0])} and {sorted(streams[1])}"
    count = 0
    for vcpu in sorted(streams[0]):
        sides = [normalise(s[vcpu], stretches) for s in streams]
        for at in range(max(map(len, sides))):
            keys = [s[at].key() if at < len(s) else None for s in sides]
            if keys[0] != keys[1]:
                lines = [f"vCPU {vcpu}: exit {at + 1} differs"]
                for side, name in zip(sides, names):
                    lines += _show(side, name, at)
                return count, "\n".join(lines)
            count += 1
    return count, None
