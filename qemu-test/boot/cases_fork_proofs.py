# SPDX-License-Identifier: MIT
"""Templates and their children: what they cost, and that nothing is lost or
seen, whatever becomes of them."""

import json
import os
import random
import re
import time

from cases_coherence import share
from cases_fork import answer, fork, stop
from cases_lifecycle import owners
from cases_several import manifest, up
from runner import BOCHS, PROMPT, QEMU, case

CHILDREN = [f"c{n}" for n in range(1, 6)]
MIB = 1 << 20
SCRIPTS = {
    # all that a Linux without a root of its own has: its files
    "sum": "cat /tmp/data /bin/busybox | md5sum",
    "four": "for i in 1 2 3 4; do sum & done; wait; nproc",
    "busy": """yes > /dev/null 2>&1 &
(while :; do date >> /mnt/host/log; done) > /dev/null 2>&1 &
(while :; do dd if=/dev/zero of=/tmp/w bs=1M count=4; done) > /dev/null 2>&1 &
until [ -s /mnt/host/log ]; do sleep 0.1; done""",
    "goes-on": """was=$(wc -l < /mnt/host/log)
until [ $(wc -l < /mnt/host/log) -gt $was ]; do sleep 0.1; done
ps | grep -c '[y]es'""",
    "work": "dd if=/dev/zero of=/tmp/x bs=64k count=800; rm /tmp/x; sleep 9",
}


def scripts(t):
    """An overlay with these in /bin."""
    for name, text in SCRIPTS.items():
        with open(t.path(name), "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(t.path(name), 0o755)
    return t.overlay({f"bin/{name}": t.path(name) for name in SCRIPTS})


def machine(t, children, *options, vcpus=1, mib=96, timeout=600,
            last="true"):
    """A console with a template "a" that has 8 MiB of its own, and so many
    children of its shape; the template's sum. last: what it has begun."""
    names = CHILDREN[:children]
    on_demand = {name: "\t\t\ton-demand;\n" for name in names}
    path = manifest(t, ["a"] + names, mib=mib, min_mib=4, **on_demand)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        head, sign, rest = text.partition("\t\ta {\n")
        f.write(head + sign + rest.replace("vcpus = <1>",
                                           f"vcpus = <{vcpus}>"))
    console = t.console("--manifest", path, "--overlay", scripts(t), *options,
                        timeout=timeout)
    up(console, "a")
    answer(t, console, "a", "dd if=/dev/urandom of=/tmp/data bs=1M count=8")
    wanted = answer(t, console, "a", "sum")
    answer(t, console, "a", last)
    t.check("is a template now" in console.run("linux freeze a"),
            "a was not frozen")
    return console, wanted


def ended(t, console):
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def told(console):
    return json.loads(console.run("status --json"))


def busy(console):
    """Instructions so far, but for an idle processor's: time goes on there, and
    more of it the slower is who types. To a million."""
    cpu, = told(console)["cpus"]
    return (cpu["up"] - cpu["idle"]) * 10 ** 6


def has(console, who):
    """Bytes that it has, and those of them that are pages of its own."""
    its, = (p for p in told(console)["partitions"] if p["name"] == who)
    return its["memory"], its["populated"]


@case("fork-cost", "instructions of a fork and a sandbox, where each is a "
      "nanosecond; a child's memory", only=QEMU,
      why="it counts QEMU's instructions", later=QEMU)
def fork_cost(t):
    console, wanted = machine(t, 2, "--deterministic", mib=128)
    times = []
    for _ in range(5):
        who, us = fork(t, console, "c1")
        times.append(us * 1000)
        stop(t, console, who)
    before = busy(console)
    idle = busy(console) - before
    for _ in range(20):
        out = console.run("sandbox true")
        t.check(out.endswith("[exit status 0]\n"), f"sandbox said {out!r}")
    sandbox = (busy(console) - before - 2 * idle) // 20
    fork(t, console, "c1")
    first, own = has(console, "c1")
    answer(t, console, "c1", "dd if=/dev/zero of=/tmp/x bs=1M count=16")
    grown = has(console, "c1")[0] - first
    t.check(answer(t, console, "c1", "sum") == wanted, "another memory")
    answer(t, console, "c1", "sleep 900")       # nobody waits for that
    fork(t, console, "c2")
    before = console.run("status")[:19]
    there = answer(t, console, "c2", "date -u '+%F %T'")
    t.check(before <= there <= console.run("status")[:19],
            f"after a quarter of an hour, at {before}, c2 is at {there}")
    t.note += f": fork {min(times)}, sandbox true {sandbox}; " \
        f"{own >> 10} KiB and {first - own >> 10} of tables, " \
        f"after 16 MiB {grown >> 10} more"
    # to its end, with the console's line, and waits in a fork
    t.check(min(times) <= 2000000, f"a fork takes {times}")
    t.check(sandbox <= 4000000, f"sandbox true takes {sandbox}")
    t.check(first <= 2 * MIB, f"a child has {first} at first")
    t.check(first - own <= MIB, f"of {first} of a child {own} are its pages")
    # and what a shell, dd and the kernel below them touch
    t.check(grown <= 19 * MIB, f"after 16 MiB a child has {grown} more")
    ended(t, console)


@case("save-cost", "how long a save and a restore take, where an instruction "
      "is a nanosecond", only=QEMU, why="it counts QEMU's instructions",
      later=QEMU)
def save_cost(t):
    console, _ = machine(t, 1, "--deterministic", mib=128)
    times = []
    for line, wanted in (("save a t", "is saved in t"),
                         ("stop a", "no template any more"),
                         ("restore t", "is a template again, from t")):
        before = busy(console)
        out = console.run(f"linux {line}")
        times.append((busy(console) - before) // 1000000)
        t.check(wanted in out, f"linux {line}: {out!r}")
    t.note += f": {out.split(': ')[-1].strip()}, {times[0]} M " \
        f"instructions to save, {times[2]} M to restore"
    ended(t, console)


@case("fork-busy", "a Linux becomes a template in the middle of its work, "
      "which its child goes on with; the host's files are whole",
      later=BOCHS + QEMU)
def fork_busy(t):
    console, wanted = machine(t, 1, *share(t), last="busy")
    for _ in range(3):
        fork(t, console, "c1")
        t.check(answer(t, console, "c1", "goes-on") == "1", "it does not go on")
        t.check(answer(t, console, "c1", "sum") == wanted, "another memory")
        stop(t, console, "c1")
        said = console.run("fsck")
        t.check(": 0 things are wrong" in said, f"fsck said {said!r}")
    ended(t, console)


def four(t):
    """Options: four CPUs for four vCPUs; but one on QEMU, which with several
    loses bits of the first one's (docs/platforms.md)."""
    return ("--smp", "1" if t.platform in QEMU else "4")


@case("fork-smp", "a template with four vCPUs; children that use all of them",
      later=BOCHS + QEMU)
def fork_smp(t):
    console, wanted = machine(t, 4, *four(t), vcpus=4)
    for _ in range(3):
        for who in CHILDREN[:4]:
            fork(t, console, who)
        for who in CHILDREN[:4]:
            sums = answer(t, console, who, "four").split("\n")
            t.check(sums == [wanted] * 4 + ["4"], f"{who}: {sums}")
        for who in CHILDREN[:4]:
            stop(t, console, who)
    ended(t, console)


@case("save-smp", "a template with four vCPUs in a file, and from it after a "
      "boot; children that use all of them", later=BOCHS + QEMU)
def save_smp(t):
    options = (*four(t), "--disk", t.path("volume.img"), "--disk-volume")
    console, wanted = machine(t, 2, *options, "--disk-size", "128", vcpus=4)
    out = console.run("linux save a t")
    t.check("is saved in t" in out, f"save said {out!r}")
    ended(t, console)
    path = t.path("several.dts")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("\t\ta {\n", "\t\ta {\n\t\t\ton-demand;\n"))
    console = t.console("--manifest", path, *options, timeout=600)
    console.expect(re.escape(PROMPT))
    out = console.run("linux restore t")
    t.check("is a template again" in out, f"restore said {out!r}")
    for who in CHILDREN[:2]:
        fork(t, console, who)
    for who in CHILDREN[:2]:
        sums = answer(t, console, who, "four").split("\n")
        t.check(sums == [wanted] * 4 + ["4"], f"{who}: {sums}")
    ended(t, console)


@case("fork-secrets", "what one child has written no other finds in all of its "
      "memory, nor is it in the template", later=BOCHS + QEMU)
def fork_secrets(t):
    kernel, initrd = "build/guest/vmlinuz-debian", \
        "build/guest/initrd-debian.cpio"
    t.need(kernel, initrd)
    t.overlay({"bin/secrets": t.guest_program("secrets")})
    console, wanted = machine(t, 3, "--kernel", kernel, "--initrd", initrd,
                              "--memory", "2048", mib=256, timeout=2000)
    seen = []
    fork(t, console, "c1")
    # at once: what is free for two seconds goes back, and is cleared
    seen.append(answer(t, console, "c1", "secrets write 1 100; secrets look"))
    t.check(re.search(r"^1: \d{5}", seen[0], re.M) and "\n2:" not in seen[0],
            f"it does not find its own: {seen}")
    fork(t, console, "c2")
    answer(t, console, "c2", "secrets write 2 100")
    fork(t, console, "c3")
    seen.append(answer(t, console, "c3", "secrets look"))
    stop(t, console, "c1")              # its frames are others' now
    stop(t, console, "c3")
    for who in ("c3", "c1"):
        fork(t, console, who)
        answer(t, console, who, "dd if=/dev/zero of=/dev/null bs=99M count=1")
        seen.append(answer(t, console, who, "secrets look"))
        t.check(answer(t, console, who, "sum") == wanted, "another memory")
    for text in seen[1:]:
        t.check(re.fullmatch(r"of \d+ MiB", text)
                and int(text.split()[1]) > 200, f"there is {text!r}")
    t.note += f": {seen[1]}, and {seen[0].split()[1]} texts in its own"
    ended(t, console)


@case("fork-many", "100 forks in a row, each with the template's memory; after "
      "1,000 no page is missing", later=BOCHS + QEMU)
def fork_many(t):
    console, wanted = machine(t, 2, timeout=4000)
    console.run("sandbox true")
    fork(t, console, "c2")
    stop(t, console, "c2")
    before = owners(console)
    for n in range(100):
        who, _ = fork(t, console)
        t.check(answer(t, console, who, "sum") == wanted, f"{n}: another memory")
        stop(t, console, who)
    for n in range(900):
        out = console.run("sandbox true")
        t.check(out.endswith("[exit status 0]\n"), f"{n}: {out!r}")
    after = owners(console)
    t.check({n: b for n, b in after.items() if n != "host" and n != "free"} ==
            {n: b for n, b in before.items() if n != "host" and n != "free"},
            f"before {before}, after {after}")
    t.check(after["host"] - before["host"] < MIB and
            after["all"] == before["all"], f"before {before}, after {after}")
    ended(t, console)


@case("fork-pressure", "children that want more than there is end; the host has "
      "what it was promised, and nothing is lost", later=BOCHS)
def fork_pressure(t):
    console, wanted = machine(t, 4, "--memory", "512", *share(t), mib=128)
    for who in CHILDREN[:4]:
        fork(t, console, who)
        console.run(f"exec {who}: dd if=/dev/zero of=/tmp/x bs=1M count=90")
    states = [console.state(who) for who in CHILDREN[:4]]
    t.check("running" in states and "stopped" in states,
            f"the children are {states}")
    sums = owners(console)
    t.check(sum(n for who, n in sums.items() if who != "all") == sums["all"],
            f"the sums are {sums}")
    # its volume grows within the promise
    console.run("mkdir copies")
    for n in range(20):
        console.run(f"cp welcome.txt copies/{n}")
    t.check(len(console.run("ls copies").splitlines()) == 20,
            "the host has no memory")
    for who in CHILDREN[:4]:
        console.run(f"linux stop {who}")
    after = owners(console)
    t.check(after["all"] == sums["all"] and all(
        after[who] < 64 << 10 for who in CHILDREN[:4]), f"it has {after}")
    who, _ = fork(t, console)
    t.check(answer(t, console, who, "sum") == wanted, "another memory")
    ended(t, console)


@case("fork-kills", "children that end at any time of their begin and their "
      "work leave nothing", later=BOCHS + QEMU)
def fork_kills(t):
    console, wanted = machine(t, 3)
    chosen = random.Random(10)
    console.run("sandbox true")
    before = owners(console)
    for n in range(40):
        console.send("sandbox work")
        time.sleep(chosen.random() ** 2 * 2)
        console.process.stdin.write(b"\x03")
        console.process.stdin.flush()
        console.expect(r"\^C\s[\s\S]*?isthmus> ")
        after = owners(console)
        t.check(after["all"] == before["all"] and after["c1"] == before["c1"]
                and after["a"] == before["a"], f"{n}: {before}, now {after}")
    fork(t, console, "c1")
    t.check(answer(t, console, "c1", "sum") == wanted, "another memory")
    ended(t, console)
