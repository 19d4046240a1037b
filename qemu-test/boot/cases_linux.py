# SPDX-License-Identifier: MIT
"""Linux comes up, on one and on two CPUs, ours and Debian's kernel, and runs
commands."""

import os
import re

from runner import BOCHS, PROMPT, case


@case("smp1", "one CPU: console, Linux to prompt, exec from the console")
def smp1(t):
    console = t.console("--smp", "1")
    console.ready()
    console.expect(re.escape(PROMPT))
    t.check(console.state() == "running", "status does not say it runs")
    t.check("poweroff" in console.run("help"), "help does not list poweroff")
    said = console.run("exec nproc")
    t.check(re.search(r"^1$", said, re.M), f"nproc said {said!r}")
    said = console.run("exec sh -c 'exit 3'")
    t.check("[exit status 3]" in said, f"no exit status 3: {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("smp2", "two CPUs: both in Linux, both used")
def smp2(t):
    result = t.exec("nproc; grep -c ^processor /proc/cpuinfo; "
                    "grep ^cpu /proc/stat; "
                    "for i in 1 2 3; do (while :; do :; done) & done; "
                    "sleep 1; kill $(jobs -p); grep ^cpu /proc/stat",
                    "--smp", "2")
    lines = result.out.splitlines()
    t.check(lines[:2] == ["2", "2"], f"CPUs in Linux: {lines[:2]}")
    for cpu in ("cpu0", "cpu1"):
        busy = [int(l.split()[1]) for l in lines if l.startswith(cpu + " ")]
        t.check(len(busy) == 2 and busy[1] - busy[0] > 20,
                f"{cpu} did no work: {busy}")


@case("skylake", "another CPU model: the TSC's rate is measured, "
      "AVX-512 is there",
      only=("bochs",), why="the model is Bochs' own")
def skylake(t):
    # The last: what ! turns round does not end a script by set -e.
    result = t.exec(
        "set -e; cat /sys/devices/system/clocksource/clocksource0/"
        "current_clocksource; grep -m 1 -o -w avx512f /proc/cpuinfo; "
        "a=$(date +%s); sleep 2; b=$(date +%s); test $((b - a)) -ge 2; "
        "test $((b - a)) -le 3; "
        "! dmesg | grep -E 'WARNING:|BUG:|consistency'",
        "--cpu", "corei7_skylake_x")
    t.check(result.out == "tsc\navx512f\n", f"Linux said {result.out!r}")


@case("exec", "exit status, both outputs, binary data, long output",
      later=BOCHS)
def exec_status(t):
    result = t.exec("echo out; echo err >&2; exit 7", status=7)
    t.check(result.out == "out\n", f"stdout was {result.out!r}")
    t.check("err\n" in result.err, f"stderr was {result.err!r}")
    command = "printf 'a\\000b\\036x0001\\377'; seq 1 2000 | tail -n 1\n" \
              "echo \"Grüße\"; kill -9 $$"
    result = t.exec(command, status=137)
    t.check(result.out == "a\0b\x1ex0001\ufffd2000\nGrüße\n",
            f"stdout was {result.out!r}")


# What ends a run, or hides what follows, if the tool takes it for Isthmus's.
FORGED = (b"before\x1ex00010after\n", b"before\x1eoffffafter\n",
          b"\x1e0000000000000000x00010\n", b"isthmus> \n",
          b"isthmus: PANIC in the hypervisor: forged\n",
          b"isthmus: FAILED stage 68 agent ready: forged\n",
          b"isthmus: stage 99 forged\n")


@case("output", "what a file or Linux prints is not taken for Isthmus's words",
      later=BOCHS)
def output(t):
    share = t.path("share")
    os.mkdir(share)
    for i, words in enumerate(FORGED):
        with open(os.path.join(share, f"forged{i}"), "wb") as f:
            f.write(words)
    console = t.console("--share", share, timeout=300)
    console.ready()
    console.expect(re.escape(PROMPT))
    for i in range(len(FORGED)):
        console.send(f"cat forged{i}")
        console.send(f"exec cat /mnt/host/forged{i}; echo then$(({i} + 100))")
        console.expect(f"then{i + 100}")
    # The machine goes on for longer than its last words may take.
    console.send("exec i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; "
                 "sleep 4; echo lives$i")
    console.expect("lives60000")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("one-clock", "files are not newer than Linux's clock, nor much older",
      later=BOCHS)
def one_clock(t):
    # What is printed before there are ticks is lost to a clock of ticks.
    overlay = t.overlay({"bin/clock": t.guest_program("clock")})
    result = t.exec("clock /mnt/host/file 4", "--overlay", overlay,
                    "--append", "ignore_loglevel")
    apart = [int(word) for word in result.out.split()]
    t.check(len(apart) == 4 and all(abs(us) < 1000 for us in apart),
            f"us between a file's time and Linux's clock: {apart}")


@case("until", "--until ends the run; --append and --overlay reach Linux",
      later=BOCHS)
def until(t):
    extra = t.path("extra")
    with open(extra, "w", encoding="utf-8") as f:
        f.write("laid over\n")
    overlay = t.overlay({"etc/extra": extra})
    result = t.boot("--until", "isthmus: stage 68 ")
    t.check(result.status == 0, f"status {result.status}: {result.err}")
    result = t.exec("cat /etc/extra /proc/cmdline", "--overlay", overlay,
                    "--append", "isthmus.test=yes")
    t.check("laid over" in result.out and "isthmus.test=yes" in result.out,
            f"Linux saw {result.out!r}")
    result = t.boot("--until", "never printed", timeout=3)
    t.check(result.status == 124 and "last stage" in result.err,
            f"a timeout gave {result.status}: {result.err}")


@case("debian-kernel", "Debian's stock kernel, with our driver as a module",
      later=BOCHS)
def debian_kernel(t):
    kernel = "build/guest/vmlinuz-debian"
    initrd = "build/guest/initrd-debian.cpio"
    t.need(kernel, initrd)
    result = t.exec("uname -r; lsmod | grep isthmus; "
                    "grep -q ' /mnt/host ' /proc/mounts && "
                    "echo written > /mnt/host/file; cat /mnt/host/file",
                    "--kernel", kernel, "--initrd", initrd, timeout=400)
    t.check("-amd64\n" in result.out, f"uname said {result.out!r}")
    t.check("isthmus" in result.out and result.out.endswith("written\n"),
            f"the driver does not work: {result.out!r}")


# Bytes that may come after ctrl-c. Of the machine's own some 1,500 wait in front of
# it, 130 ms on a line of 115,200 baud; others are on their way through the emulator
# and the tool, which is slow when the computer is busy.
SOON = 4096


@case("ctrl-c", "ctrl-c ends a flood at once, in a shell and of a command",
      later=BOCHS)
def ctrl_c(t):
    console = t.console(timeout=400)
    console.ready()
    console.expect(re.escape(PROMPT))
    late = []
    for line, flood, prompt in (("linux console", "yes 0123456789", "~# "),
                                (None, "exec yes 0123456789", PROMPT)):
        if line:
            console.send(line)
            console.expect(re.escape(prompt))
        console.send(flood)
        console.expect(r"(0123456789\s+){1000}")
        began = len(console.seen)
        console.process.stdin.write(b"\x03")
        console.process.stdin.flush()
        console.expect(re.escape(prompt))
        late.append(console.at - began)
        if line:
            console.send("exit")
            console.expect(re.escape(PROMPT))
    t.note += f": {late} bytes came after it"
    t.check(all(n < SOON for n in late), f"{late} bytes came after it")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
