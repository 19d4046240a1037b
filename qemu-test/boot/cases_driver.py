# SPDX-License-Identifier: MIT
"""The channel driver under load; cases_channel.py has what is quick."""

from runner import case


def overlay(t):
    return ["--overlay", t.overlay({"bin/driver": t.guest_program("driver")})]


@case("driver-storm", "ring full: files and sockets of 12 processes at once")
def storm(t):
    result = t.exec("driver storm /mnt/host", *overlay(t), timeout=400)
    t.check("driver: all passed" in result.out, result.out[-2000:])


@case("driver-kill", "processes killed inside requests and locks, 2 CPUs")
def kill(t):
    result = t.exec("set -e; driver kill /mnt/host; driver locks /mnt/host; "
                    "umount /mnt/host; "
                    "! dmesg | grep -E 'WARNING:|BUG[: ]|leak'",
                    *overlay(t), "--smp", "2", timeout=400)
    t.check(result.out == "driver: all passed\n" * 2, result.out[-2000:])


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
