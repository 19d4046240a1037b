# SPDX-License-Identifier: MIT
"""What goes wrong in a distribution stays there: no memory, too many
processes, no room on its disk."""

import re
import shutil

from isthmus_lib import mmdebstrap
from isthmus_lib.debian import release
from runner import QEMU, case
from cases_distro import debian, share_of, systemd_runs

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
# Once a process could not be made, which is counted where that was tried.
COUNT = """
cd /sys/fs/cgroup/distro-debian
until grep -q 'max [1-9]' isthmus.scope/pids.events; do sleep 0.1; done
echo $(cat pids.current) of $(cat pids.max)
"""
KILL = """
cd /sys/fs/cgroup/distro-debian
echo 1 > isthmus.scope/cgroup.kill
until [ $(cat isthmus.scope/pids.current) = 0 ]; do sleep 0.1; done
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
    found = re.match(r"(\d+) of (\d+)\n", said)
    t.check(found and int(found[1]) > int(found[2]) // 2, f"no bomb: {said!r}")
    t.note += f" (the bomb: {found[1]} of {found[2]} processes)"


def bomb(t, console):
    """It rages until somebody ends it; others have their part of the
    processor, and processes."""
    before = console.run("exec " + SERVICES)
    ignite(t, console)
    for _ in range(5):
        said = console.run("exec --distro - cat /mnt/host/f")
        t.check(said == "the host's\n[exit status 0]\n", f"amid it: {said!r}")
        t.check(console.state() == "running", "amid it: status")
    said = console.run("exec echo in")
    t.check(re.search(r"^in$|temporarily unavailable|annot fork", said, re.M),
            f"a command amid it: {said!r}")
    said = console.run("exec --distro - sh /mnt/host/kill")
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
