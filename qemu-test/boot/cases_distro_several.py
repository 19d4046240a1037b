# SPDX-License-Identifier: MIT
"""Several distributions in one Linux, and one in each of several."""

import os
import re
import shutil

from runner import QEMU, case
from cases_distro import debian, end_took, systemd_runs
from cases_several import manifest, up

NAMES = {"old": ("12", "systemd"), "new": ("13", "systemd"),
         "plain": ("12", "sysv")}
RESTARTS = 2            # of one of two Linuxes
OWN = ("mnt", "pid", "uts", "ipc", "cgroup")
# What one has for itself, all in one breath; the network is everybody's.
LOOK = """
cd /proc/1/ns; readlink %s net
cat /proc/1/comm
cut -d . -f 1 /etc/debian_version
ipcs -m | grep -c 0x
cat /proc/[0-9]*/comm 2> /dev/null | grep -c sleep
""" % " ".join(OWN)
MARK = """
hostname i-am-$1
ipcmk -M 4096 > /dev/null
touch /run/$1 /tmp/$1
sleep 1000 > /dev/null 2>&1 &
"""
NEXT = """
	disks {
		distro-new {
			partition = <2>;
		};
	};
"""


def inside(t, console, name, command, status=0):
    said = console.run(f"exec --user root --distro {name} {command}")
    found = re.fullmatch(r"([^\0]*)\[exit status (\d+)\]\n", said)
    t.check(found and int(found[2]) == status, f"{name}: {command}: {said!r}")
    return found[1]


def states(t, console, **wanted):
    said = console.run("distro list")
    found = dict(re.findall(r"^(\S+) +(\w+) +disk", said, re.M))
    t.check(found == wanted, f"expected {wanted}: {said!r}")


def apart(t, console):
    """Each is by itself, and has its own of everything."""
    for name, (_, init) in NAMES.items():
        if init == "systemd":
            systemd_runs(console, f"exec --distro {name}")
    for name in NAMES:
        inside(t, console, name, f"sh /mnt/host/mark {name}")
    seen = {name: inside(t, console, name, "sh /mnt/host/look").split()
            for name in NAMES}
    said = console.run("exec --distro - cd /sys/fs/cgroup; "
                       "grep '^anon ' distro-*/memory.stat")
    t.note += " (memory of processes: " + ", ".join(
        f"{name} {int(count) >> 20} MiB" for name, count in re.findall(
            r"distro-(\w+)/memory.stat:anon (\d+)", said)) + ")"
    own = len(OWN)
    for i, what in enumerate(OWN):
        t.check(len({s[i] for s in seen.values()}) == len(NAMES),
                f"they share {what}: {seen}")
    t.check(len({s[own] for s in seen.values()}) == 1, f"network: {seen}")
    for name, (number, init) in NAMES.items():
        t.check(seen[name][own + 1:] == [
            "systemd" if init == "systemd" else "init", number, "1", "1"],
            f"{name}: {seen[name]}")
        said = inside(t, console, name, "hostname; ls /run /tmp")
        t.check(said.startswith(f"i-am-{name}\n") and not any(
            re.search(rf"^{other}$", said, re.M)
            for other in NAMES if other != name), f"{name}: {said!r}")


def alone(t, console):
    """Each ends and begins, and the others notice nothing."""
    for name in NAMES:
        console.run(f"distro stop {name}")
        states(t, console, **{n: "stopped" if n == name else "running"
                              for n in NAMES})
        for other in NAMES:
            if other != name:
                said = inside(t, console, other, "hostname; ls /run")
                t.check(f"i-am-{other}\n" in said and f"\n{other}\n" in said,
                        f"{other}, as {name} has ended: {said!r}")
        console.run(f"distro start {name}")
        states(t, console, **{n: "running" for n in NAMES})
        said = inside(t, console, name, "hostname; ls /run")
        t.check(f"i-am-{name}" not in said and f"\n{name}\n" not in said,
                f"{name} is not new: {said!r}")
        inside(t, console, name, f"sh /mnt/host/mark {name}")


def ended_well(t, console, names):
    console.send("poweroff")
    t.check(console.finish() == 0, "the machine did not end well")
    if len(names) == len(NAMES):            # they are in one Linux
        t.note += f" (their end took {end_took(t):.1f} s)"
    for name in names:
        image = t.path(f"data/isthmus/distros/{name}/disk.img")
        t.tool(["e2fsck", "-fn", image])
        t.check("clean" in t.tool(["dumpe2fs", "-h", image]),
                f"{name} was not unmounted")


def disks(names):
    return [word for name in names for word in ("--distro", name)]


def in_one(t):
    share = t.path("share")
    os.makedirs(share)
    for name, text in (("look", LOOK), ("mark", MARK)):
        with open(os.path.join(share, name), "w", encoding="ascii") as f:
            f.write(text)
    console = t.console(*disks(NAMES), "--share", share, timeout=600)
    console.ready()
    for name in list(NAMES)[1:]:
        said = console.run(f"distro start {name}")
        t.check("exit status 0" in said, f"start {name}: {said!r}")
    states(t, console, **{n: "running" for n in NAMES})
    apart(t, console)
    alone(t, console)
    ended_well(t, console, NAMES)


def is_there(t, console, who, number):
    """That Linux's Debian, of which a command may be the first to know."""
    systemd_runs(console, f"exec {who}:")
    said = console.run(f"exec {who}: id -un; cat /etc/debian_version")
    t.check(re.match(rf"anna\n{number}\.\d+\n", said), f"{who}: {said!r}")


def one_each(t):
    """As the manifest says."""
    path = manifest(t, ("a", "b"), mib=256)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("\tchannels {", NEXT + "\tchannels {", 1))
    console = t.console("--memory", "1536", "--manifest", path,
                        *disks(("old", "new")), timeout=600)
    up(console, ("a", "b"))
    for who, number in (("a", "12"), ("b", "13")):
        is_there(t, console, who, number)
    console.run("exec a: sudo touch /run/begun")
    for _ in range(RESTARTS):
        t.check("Linux b has shut down" in console.run("linux stop b"),
                "b did not shut down")
        said = console.run("exec a: ls /run/begun")
        t.check(said.startswith("/run/begun\n"), f"a without b: {said!r}")
        console.run("linux start b")
        is_there(t, console, "b", "13")
    is_there(t, console, "a", "12")
    ended_well(t, console, ("old", "new"))


@case("distro-several", "two Debians with systemd and one with System V's init"
      " in one Linux, each stopped and started alone; then one in each of two",
      only=QEMU, why="it is Linux's doing", later=QEMU)
def distro_several(t):
    try:
        for name, (number, init) in NAMES.items():
            debian(t, number, ("git",) if init == "sysv" else (), init, name)
        in_one(t)
        one_each(t)
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)
