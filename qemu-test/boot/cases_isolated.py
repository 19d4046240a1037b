# SPDX-License-Identifier: MIT
"""The hypervisor's checker: isolation holds, by the live tables; and is found
broken where it is."""

import os
import re
import sys

import schema
from cases_mutants import with_hypervisor
from cases_several import manifest, up
from runner import BOCHS, HOLDS, QEMU, ROOT, case

sys.path.insert(0, os.path.join(ROOT, "qemu-test", "mutants"))
from isolation import ANY, MUTANTS, SVM, VMX, make  # noqa: E402

AT_START = r"isthmus: isolation holds: 3 partitions, \d+ MiB, DMA "
BUDGET = 20             # M instructions for a GiB, on Bochs
# Those of isolation-mutants whose names have it.
WORD = os.environ.get("MUTANT", "")
VENDOR = {"bochs": VMX, "bochs-amd": SVM, "qemu-tcg": SVM}


def look(t, console):
    """`isolation` says that it holds: MiB, ticks, the manifest's number."""
    said = console.run("isolation")
    match = re.search(HOLDS, said)
    t.check(match, f"isolation: {said!r}")
    return int(match[1]), int(match[2]), match[3]


def document(t, console):
    told = schema.read(console.run("isolation --json"))
    wrong = list(schema.problems(told, schema.load("isolation")))
    t.check(not wrong, f"isolation --json: {wrong}")
    return told


@case("isolation", "partitions are apart, by the live tables: at start-up, with "
      "two Linuxes, when one has come anew")
def isolation(t):
    between = "\t\tbetween { peers = <1 2>; output-kib = <260>; };\n"
    console = t.console("--manifest", manifest(t, ("a", "b"),
                                               channels=between),
                        "--smp", "2", timeout=400)
    up(console, "ab")
    said = console.run("log")
    t.check(re.search(AT_START, said), f"the log at start-up: {said[:2000]!r}")
    first = look(t, console)
    console.run("linux restart b")
    up(console, "b")
    mib, ticks, number = look(t, console)
    t.check(number == first[2], "the manifest's number has changed")
    told = document(t, console)
    t.check(told["holds"] and told["manifest"] == number and not told["more"]
            and [p["name"] for p in told["partitions"]] == ["host", "a", "b"],
            f"isolation --json: {str(told)[:300]}")
    # Who can write a page is alone in that, but for the channel's sections.
    writers = {}
    for partition in told["partitions"]:
        for piece in partition["memory"]:
            for page in range(piece["physical"], piece["physical"] +
                              piece["size"], 4096):
                if "w" in piece["rights"]:
                    t.check(page not in writers, f"page {page:#x}: "
                            f"{partition['name']} and {writers.get(page)}")
                    writers[page] = partition["name"]
    if t.platform in BOCHS:     # where a tick is an instruction
        t.check(ticks <= BUDGET * 1000000 * max(mib, 256) / 1024 * 4,
                f"{ticks} ticks for {mib} MiB")
    t.note += f": {mib} MiB in {ticks} ticks"


@case("isolation-mutants", "hypervisors that let partitions or devices reach what "
      "is not theirs are found out, each by name", later=(*QEMU, *BOCHS))
def isolation_mutants(t):
    wrong, count = [], 0
    for mutant in (m for m in MUTANTS if WORD in m[0]):
        name, vendor, file, old, new, sentence, *asked = mutant
        if vendor not in (ANY, VENDOR[t.platform], t.platform):
            continue
        program = t.path("mutant.elf")
        make(file, old, new, program)
        options = ("--manifest", with_hypervisor(t, program))
        if asked:
            console = t.console(*options, timeout=200)
            console.ready()
            said = console.run("isolation")
            console.send("poweroff")
            console.asked = None        # it does not hold
            console.finish()
        else:
            said = t.boot("--exec", "true", *options, timeout=200).serial
        found = re.search(r"ISOLATION(?: IS BROKEN)?: ([^\n]*)\n", said)
        count += 1
        if not found or sentence not in found[1]:
            wrong.append(f"{name}: {found[1] if found else said[-300:]!r}")
    t.check(not wrong and count, "\n".join(wrong) or "none has such a name")
    t.note = f": {count}"
