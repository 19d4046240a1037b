# SPDX-License-Identifier: MIT
"""The channel driver under what a user may do to it."""

import time

from runner import case

MOUNT = "mount -t 9p -o trans=isthmus,version=9p2000.L,cache=none host "
TRIES = 60


def overlay(t, script=""):
    """The test program, and a script for detached()."""
    text = t.path("script")
    with open(text, "w", encoding="ascii") as f:
        f.write(f"({script}) >/tmp/said 2>&1; touch /tmp/done\n")
    return ["--overlay", t.overlay({"bin/driver": t.guest_program("driver"),
                                    "test/script": text})]


def detached(t, console):
    """Runs the script, which outlives the session it is started from: the
    channel, which carries the session, goes down meanwhile. Returns what it
    printed."""
    console.run("exec setsid sh /test/script </dev/null >/dev/null 2>&1 &")
    for _ in range(TRIES):
        time.sleep(1)
        said = console.run("exec test -e /tmp/done && cat /tmp/said")
        if "exit status 0" in said:
            console.run("exec rm /tmp/done")
            return said
    t.check(False, f"the script did not come to its end; last: {said!r}")


@case("driver-storm", "ring full: files and sockets of 12 processes at once")
def storm(t):
    result = t.exec("driver storm /mnt/host", *overlay(t), timeout=400)
    t.check("driver: all passed" in result.out, result.out[-2000:])


@case("driver-kill", "processes killed inside their 9P requests, 2 CPUs")
def kill(t):
    result = t.exec("driver kill /mnt/host && umount /mnt/host && dmesg | "
                    "grep -E 'WARNING:|BUG[: ]|leak|p9_req_t'; true",
                    *overlay(t), "--smp", "2", timeout=400)
    t.check(result.out == "driver: all passed\n", result.out[-2000:])


@case("driver-mounts", "three mounts at a time, each its own connection")
def mounts(t):
    result = t.exec("set -e; mkdir -p /a /b; echo one > /mnt/host/f; "
                    f"{MOUNT} /a; {MOUNT} /b; cat /a/f; echo two > /b/f; "
                    "cat /mnt/host/f; umount /mnt/host; cat /a/f; umount /a; "
                    f"cat /b/f; for i in 1 2 3 4 5; do {MOUNT} /a; "
                    "cat /a/f; umount /a; done")
    t.check(result.out == "one\n" + 8 * "two\n", f"Linux saw {result.out!r}")


@case("driver-reset", "the channel goes down and up: errors, then all works")
def reset(t):
    script = "sleep 1; driver reset; sleep 1; cat /mnt/host/f; " \
             f"umount -l /mnt/host; {MOUNT} /mnt/host; cat /mnt/host/f"
    console = t.console(*overlay(t, script), timeout=300)
    console.ready()
    console.run("exec echo kept > /mnt/host/f")
    for generation in range(2):
        said = detached(t, console)
        t.check("reset by peer" in said.lower(), "a request on the old "
                f"connection did not fail: {said!r}")
        t.check("kept\n" in said, f"the new mount does not work: {said!r}")
        said = console.run("channel")
        t.check(f"resets {generation + 1} " in said, f"channel says {said!r}")
    said = console.run("exec dmesg | grep 'channel '")
    t.check(said.count("channel down") == 2 and said.count("channel up") == 3,
            f"the driver said {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("driver-unload", "the module: kept while mounted, unloaded, loaded again")
def unload(t):
    again = "rmmod isthmus && lsmod | grep isthmus; " \
            "insmod /lib/modules/isthmus.ko; "
    script = f"sleep 1; rmmod isthmus; umount /mnt/host; {3 * again}" \
             f"{MOUNT} /mnt/host; cat /mnt/host/f; driver storm /mnt/host"
    console = t.console(*overlay(t, script), timeout=300)
    console.ready()
    console.run("exec echo kept > /mnt/host/f")
    said = detached(t, console)
    t.check("rmmod: " in said.split("kept\n")[0] and said.count("rmmod") == 1,
            f"a mounted module must stay, another go: {said!r}")
    t.check("kept\n" in said and "driver: all passed" in said,
            f"the module does not work when loaded again: {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# Waits for traffic in the background while something else happens.
TRAFFIC = "set -e; driver storm /mnt/host > /tmp/s & s=$!; {0}; wait $s; " \
          "cat /tmp/s"


@case("driver-affinity", "2 CPUs: the doorbell's interrupt moves, traffic on")
def affinity(t):
    move = "n=$(grep -E 'isthmus$' /proc/interrupts | cut -d: -f1); " \
           "for i in 1 2 1 2 1 2 1 2; do " \
           "echo $i > /proc/irq/$((n))/smp_affinity; sleep 0.05; done"
    result = t.exec(TRAFFIC.format(move) + "; grep isthmus /proc/interrupts",
                    *overlay(t), "--smp", "2", timeout=400)
    t.check("driver: all passed" in result.out, result.out[-2000:])
    line = [l.split() for l in result.out.splitlines()
            if l.endswith("isthmus")]
    t.check(line and min(int(n) for n in line[0][1:3]) > 0,
            f"one CPU took no interrupt: {line}")


@case("hotplug", "2 CPUs: CPU 1 off and on again, under traffic")
def hotplug(t):
    turn = "for i in 0 1 0 1 0 1; do " \
           "echo $i > /sys/devices/system/cpu/cpu1/online; nproc; done"
    result = t.exec(TRAFFIC.format(turn) + "; taskset 2 sh -c 'echo on two'",
                    *overlay(t), "--smp", "2", timeout=400)
    t.check(result.out.startswith("1\n2\n1\n2\n1\n2\n")
            and "driver: all passed" in result.out
            and "on two\n" in result.out, result.out[-2000:])
