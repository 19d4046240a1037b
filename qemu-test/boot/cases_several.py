# SPDX-License-Identifier: MIT
"""Several Linux partitions beside each other."""

import json
import re
import time

from cases_channel import linux_log
from cases_coherence import share
from cases_isolation import TCG_TAKES, _attempts, _wrong
from cases_lifecycle import owners
from runner import BOCHS, QEMU, case

START = "\t\tlinux {\n"
END = "\n\t\t};\n"
CHANNEL = "\n\tchannels {\n"


def manifest(t, names, mib=96, min_mib=48, channels="", **more):
    """The default manifest with these Linuxes in place of its one, ids from 1
    on, each with a channel of its own; `channels`: further ones; NAME=TEXT:
    what that one has besides."""
    with open("boot/isthmus.dts", encoding="utf-8") as f:
        text = f.read()
    begin = text.index(START)
    end = text.index(END, begin) + len(END)
    own = text[begin + len(START):end]
    own = re.sub(r"memory-mib = <\d+>", f"memory-mib = <{mib}>", own)
    own = re.sub(r"memory-min-mib = <\d+>", f"memory-min-mib = <{min_mib}>",
                 own)
    partitions = "\n".join(
        f"\t\t{name} {{\n{more.get(name, '')}"
        + own.replace("id = <1>", f"id = <{number}>")
        for number, name in enumerate(names, 1))
    text = text[:begin] + partitions + text[end:]
    lines = "".join(f"\t\tfiles-{name} {{ peers = <0 {number}>; "
                    "output-kib = <516>; };\n"
                    for number, name in enumerate(names, 1))
    at = text.index(CHANNEL)
    text = text[:at] + CHANNEL + channels + lines + "\t};\n};\n"
    path = t.path("several.dts")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def up(console, names):
    """Waits until these Linuxes' agents are there, in any order."""
    left = set(names)
    while left:
        # up to its end: a name may come in pieces
        left.discard(console.expect(
            r"isthmus: stage 68 agent ready: (\w+)\s")[1])


def said(t, console, who, command, expected):
    """What a command in one of them must answer."""
    answer = console.run(f"exec {who}: {command}")
    t.check(answer == f"{expected}\n[exit status 0]\n",
            f"{who}: {command}: expected {expected!r}, got {answer!r}")


def two_share_files(t, console):
    """What one has written, renamed, removed, the other sees at once, whatever
    it had kept; both see the console's, and it theirs."""
    said(t, console, "a", "echo one > /mnt/host/f; cat /mnt/host/f", "one")
    said(t, console, "b", "cat /mnt/host/f; cat /mnt/host/f", "one\none")
    said(t, console, "a", "echo longer > /mnt/host/f; echo ok", "ok")
    said(t, console, "b", "cat /mnt/host/f; stat -c %s /mnt/host/f",
         "longer\n7")
    said(t, console, "b", "mv /mnt/host/f /mnt/host/g; ls /mnt/host/f 2>&1 "
         "| grep -c 'No such'", "1")
    said(t, console, "a", "cat /mnt/host/f 2>&1 | grep -c 'No such'; "
         "cat /mnt/host/g", "1\nlonger")
    said(t, console, "a", "rm /mnt/host/g; mkdir /mnt/host/dir; echo ok", "ok")
    said(t, console, "b", "ls /mnt/host", "dir\nlost+found\nwelcome.txt")
    console.run("cp welcome.txt dir/copy")
    for who in "ab":
        said(t, console, who, "cmp /mnt/host/dir/copy /mnt/host/welcome.txt; "
             "ls /mnt/host/dir", "copy")


def two_have_their_own(t, console):
    """Their own files by name, at the console; from one to the other."""
    for who in "ab":
        said(t, console, who, f"echo this is {who} > /tmp/who; echo ok", "ok")
    t.check(console.run("cat a:/tmp/who") == "this is a\n", "not a's file")
    t.check(console.run("cat b:/tmp/who") == "this is b\n", "not b's file")
    for n, who in enumerate("ab", 1):
        said(t, console, who, f"nslookup {who}.isthmus.internal | "
             "grep -o '10.77.[12].2$'", f"10.77.{n}.2")
        found = console.run(f"resolve {who}.isthmus.internal")
        t.check(found == f"10.77.{n}.2\nfd69:7374:686d:{n}::2\n",
                f"resolve {who} said {found!r}")
    # "linux" is the first, whatever it is called
    t.check(console.run("cat linux:/tmp/who") == "this is a\n", "not a's file")
    console.run("cp b:/tmp/who a:/tmp/other")
    said(t, console, "a", "cat /tmp/other", "this is b")
    t.check("not on one side" in console.run("mv a:/tmp/who b:/tmp/x"),
            "moved from one to the other")
    t.check("no Linux \"c\"" in console.run("cat c:/tmp/who"), "there is a c")
    t.check("no Linux \"c\"" in console.run("linux stop c"), "there is a c")


def two_have_a_channel(t, console):
    """What the manifest has drawn between them: each writes its own section and
    word, and reads the other's."""
    said(t, console, "a", "between hello; between", "0 ")
    said(t, console, "b", "between; between world; between",
         "7 hello\n7 hello")
    said(t, console, "a", "between", "7 world")


def two_live_apart(t, console):
    """One stops, crashes, starts: the other goes on."""
    t.check("Linux b has shut down" in console.run("linux stop b"),
            "b did not shut down")
    t.check((console.state("a"), console.state("b")) == ("running", "stopped"),
            "not b alone has stopped")
    said(t, console, "a", "cat /tmp/who; between", "this is a\n0 ")
    t.check("linux start b" in console.run("exec b: true"), "b answers")
    console.send("linux start b")
    up(console, "b")
    said(t, console, "b", "ls /mnt/host/dir; ls /tmp | wc -l", "copy\n0")
    console.send("exec a: echo c > /proc/sysrq-trigger")
    console.expect("Linux a asked for a reset")
    up(console, "a")
    said(t, console, "a", "ls /tmp | wc -l; cat /mnt/host/welcome.txt | wc -l",
         "0\n1")
    said(t, console, "b", "cat /mnt/host/welcome.txt | wc -l", "1")


@case("two-linux", "two Linuxes: files, sockets, commands, restarts of each",
      later=BOCHS)
def two_linux(t):
    overlay = t.overlay({f"bin/{name}": t.guest_program(name)
                         for name in ("sockets", "between")})
    between = "\t\tbetween { peers = <1 2>; output-kib = <260>; };\n"
    console = t.console("--manifest", manifest(t, ("a", "b"),
                                               channels=between),
                        *share(t), "--overlay", overlay, timeout=400)
    up(console, "ab")
    two_share_files(t, console)
    two_have_their_own(t, console)
    two_have_a_channel(t, console)
    if t.platform not in BOCHS:         # 128 MiB through two channels
        said(t, console, "b", "(sockets > /tmp/s &); sleep 0.1; echo ok", "ok")
        said(t, console, "a", "sockets", "sockets: all passed")
        said(t, console, "b", "until grep -q socket /tmp/s; do sleep 0.1; "
             "done; cat /tmp/s", "sockets: all passed")
    status = console.run("status")
    t.check("Linux a agent: ready" in status and "Linux b agent: ready"
            in status, f"status says {status!r}")
    t.check(set("ab") < set(owners(console)), "memory does not name them")
    told = json.loads(console.run("status --json"))
    t.check([(p["name"], p["agent"]) for p in told["partitions"][1:]] ==
            [("a", True), ("b", True)], f"status --json says {told!r}")
    channels = console.run("channel")
    t.check("channel 0 to a:" in channels and "channel 1 to b:" in channels,
            f"channel says {channels!r}")
    two_live_apart(t, console)
    t.check("sysrq: Trigger a crash" in console.run("linux log a") and
            "sysrq: Trigger a crash" not in console.run("linux log b"),
            "logs are mixed")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    lines = linux_log(t)
    t.check(re.search(r"^a: .*isthmus-init: up", lines, re.M) and
            re.search(r"^b: .*isthmus-init: up", lines, re.M),
            "lines of the second serial line have no names")


# As many as there can be. Of 36 MiB each host-bridge would say that the initrd
# does not fit beside the kernel.
SMALL_MIB = 48
ALL = [f"l{n}" for n in range(1, 16)]


def its_own(path, name):
    """One Linux of a manifest gets an initrd of its own, without --overlay,
    two vCPUs, and 16 MiB more."""
    with open(path, encoding="utf-8") as f:
        head, sign, rest = f.read().partition(f"\t\t{name} {{\n")
    for old, new in (('initrd = "initrd"', 'initrd = "plain"'),
                     ("vcpus = <1>", "vcpus = <2>"),
                     (f"memory-mib = <{SMALL_MIB}>",
                      f"memory-mib = <{SMALL_MIB + 16}>")):
        rest = rest.replace(old, new, 1)
    head = head.replace("\tmodules {\n", '\tmodules {\n\t\tplain { path = '
                        '"\\\\isthmus\\\\plain"; file = '
                        '"build/guest/initrd.cpio"; };\n', 1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + sign + rest)


@case("sixteen", "fifteen small Linuxes beside the host partition, one of them "
      "started by hand", only=QEMU, why="minutes elsewhere")
def sixteen(t):
    on_demand = {"l7": "\t\t\ton-demand;\n"}
    path = manifest(t, ALL, SMALL_MIB, 32, **on_demand)
    its_own(path, "l7")
    console = t.console("--manifest", path, *share(t), "--overlay",
                        t.overlay({"bin/others": "/bin/true"}),
                        "--memory", "1536", timeout=600)
    up(console, set(ALL) - {"l7"})
    t.check(console.state("l7") == "stopped", "l7 was started")
    memory = owners(console)
    t.check(memory["l7"] < 64 << 10, "l7 has memory")
    console.send("linux start l7")
    up(console, {"l7"})
    for name in ALL:
        said(t, console, name, f"echo {name} > /mnt/host/{name}; "
             "wc -l < /mnt/host/welcome.txt", "1")
    for name in (ALL[0], ALL[-1]):
        said(t, console, name, "cat /mnt/host/l[0-9]* | wc -l", "15")
    for name, its in (("l6", "1\nothers"), ("l7", "2")):
        said(t, console, name, "nproc; ls /bin | grep others || :", its)
    sizes = {name: console.run(f"exec {name}: grep MemTotal /proc/meminfo")
             for name in ("l6", "l7")}
    sizes = {name: int(re.search(r"(\d+) kB", text)[1]) >> 10
             for name, text in sizes.items()}
    t.check(14 <= sizes["l7"] - sizes["l6"] <= 16, f"memory: {sizes}")
    memory = owners(console)
    t.note += f": {max(memory[n] for n in ALL) >> 20} MiB each at most"
    t.check(sum(memory[n] for n in memory if n != "all") == memory["all"],
            "the sum is wrong")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


PAYLOAD = "build/guest/payload.bzImage"
# Where another channel would be, its interrupt table, and where the host
# partition has that of the first.
FOREIGN = ("read:e8000000", "write:e0001000", "read:140000000")


@case("apart", "an enemy beside a Linux reaches nothing of it", later=BOCHS)
def apart(t):
    t.need(PAYLOAD)
    enemy = '\t\tpayload {{ path = "\\\\isthmus\\\\payload"; file = "{}"; }};\n'
    path = manifest(t, "abc", 384, channels="\t\tbetween { peers = <1 2>; "
                    "output-kib = <260>; };\n")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = text.replace("\tmodules {\n", "\tmodules {\n" + enemy.format(PAYLOAD))
    parts = re.split(r"(?=\t\t[abc] \{\n)", text)
    for n, tests in ((2, "all"), (3, ",".join(FOREIGN))):
        parts[n] = re.sub(r'bootargs = "[^"]*"',
                          f'bootargs = "isthmus.test={tests}"',
                          parts[n].replace('kernel = "kernel"',
                                           'kernel = "payload"'))
    disks = "".join(f'\t\td{n} {{ partition = <{n}>; file = "/d{n}"; '
                    f"size-mib = <{16 * n}>; }};\n" for n in (1, 2, 3))
    text = "".join(parts)
    at = text.rindex("};\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text[:at] + "\tdisks {\n" + disks + "\t};\n};\n")
    console = t.console("--manifest", path, *share(t), timeout=400)
    up(console, "a")
    # the machine's limit is that of both loops
    while "Linux c went down 3 times" not in console.seen:
        console.run("status")
    found = re.findall(r"Linux c crashed: access to memory it does not have, "
                       r"at [0-9a-f]+, detail ([0-9a-f]+)", console.seen)
    t.check(found == [test.partition(":")[2] for test in FOREIGN],
            f"c ended by {found}")
    # the log is long, and what shows it has the processor, too
    while "PAYLOAD end" not in console.run("linux log b"):
        time.sleep(5)
    attempts = _attempts(console.run("linux log b"))
    wrong = [a for a in attempts
             if _wrong(*a) and a not in TCG_TAKES.get(t.platform, ())
             and a != ("hypercall-own-id", None, "ok 0x2")]
    t.check(not wrong, "\n".join(map(str, wrong)))
    t.check(len(attempts) > 150, f"only {len(attempts)} attempts reported")
    # a has two channels, and uses the one that leads to the host
    said(t, console, "a", "wc -l < /mnt/host/welcome.txt", "1")
    said(t, console, "a", "grep -o 'isthmus.*' /proc/partitions; "
         "cat /sys/block/i*/size", "isthmus0\n32768")
    said(t, console, "a", "cat /sys/bus/pci/devices/*/class",
         "0x060000\n0xff0000\n0xff0100")
    t.check(console.state("a") == "running" and
            console.state("host") == "running", "they did not go on")
    console.send("poweroff")
    console.finish()


# Each flood, by so many processes, and where: the work is in b/. A storm is of
# twelve processes. Two who share a CPU have a half each; who changes what another
# knows waits for that one's turn, too.
FLOODS = {"exits": ("exits", 1, "a"), "files": ("files", 4, "a"),
          "reads": ("reads", 2, "a"), "sends": ("sends", 48, "a"),
          "storm": ("storm", 4, "a"), "files in b/": ("files", 4, "b"),
          "storm in b/": ("storm", 4, "b")}
MOST = {"a": 2.2, "b": 4}
WORK = 200


def slower_by(t, floods, work_count, *options, timeout):
    """How many times as long b takes for the same work beside each flood of
    a's; us of one piece of work without."""
    overlay = t.overlay({f"bin/{name}": t.guest_program(name)
                         for name in ("flood", "driver")})
    console = t.console("--manifest", manifest(t, ("a", "b")), *share(t),
                        "--overlay", overlay, "--deterministic", *options,
                        timeout=timeout)
    up(console, "ab")
    console.run("mkdir a")
    console.run("mkdir b")

    def work():
        answer = console.run(f"exec b: flood work {work_count} /mnt/host/b")
        found = re.match(r"(\d+) us\n", answer)
        t.check(found, f"b said {answer!r}")
        return int(found[1])

    work()
    alone = work()
    slower = {}
    for name in floods:
        kind, count, where = FLOODS[name]
        console.run(f"exec a: flood {kind} {count} /mnt/host/{where}; "
                    "sleep 0.1")
        slower[name] = work() / alone
        console.run("exec a: killall flood driver; sleep 0.02")
    t.note = f": {alone / work_count:.0f} us alone, " + \
        ", ".join(f"{k} {v:.2f}" for k, v in slower.items())
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    return slower


@case("fair", "what a flood of one Linux's costs another one on one CPU",
      only=QEMU, why="in instructions, on a machine that repeats itself",
      later=QEMU)
def fair(t):
    slower = slower_by(t, FLOODS, WORK, timeout=600)
    t.check(all(slower[name] <= MOST[where]
                for name, (_, _, where) in FLOODS.items()),
            f"b takes so many times as long{t.note}")


# Bochs steps all CPUs at once. Of two, b has one together with the host partition,
# which serves a, too, on time of its own: each has a half. Of its half b pays the
# exits, too, by which a's doorbells end its turns: while 48 (or one) of a's send, one
# in each 2,000 ticks, of some 220, which makes b 2.55 times as slow. Of four CPUs
# each has one for itself.
SMP_FLOODS = ("exits", "files", "reads", "sends")


def fair_smp(t, cpus, most):
    slower = slower_by(t, SMP_FLOODS, 40, "--smp", str(cpus), timeout=3000)
    t.check(max(slower.values()) <= most, f"b takes so many times as long"
            f"{t.note}")


@case("fair-2", "the same on two CPUs", only=BOCHS,
      why="its CPUs run at once, and it repeats itself", later=BOCHS)
def fair_two(t):
    fair_smp(t, 2, 2.7)


@case("fair-4", "the same on four CPUs", only=BOCHS,
      why="its CPUs run at once, and it repeats itself", later=BOCHS)
def fair_four(t):
    fair_smp(t, 4, 1.2)
