# SPDX-License-Identifier: MIT
"""What goes wrong in a distribution stays there: no memory, too many
processes, no room on its disk."""

import os
import re
import shutil
import signal
import time

from isthmus_lib import mmdebstrap
from isthmus_lib.debian import release
from runner import QEMU, case
from cases_distro import debian, share_of, systemd_runs
from power import emulator

HOG = """exec perl -e 'push @x, qq(x) x 999999 while 1'
"""
# As a service.
SERVICE = """
sudo systemd-run -q --wait --unit hog sh /mnt/host/hog
systemctl show -P Result hog
sudo systemctl reset-failed
"""
# None of its processes ends by itself.
BOMB = """exec perl -e 'fork while 1'
"""
# Systemd starts these anew when they do not answer for so long, of which the
# bomb then has three times as much.
WATCHDOG, RAGE = 20, 60
PATIENCE = f"""
for unit in journald logind; do
	d=/run/systemd/system/systemd-$unit.service.d
	mkdir -p $d
	printf '[Service]\\nWatchdogSec={WATCHDOG}\\n' > $d/soon.conf
done
systemctl daemon-reload
systemctl restart systemd-journald systemd-logind
systemctl show -P WatchdogUSec systemd-journald systemd-logind
systemd-run -q sh /mnt/host/talk
"""
# The journal has something to do.
TALK = """exec perl -e '$| = 1;
	while () { print qq(talk\\n); select(undef, undef, undef, .2) }'
"""
# Once another process cannot be made, which is counted where it is tried.
COUNT = """
cd /sys/fs/cgroup/distro-debian
until cd isthmus.scope/1000; do sleep 0.1; done 2> /dev/null
before=$(cat pids.events)
until [ "$(cat pids.events)" != "$before" ]; do sleep 0.1; done
echo $(cat pids.current) of $(cat pids.max ../../pids.max)
cat ../../cgroup.subtree_control
"""
# By who is root in the distribution.
KILL = """
cd /sys/fs/cgroup/isthmus.scope/1000
echo 1 > cgroup.kill
until [ $(cat pids.current) = 0 ]; do sleep 0.1; done
"""
# All of it, in pieces that get smaller; the reserve of root's too.
FILL = """
for mib in 4096 2048 1024 512 256 128 64 32 16 8 4 2 1; do
	fallocate -l ${mib}M /fill.$mib 2> /dev/null
done
dd if=/dev/zero of=/fill bs=64k
"""
SUMS = """
cd /var/lib/dpkg/info
cat bash.md5sums coreutils.md5sums libc6*.md5sums systemd.md5sums > /tmp/sums
cd /; md5sum -c --quiet /tmp/sums && echo whole
"""
FULL = """
cp /bin/bash more
echo $?
touch /tmp/f && sudo sh -c 'echo here > /mnt/host/g'; cat /mnt/host/g
logger -t full amid it
sudo systemctl restart systemd-journald dbus
sudo systemctl daemon-reload
systemctl --failed --no-legend
"""
ROOM = """
sudo rm /fill*
sync
echo more > more; cat more
logger -t full room again
sudo journalctl --sync
sudo journalctl -t full -o cat
"""
# Of those that were there before, none may have gone.
SERVICES = "pgrep 'systemd|dbus-daemon'"


def goes_on(t, console):
    """The machine's console, the agent, files, and systemd."""
    said = console.run("exec --distro - echo agent; cat /mnt/host/f")
    t.check(said == "agent\nthe host's\n[exit status 0]\n", f"agent: {said!r}")
    t.check(console.run("cat f") == "the host's\n", "the host's file")
    said = console.run("exec systemctl is-system-running; cat /mnt/host/f; "
                       "ls /run/begun")
    t.check(said == "running\nthe host's\n/run/begun\n[exit status 0]\n",
            f"systemd: {said!r}")


def no_memory(t, console):
    """The process that wants it all is killed, and no other: in a command, in
    a service, and outside of the distribution."""
    said = console.run("exec cd /proc; cat 1/oom_score_adj "
                       "$(pgrep logind)/oom_score_adj")
    t.check(said.startswith("-900\n0\n"), f"who is spared: {said!r}")
    before = console.run("exec " + SERVICES)
    for command, pattern in (
            ("sh /mnt/host/hog", r"exit status 137"),
            ("sh /mnt/host/service", r"^oom-kill$"),
            ("--distro - x=a; while :; do x=$x$x; done",
             r"exit status 137")):
        said = console.run("exec " + command)
        t.check(re.search(pattern, said, re.M), f"{command}: {said!r}")
        goes_on(t, console)
    after = console.run("exec " + SERVICES)
    t.check(before == after, f"services: {before!r}, then {after!r}")
    said = console.run("linux log")
    killed = len(re.findall(r"Killed process \d+ \(perl\)", said))
    t.note += f" ({killed} killed for memory)"
    t.check(killed == 2, f"Linux's log: {said[-900:]!r}")


def ignite(t, console):
    """Begins it; it rages when this returns."""
    console.run("exec sh /mnt/host/bomb > /dev/null 2>&1 &")
    said = console.run("exec --distro - sh /mnt/host/count")
    found = re.match(r"(\d+) of (\d+) (\d+)\n(.*)\n", said)
    t.check(found, f"no bomb: {said!r}")
    now, most, all_of_them = map(int, found.groups()[:3])
    t.check(most // 2 < now <= most == all_of_them // 3,
            f"it is not within its limit: {said!r}")
    t.check("cpu" in found[4].split(), f"nobody's part of the CPU: {said!r}")
    t.note += f" (the bomb: {now} of {all_of_them} processes)"


def amid(t, console):
    """Others have their part of the processor, and processes: what is outside
    of it, root in there, services."""
    said = console.run("exec --distro - cat /mnt/host/f")
    t.check(said == "the host's\n[exit status 0]\n", f"amid it: {said!r}")
    t.check(console.state() == "running", "amid it: status")
    said = console.run("exec --user root systemd-run -q --wait --pipe id -un")
    t.check(said == "root\n[exit status 0]\n", f"amid it, root: {said!r}")


def slowly(console, seconds):
    """So long the computer has little time for the machine. Linux charges all
    that goes by to whoever runs: one of a crowd has then had its turn for as
    long as the whole crowd takes."""
    pid = emulator(console.process.pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.195)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.005)


def bomb(t, console):
    """It rages until somebody ends it."""
    said = console.run("exec sudo sh /mnt/host/patience")
    t.check(said == f"{WATCHDOG}s\n\n{WATCHDOG}s\n[exit status 0]\n",
            f"watchdogs: {said!r}")
    before = console.run("exec " + SERVICES)
    ignite(t, console)
    amid(t, console)
    slowly(console, RAGE)
    amid(t, console)
    said = console.run("exec --user root sh /mnt/host/kill")
    t.check("exit status 0" in said, f"it is not killed: {said!r}")
    goes_on(t, console)
    after = console.run("exec " + SERVICES)
    t.check(before == after, f"services: {before!r}, then {after!r}")
    ignite(t, console)
    said = console.run("distro stop debian")
    t.check("exit status 0" in said, f"it was not ended: {said!r}")
    said = console.run("distro start debian")
    t.check("exit status 0" in said, f"no start: {said!r}")
    systemd_runs(console)
    console.run("exec sudo touch /run/begun")       # there is another /run
    goes_on(t, console)


def no_room(t, console):
    said = console.run("exec sudo sh /mnt/host/fill 2>&1")
    t.check("No space left on device" in said, f"it is not full: {said!r}")
    said = console.run("exec sh /mnt/host/full 2>&1")
    t.check(re.search(r"No space left on device\n[12]\nhere\n"
                      r"\[exit status 0\]$", said), f"full: {said!r}")
    goes_on(t, console)
    said = console.run("exec sh /mnt/host/room 2>&1")
    t.check(re.search(r"^more\n[^\0]*room again\n", said), f"room: {said!r}")
    goes_on(t, console)


def trouble(t):
    debian(t, {c: n for n, c in mmdebstrap.RELEASES.items()}[release()])
    share = share_of(t)
    for name, text in (("hog", HOG), ("service", SERVICE),
                       ("bomb", BOMB), ("count", COUNT), ("kill", KILL),
                       ("patience", PATIENCE), ("talk", TALK),
                       ("fill", FILL), ("full", FULL), ("room", ROOM),
                       ("sums", SUMS)):
        with open(f"{share}/{name}", "w", encoding="ascii") as f:
            f.write(text)
    console = t.console("--distro", "debian", "--share", share, timeout=900)
    console.ready()
    systemd_runs(console)
    console.run("exec sudo touch /run/begun")
    no_memory(t, console)
    bomb(t, console)
    no_room(t, console)
    said = console.run("exec sh /mnt/host/sums 2>&1")
    t.check(said == "whole\n[exit status 0]\n", f"its files: {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "the machine did not end well")
    t.tool(["e2fsck", "-fn", t.path("data/isthmus/distros/debian/disk.img")])


@case("distro-trouble", "a Debian without memory, with a fork bomb, and with "
      "a full disk: the machine, the agent, files and systemd go on",
      only=QEMU, why="it is Linux's doing", later=QEMU)
def distro_trouble(t):
    try:
        trouble(t)
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)
