# SPDX-License-Identifier: MIT
"""Templates, and the Linuxes that go on from where they were."""

import os
import re

from cases_coherence import share
from cases_lifecycle import owners
from cases_net_out import GATEWAY, serve_file
from cases_several import manifest, said, up
from runner import BOCHS, QEMU, case

CHILDREN = [f"c{n}" for n in range(1, 17)]
IN_A_ROW = 20
# /bin/f: what is done there, for the console's lines are short.
SCRIPT = r"""
case $1 in
fill)
	dd if=/dev/urandom of=/tmp/data bs=1M count=8 2> /dev/null
	echo secret > /tmp/secret-of-a
	cat /proc/sys/kernel/random/boot_id	# so it is known from here on
	mkdir /mnt/host/d
	mkfifo /p /q		# two who wait for each other, by isthmus0's address
	sleep 900 > /p &
	sleep 900 > /q &
	nc -l -p 9 < /q > /dev/null 2>&1 &
	sleep 0.2
	(nc 10.77.1.2 9 < /p; echo over > /over) > /dev/null 2>&1 &
	sleep 0.2
	netstat -tn | grep -q ":9 .*ESTAB" || exit 1
	echo kept > /mnt/host/kept
	echo inside > /mnt/host/d/f ;;
sum)	# all that a child sees of its memory: its files
	cat /tmp/data /tmp/secret-of-a /bin/busybox | md5sum ;;
who)
	uname -n
	cat /etc/machine-id
	cat /proc/sys/kernel/random/boot_id
	head -c 32 /dev/urandom | md5sum ;;
net)
	(ip addr show isthmus0 | sed -n 's/.*inet6* \([^ ]*\) .*/\1/p'
	ip route | cut -d' ' -f1-3
	ip -6 route | grep isthmus0 | cut -d' ' -f1-3) | grep -v '^fe80\|^mult'
	cat /etc/resolv.conf
	grep linux /etc/hosts
	for i in 4 6; do eval ping -$i -c 1 host.isthmus.internal; done |
		grep -c ' 0% packet loss' ;;
over)	# he hears that it is over
	for i in 1 2 3 4 5 6 7 8 9; do [ -s /over ] || sleep 0.1; done
	cat /over
	netstat -tn | grep -c ":9 " || : ;;
files)
	echo x > /tmp/mine
	ls /tmp /mnt/host
	cat /tmp/secret-of-a ;;
mount)
	mkdir /m
	mount -t isthmus h /m && echo mounted
	exit 3 ;;
full)
	cat /dev/zero > /mnt/host/full 2> /dev/null
	sync ;;
cut)	# the host's file is so many pages long
	dd if=/dev/null of=/mnt/host/t2 bs=4096 seek=$2 2> /dev/null
	sync ;;
damage)	# the other byte at an offset of the host's file
	old=$(dd if=/mnt/host/t bs=1 skip=$2 count=1 2> /dev/null | od -An -tu1)
	printf "\\$(printf %o $((old ^ 1)))" |
		dd of=/mnt/host/t bs=1 seek=$2 conv=notrunc 2> /dev/null
	sync ;;
ro)
	ls /mnt/host
	cat /mnt/host/f /mnt/host/../host/f
	(echo x > /mnt/host/f) 2>&1 | grep -c Read-only ;;
esac
"""


def answer(t, console, who, command):
    """What a command in one of them says."""
    out = console.run(f"exec {who}: {command}")
    t.check(out.endswith("[exit status 0]\n"), f"{who}: {command}: {out!r}")
    return out[:-len("[exit status 0]\n")].strip()


def fork(t, console, name=""):
    """Starts a child; its name, and the us that it took."""
    out = console.run(f"linux fork a {name}")
    found = re.search(r"Linux (\w+) goes on from where Linux a was, (\d+) us",
                      out)
    t.check(found, f"fork said {out!r}")
    t.check(not name or found[1] == name, f"it is not {name}: {out!r}")
    return found[1], int(found[2])


def stop(t, console, name):
    out = console.run(f"linux stop {name}")
    t.check("has shut down" in out, f"stopping {name}: {out!r}")


def template(t, console, others=("c1", "c2")):
    """Makes one; what a child's sum must be."""
    answer(t, console, "a", "f fill")
    wanted = answer(t, console, "a", "f sum")
    t.check("no template" in console.run("linux fork a c1"), "a runs still")
    t.check("is a template now" in console.run("linux freeze a"),
            "a was not frozen")
    t.check(console.state("a") == "frozen", "it is not frozen")
    t.check("is a template" in console.run("exec a: true"), "it answers")
    t.check("is a template" in console.run("linux start a"), "it starts")
    other = others[-1]
    t.check("is no template" in console.run(f"linux fork {other}"),
            f"{other} is one")
    return wanted


def has_network(t, console, who):
    """Its own addresses, and none of its template's."""
    number = CHILDREN.index(who) + 2
    four, six = f"10.77.{number}", f"fd69:7374:686d:{number:x}:"
    answer_is = answer(t, console, who, "f net").split("\n")
    wanted = [f"{four}.2/24", f"{six}:2/64", f"default via {four}.1",
              f"{four}.0/24 dev isthmus0", f"{four}.1 dev isthmus0",
              f"{six}:1 dev isthmus0", f"{six}:/64 dev isthmus0",
              f"default via {six}:1", f"nameserver {four}.1",
              f"{four}.2 linux.isthmus.internal linux",
              f"{six}:2 linux.isthmus.internal linux", "2"]
    t.check(sorted(answer_is) == sorted(wanted),
            f"{who}'s network is {answer_is}")


def each_is_itself(t, console):
    """Two children have their own names and random numbers, do not see each
    other's files, and have the host's, and the right time."""
    told = set()
    for who in CHILDREN[:2]:
        fork(t, console, who)
        words = answer(t, console, who, "f who").split()
        t.check(words[0] == who, f"{who} is called {words[0]}")
        told |= set(words[1:4])
        said(t, console, who, "f over", "over\n0")
        has_network(t, console, who)
        said(t, console, who, "f files", "/mnt/host:\nd\nkept\nlost+found\n"
             "welcome.txt\n\n/tmp:\ndata\nmine\nsecret-of-a\nsecret")
        before = console.run("status")[:19]
        there = answer(t, console, who, "date -u '+%F %T'")
        after = console.run("status")[:19]
        t.check(before <= there <= after,
                f"{who} is at {there}, and not from {before} to {after}")
    t.check(len(told) == 6, f"two children have the same: {told}")
    t.check("has children" in console.run("linux stop a"),
            "a template with children was stopped")
    for who in CHILDREN[:2]:
        stop(t, console, who)


def sandboxes(t, console):
    """For one command, with none of the host's files, or one folder; nothing
    of them stays."""
    for who in ("", "a: "):
        out = console.run(f"sandbox {who}f files")
        t.check(out.endswith("/mnt/host:\n\n/tmp:\ndata\nmine\nsecret-of-a\n"
                             "secret\n[exit status 0]\n"),
                f"sandbox said {out!r}")
        t.check(console.state("c1") == "stopped", "a sandbox runs on")
    console.send("sandbox true\nsandbox true")      # at once
    for _ in range(2):
        console.expect(r"stage 68 agent ready: c1\s+\[exit status 0\]\s")
    console.expect("isthmus> ")
    out = console.run("sandbox f mount")
    t.check(out.endswith("[exit status 3]\n") and "mounted" not in out,
            f"it has files: {out!r}")
    out = console.run("sandbox --net out --mount d:ro f ro")
    t.check(out.endswith("\nf\ninside\ninside\n1\n[exit status 0]\n"),
            f"sandbox --mount said {out!r}")
    for wrong in ("kept:ro", "none:ro", "d", "d:rw"):
        out = console.run(f"sandbox --mount {wrong} true")
        t.check(f"--mount {wrong}: " in out and "exit" not in out,
                f"--mount {wrong} said {out!r}")
    t.check("is no template" in console.run("sandbox c2: true"), "c2 is one")
    t.check("or \"out\" expected" in console.run("sandbox --net in true"),
            "it has a network \"in\"")
    t.check("--net is there twice" in console.run(
        "sandbox --net none --net out true"), "two --net are accepted")
    t.check("no option --files" in console.run("sandbox --files d true"),
            "there is an option --files")


SEEN = r"""
uname -n
ls /mnt/host
cat /mnt/host/f
(echo x > /mnt/host/f) 2>&1 | grep -c Read-only
echo err >&2
"""
# What it reaches: outside, and names; not the host's services, nor itself.
OUT = r"""
wget -q -O - http://{gateway}:{web}/
nslookup host.isthmus.internal | grep -q '^Address.*10.77.2.1$' && echo named
nc -w 1 10.77.2.1 7 < /dev/null 2> /dev/null || echo refused
"""


@case("sandbox", "isthmus sandbox: files to read, what is outside; the command's "
      "output and status", later=BOCHS)
def sandbox_case(t):
    folder = t.path("d")
    os.mkdir(folder)
    with open(os.path.join(folder, "f"), "w", encoding="ascii") as f:
        f.write("inside\n")
    script, wanted, options = SEEN, "sandbox\nf\nlost+found\ninside\n1\n", []
    if t.platform in QEMU:
        script += OUT.format(gateway=GATEWAY, web=serve_file(b"outside\n"))
        wanted += "outside\nnamed\nrefused\n"
        options = ["--net", "out"]
    result = t.boot("--mount", folder + ":ro", *options, script + "exit 7",
                    verb="sandbox")
    t.check(result.status == 7 and result.out == wanted
            and result.err == "err\n",
            f"status {result.status}: {result.out!r}, {result.err!r}")
    result = t.boot("--smp", "2", "nproc; ls /mnt/host; uname -n; "
                    "nc 10.0.2.2 1 2>&1", verb="sandbox")
    t.check(result.status == 1 and re.fullmatch(
        "2\nsandbox\n.*Network is unreachable.*\n", result.out),
            f"status {result.status}: {result.out!r}, {result.err!r}")


def left(console):
    """What children that are down have: tables of their channels' places, once
    they have run, and nothing else."""
    return {who: n for who, n in owners(console).items() if who in CHILDREN}


@case("fork", "a Linux is a template: its children have its memory, and are "
      "each their own; many at once, many in a row", later=BOCHS)
def fork_case(t):
    on_demand = {name: "\t\t\ton-demand;\n" for name in CHILDREN}
    script = t.path("f")
    with open(script, "w", encoding="ascii") as f:
        f.write("#!/bin/sh" + SCRIPT)
    os.chmod(script, 0o755)
    console = t.console("--manifest", manifest(
        t, ["a"] + CHILDREN, min_mib=4, **on_demand), *share(t),
        "--overlay", t.overlay({"bin/f": script}), timeout=600)
    up(console, "a")
    wanted = template(t, console)
    each_is_itself(t, console)
    before = left(console)
    sandboxes(t, console)
    t.check(left(console) == before, "sandboxes have left something")
    times = [fork(t, console) for _ in CHILDREN]
    t.check([who for who, _ in times] == CHILDREN, "not each once")
    for who in CHILDREN:
        t.check(answer(t, console, who, "f sum") == wanted,
                f"{who} has another memory")
    has = owners(console)
    t.note += f": {min(us for _, us in times)} us, " \
        f"{max(has[who] for who in CHILDREN) >> 10} KiB"
    t.check(max(has[who] for who in CHILDREN) < 16 << 20, "children have more")
    out = console.run("linux fork a")
    t.check(out == "no Linux that is on-demand in the manifest is down, to "
            "become a child\n", f"there is one more: {out!r}")
    out = console.run("linux fork a c1")
    t.check(out == "Linux c1 is not down\n", f"c1 twice: {out!r}")
    for who in CHILDREN:
        stop(t, console, who)
    t.check(set(left(console).values()) == set(before.values()) - {4096},
            f"children have left something: {left(console)}")
    for _ in range(IN_A_ROW):
        stop(t, console, fork(t, console)[0])
    t.check(set(left(console).values()) == set(before.values()) - {4096},
            f"children have left something: {left(console)}")
    t.check("no template any more" in console.run("linux stop a"),
            "the template stays")
    console.send("linux start a")
    up(console, "a")
    said(t, console, "a", "ls /tmp; cat /mnt/host/kept", "kept")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def damage(t, console, who, offset):
    """A byte of the file is another, by a child's hand."""
    answer(t, console, who, f"f damage {offset}")


def refused_when_cut(t, console):
    """The end of a file is gone: of its memory, of its record, nearly all."""
    for pages, why in ((3000, "is damaged: the checksum of its data"),
                       (2, "is shorter than it says"),
                       (0, "is no saved template")):
        answer(t, console, "c1", f"f cut {pages}")
        stop(t, console, "c1")
        console.run("linux stop a")
        out = console.run("linux restore t2")
        t.check(f"t2: {why}" in out or f"t2 {why}" in out,
                f"of {pages} pages: {out!r}")
        t.check(console.state("a") == "stopped", "it is a template")
        t.check("template again" in console.run("linux restore t"),
                "the other file is not whole")
        if pages:
            fork(t, console, "c1")


def refused_elsewhere(t, manifest_path, options):
    """The processor is another one."""
    console = t.console("--manifest", manifest_path, *options, "--cpu",
                        "EPYC-Rome,-monitor,-avx2", timeout=300)
    console.expect("isthmus> ")
    out = console.run("linux restore t3")
    t.check(re.search(r"is of another processor: CPUID leaf 7 EBX was 0x\w+ "
                      r"there and is 0x\w+ here", out), f"it said {out!r}")
    t.check(console.state("a") == "stopped", "it is a template")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("save-restore", "a template in a file, and from it after a boot: its "
      "children have its memory, the time, and names of their own",
      later=BOCHS)
def save_restore(t):
    disk, script = t.path("volume.img"), t.path("f")
    with open(script, "w", encoding="ascii") as f:
        f.write("#!/bin/sh" + SCRIPT)
    os.chmod(script, 0o755)
    options = ("--disk", disk, "--disk-volume", "--overlay",
               t.overlay({"bin/f": script}))
    down = "\t\t\ton-demand;\n"
    console = t.console("--manifest", manifest(t, ["a", "c1"], min_mib=4,
                        c1=down), *options, "--disk-size", "128", timeout=300)
    up(console, "a")
    t.check("is no template" in console.run("linux save a t"), "a runs still")
    wanted = template(t, console, ("c1",))
    out = console.run("linux save a t")
    t.check("is saved in t" in out, f"save said {out!r}")
    t.note += ": " + out.strip().split(": ")[-1]
    t.check("File exists" in console.run("linux save a t"), "saved twice")
    t.check("No such" in console.run("linux save a d/none/t"), "no folder")
    fork(t, console, "c1")
    told = answer(t, console, "c1", "f who").split()
    answer(t, console, "c1", "f full")
    out = console.run("linux save a t2")
    t.check("t2: No space left on device" in out, f"a full volume: {out!r}")
    console.run("rm full")
    t.check("t2" not in console.run("ls"), "half of it is left")
    for name in ("t2", "t3"):
        t.check(f"is saved in {name}" in console.run(f"linux save a {name}"),
                "no room")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")

    console = t.console("--manifest", manifest(t, ["a", "c1"], min_mib=4,
                        a=down, c1=down), *options, timeout=300)
    console.expect("isthmus> ")
    t.check("is no saved" in console.run("linux restore kept"),
            "a text is one")
    t.check("no Linux \"b\"" in console.run("linux restore t b"), "b is one")
    out = console.run("linux restore t")
    t.check("Linux a is a template again, from t" in out,
            f"restore said {out!r}")
    t.check("is not down" in console.run("linux restore t a"), "it is down")
    fork(t, console, "c1")
    t.check(answer(t, console, "c1", "f sum") == wanted, "another memory")
    again = answer(t, console, "c1", "f who").split()
    t.check(again[0] == "c1" and not set(again[1:4]) & set(told),
            f"it is {again}, as before")
    has_network(t, console, "c1")
    before = console.run("status")[:19]
    there = answer(t, console, "c1", "date -u '+%F %T'")
    after = console.run("status")[:19]
    t.check(before <= there <= after,
            f"it is at {there}, and not from {before} to {after}")
    refused_when_cut(t, console)
    fork(t, console, "c1")
    for offset, why in ((1 << 21, "of its data"), (4097, "of its data"),
                        (200, "of its first page")):
        damage(t, console, "c1", offset)
        stop(t, console, "c1")
        t.check("no template any more" in console.run("linux stop a"),
                "it is one")
        out = console.run("linux restore t")
        t.check(f"is damaged: the checksum {why}" in out,
                f"a byte at {offset}: {out!r}")
        t.check(console.state("a") == "stopped", "it is a template")
        if offset == 200:
            break
        console.send("linux start a")   # mends it: what is changed twice
        up(console, "a")
        damage(t, console, "a", offset)
        console.run("linux stop a")
        t.check("template again" in console.run("linux restore t"),
                "it is not whole")
        fork(t, console, "c1")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    if t.platform in QEMU:
        refused_elsewhere(t, manifest(t, ["a", "c1"], min_mib=4, a=down,
                                      c1=down), options)
