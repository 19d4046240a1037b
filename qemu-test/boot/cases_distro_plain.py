# SPDX-License-Identifier: MIT
"""Distributions with an init of ours, made of our busybox."""

import os
import re

from runner import BOCHS, case

# Two roots as files on the volume; what they begin with.
MAKE = """
for name in one two; do
	d=/mnt/host/distros/$name/root
	mkdir -p $d/bin $d/etc $d/root $d/usr/local/bin
	cp /bin/busybox $d/bin
	for a in sh cat grep sleep hostname reboot ls touch; do
		ln -s busybox $d/bin/$a
	done
	echo root:x:0:0::/root:/bin/sh > $d/etc/passwd
	echo 9.9.9.9 own > $d/etc/hosts
done
ln -s /proc/1 /mnt/host/distros/two/root/lib
mkdir /mnt/host/distros/evil; ln -s / /mnt/host/distros/evil/root
distro start one && distro start two && distro list | sort
distro start evil 2>&1
cd /sys/fs/cgroup/distro-one
awk '/MemTotal/ { print "memory", $2 * 1024 }' /proc/meminfo
echo limits $(cat memory.max) of $(cat pids.max)
echo 40m > memory.max; echo 60 > pids.max
touch /run/ours
"""
LOOK = """
hostname; ls -a /run; ls /mnt/host/distros; cat /proc/1/comm
isthmus status --json
for p in /proc/[0-9]*; do echo ${p#/proc/}; done | grep -c .
cat /proc/self/cgroup; grep -c ' / ' /proc/mounts
cat /etc/hosts
touch /run/mine /dev/mine
echo 99 > /sys/fs/cgroup/pids.max; cat /sys/fs/cgroup/pids.max
"""
# Nothing that comes after it needs another process.
BOMB = """
b() { b | b & }
b
cd /sys/fs/cgroup/isthmus.scope/0
until read what times < pids.events; [ $times -gt 0 ]; do :; done
read max < pids.max; read now < pids.current
echo $now of $max
"""
KEEPERS = "kill -$1 $(pidof distro-keep)"
HOG = "x=a; while :; do x=$x$x; done"
SERVICE = """
trap 'sleep 2; echo saved > /mnt/host/saved; exit' TERM
touch /mnt/host/began
while :; do sleep 0.1; done
"""


def scripts(t):
    """A folder for the volume."""
    folder = t.path("share")
    os.makedirs(folder)
    for name, text in (("make", MAKE), ("look", LOOK), ("bomb", BOMB),
                       ("hog", HOG), ("keepers", KEEPERS),
                       ("service", SERVICE)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)
    return folder


def enter(console, name):
    """Commands go there from now on; None: into our own root."""
    console.run("rm /distros/default" if name is None else
                f"exec echo {name} > /mnt/host/distros/default")


def look_inside(t, console):
    """In one: its own names and processes, and nothing of Linux's."""
    said = console.run("exec sh /mnt/host/look 2>&1")
    t.check("\none\n" in said, f"its name: {said!r}")
    t.check("ours" not in said, f"it has our /run: {said!r}")
    t.check("evil\none\ntwo\ndistro-init\n" in said,
            f"the host's files, process 1: {said!r}")
    t.check(re.search(r'^\{"version": 1, .*"partitions": ', said, re.M),
            f"the host's commands: {said!r}")
    t.check(re.search(r"\}\n[2-6]\n0::/isthmus.scope/0\n1\n", said),
            f"processes, group, roots: {said!r}")
    t.check("9.9.9.9 own\n127.0.0.1 localhost # isthmus\n" in said and
            "127.0.1.1 one # isthmus\n" in said, f"hosts: {said!r}")
    t.check(re.search("pids.max: (Operation not|Permission)|write error",
                      said), f"it changed its limit: {said!r}")
    enter(console, "two")
    said = console.run("exec ls /run /dev; hostname")
    t.check("mine" not in said and "\ntwo\n" in said,
            f"two has what one made: {said!r}")
    enter(console, "one")


def limits(t, console):
    """A fork bomb, and a process that wants all memory, end in there."""
    said = console.run("exec sh /mnt/host/bomb 2>/dev/null")
    found = re.search(r"^(\d+) of 20$", said, re.M)
    t.check(found and 1 < int(found[1]) <= 20, f"the bomb: {said!r}")
    enter(console, None)
    # Who may have no other process is let in with one.
    console.run("exec cd /sys/fs/cgroup/distro-one; "
                "echo 0 > isthmus.scope/0/pids.max")
    said = console.run("exec --distro one echo in")
    t.check(said == "in\n[exit status 0]\n", f"past the limit: {said!r}")
    said = console.run("exec --distro one echo a | cat 2>&1")
    t.check("fork" in said, f"beyond the limit: {said!r}")
    said = console.run("exec distro stop one && echo ended")
    t.check("ended\n" in said, f"the bomb goes on: {said!r}")
    said = console.run("exec distro start one; distro list | grep one")
    t.check("running" in said, said)
    console.run("exec echo 40m > /sys/fs/cgroup/distro-one/memory.max")
    enter(console, "one")
    said = console.run("exec sh /mnt/host/hog")
    t.check("exit status 137" in said, f"the hog: {said!r}")
    said = console.run("exec echo goes on; cat /mnt/host/hog")
    t.check("goes on\nx=a" in said, f"after the hog: {said!r}")


@case("distro-plain", "distributions without an init: namespaces, limits, "
      "reboot, stop, and a service that has its time at a shutdown",
      later=BOCHS)
def distro_plain(t):
    console = t.console("--share", scripts(t))
    console.ready()
    said = console.run("exec sh /mnt/host/make")
    t.check(re.search(r"one +running +files\ntwo +running +files\n", said),
            f"list: {said!r}")
    t.check("evil: there is no such" in said, f"through a link: {said!r}")
    memory = int(re.search(r"memory (\d+)", said)[1])
    got = re.search(r"limits (\d+) of (\d+)", said)
    t.check(memory // 2 < int(got[1]) < memory - (16 << 20) and
            100 < int(got[2]) < 16384, f"limits: {said!r}")
    said = console.run("linux freeze")
    t.check('a distribution runs, or ' in said and '"distro stop" ends it' in
            said, f"freeze: {said!r}")
    enter(console, "one")
    look_inside(t, console)
    limits(t, console)
    # Its own end only, and then it is there anew.
    console.run("exec touch /run/before; reboot -f")
    said = console.run("exec ls /run; hostname")
    t.check("before" not in said and "one\n" in said, f"reboot: {said!r}")
    # Whoever comes between an end and the next start waits for that.
    said = console.run("exec --distro - sh /mnt/host/keepers STOP")
    t.check("exit status 0" in said, said)
    console.run("exec touch /run/before; reboot -f")
    console.run("exec --distro - (sleep 1; sh /mnt/host/keepers CONT) "
                ">/dev/null 2>&1 &")
    said = console.run("exec ls /run; hostname")
    t.check("before" not in said and "one\n" in said,
            f"between two lives: {said!r}")
    enter(console, "two")
    console.run("exec sh /mnt/host/service >/dev/null 2>&1 &")
    console.run("exec while ! [ -e /mnt/host/began ]; do sleep 0.1; done")
    # A session is open meanwhile: what it ran is collected by process 1.
    console.run("exec --distro - (sleep 1; poweroff) >/dev/null 2>&1 &")
    console.send("exec --distro one sleep 1000")
    console.expect("Linux powered off")
    t.check(console.run("cat /saved") == "saved\n",
            "a service was killed before it had ended")
    said = console.run("linux log")
    t.check("not ended" not in said and "agent died" not in said,
            f"Linux's log: {said[-600:]!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
