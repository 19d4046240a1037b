# SPDX-License-Identifier: MIT
"""Sockets under /mnt/host from one Linux to another."""

import os
import re
import shutil

import schema
from cases_coherence import share
from cases_several import manifest, said, up
from runner import BOCHS, QEMU, Skipped, case

RIGHTS = {"a": '\t\t\tsockets = "offer connect";\n',
          "b": '\t\t\tsockets = "offer connect root";\n'}
# A distribution of this name.
DISTRO = """
d=/mnt/host/distros/$1/root
mkdir -p $d/bin $d/etc $d/root
cp /bin/busybox /bin/unixes $d/bin
ln -s busybox $d/bin/sh
echo root:x:0:0::/root:/bin/sh > $d/etc/passwd
distro start $1 > /dev/null && echo ok
"""


def serve(t, console, kind, name, server="a", client="b"):
    """A server in one; the other can connect to it."""
    console.run(f"exec {server}: unixes serve {kind} /mnt/host/{name} "
                f">/tmp/{name} 2>&1 &")
    said(t, console, client, f"unixes wait {kind} /mnt/host/{name}",
         "it is there")


def start(t):
    overlay = t.overlay({"bin/unixes": t.guest_program("unixes")})
    with open(os.path.join(overlay, "distro"), "w", encoding="ascii") as f:
        f.write(DISTRO)
    path = manifest(t, "abc", 64, 32, **RIGHTS)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("chosen {", 'chosen { host-socket = "/h";', 1))
    console = t.console("--manifest", path, *share(t), "--overlay", overlay,
                        timeout=300)
    up(console, "abc")
    for kind in "sp":
        serve(t, console, kind, kind)
    return console


def as_user(t, console, who, command, expected):
    """What a command of user 1000 in one of them must answer."""
    answer = console.run(f"exec --user 1000 {who}: {command}")
    t.check(answer == f"{expected}\n[exit status 0]\n",
            f"{who}: {command}: expected {expected!r}, got {answer!r}")


def bytes_pass(t, console):
    """Both kinds, both ways, one way shut; who asks sees who answers."""
    for kind in "sp":
        at = f"{kind} /mnt/host/{kind}"
        said(t, console, "b", f"unixes echo {at} 1000000",
             "1000000 bytes came back, 0 wrong, then the end")
        said(t, console, "b", f"unixes who {at}",
             "the server is 65534:65534\nyou are 0:0")
        as_user(t, console, "b", f"unixes who {at}",
                "the server is 65534:65534\nyou are 1000:1000")
        said(t, console, "a", f"unixes who {at}",
             "the server is 0:0\nyou are 0:0")
    said(t, console, "b", "unixes many s /mnt/host/s",
         "130 of 130 answered")
    said(t, console, "b", "unixes flood s /mnt/host/s",
         "the server is 65534:65534\nyou are 0:0\nthe flood is over")


def console_talks(t, console):
    """The host's console as a client: one line, and lines that are typed."""
    for kind in "sp":
        answer = console.run(f"connect /{kind} w")
        t.check(answer == "you are 0:0\n", f"connect had {answer!r}")
        console.send(f"connect /{kind}")
        console.send("hello")
        console.expect(r"hello\r?\nhello\r?\n")
        console.send("you")
        console.expect(r"you\r?\nyou\r?\n")
        console.send("\4")
        console.expect(r"end\s+isthmus> ")
    for path, why in (("/welcome.txt", "Socket operation on non-socket"),
                      ("/nothing", "No such file or directory")):
        answer = console.run(f"connect {path}")
        t.check(answer == f"{path}: {why}\n", f"connect had {answer!r}")
    console.send("connect /s f")
    console.expect("fffff")
    console.send("\3")
    console.expect(r"\^C\s+isthmus> ")


def host_serves(t, console):
    """The host's own socket: a line, and what it prints, as far as this Linux
    may have it; c may connect to none."""
    answer = console.run("exec b: unixes line s /mnt/host/h 'status --json'")
    document, last = answer.split("\n")[:2]
    wrong = schema.problems(schema.read(document), schema.load("status"))
    t.check(not wrong, f"status: {wrong[:5]}")
    t.check(last == "the server is 0:0", f"it ends with {last!r}")
    as_user(t, console, "a", "unixes line s /mnt/host/h cp",
            "cp: not among the host's commands for this Linux: "
            "status memory disk net top help\nthe server is 0:0")
    said(t, console, "c", "unixes line s /mnt/host/h help",
         "connect: Connection refused")
    answer = console.run("connect /h help")
    t.check(answer == "/h: Connection refused\n", f"connect had {answer!r}")


def root_lies(t, console):
    """What a's root says, without the agent, of who connects to b: any user
    but root. Others in it may say nothing; nobody's port is any better."""
    serve(t, console, "s", "v", "b", "a")
    for uid, shown in ((1000, "1000:1000"), (0, "65534:65534"),
                       (2**32 - 1, "65534:65534")):
        said(t, console, "a", f"unixes lie s /mnt/host/v {uid} 100",
             f"you are {shown}")
    said(t, console, "a", "unixes lie s /mnt/host/v 1000 2000",
         "connect: Connection reset by peer")
    as_user(t, console, "a", "unixes lie s /mnt/host/v 1000 100",
            "bind: Permission denied")
    said(t, console, "a", "unixes lie s /mnt/host/s 1000 100",
         "it was closed")
    console.run("exec b: killall unixes; rm /mnt/host/v")


def names_lead(t, console):
    """What becomes of the name becomes of the socket; c has no right."""
    said(t, console, "c", "ls -l /mnt/host/s | cut -c1", "s")
    said(t, console, "c", "unixes who s /mnt/host/s",
         "connect: Connection refused")
    said(t, console, "b", "unixes who p /mnt/host/s",
         "connect: Protocol wrong type for socket")
    console.run("exec b: mkdir /mnt/host/d; mv /mnt/host/s /mnt/host/d/t")
    said(t, console, "b", "cd /mnt/host/d; unixes echo s t 10",
         "10 bytes came back, 0 wrong, then the end")
    said(t, console, "b", "ls /mnt/host",
         "d\ngiven\nh\nlost+found\np\nwelcome.txt")
    said(t, console, "a", "chmod 700 /mnt/host/d/t; echo ok", "ok")
    as_user(t, console, "b", "unixes who s /mnt/host/d/t",
            "connect: Permission denied")
    said(t, console, "a", "rm /mnt/host/d/t; echo ok", "ok")
    said(t, console, "b", "unixes who s /mnt/host/d/t",
         "connect: No such file or directory")


def in_distributions(t, console):
    """A server in a distribution of a's, clients in one of b's and here."""
    said(t, console, "a", "sh /distro one", "ok")
    said(t, console, "b", "sh /distro two", "ok")
    console.run("exec --distro one a: unixes serve s /mnt/host/u "
                ">/dev/null 2>&1 &")
    said(t, console, "--distro two b", "unixes wait s /mnt/host/u",
         "it is there")
    said(t, console, "--distro two b", "unixes who s /mnt/host/u",
         "the server is 65534:65534\nyou are 0:0")
    said(t, console, "--distro two b", "unixes line s /mnt/host/h cp",
         "cp: not among the host's commands for this Linux: "
         "status memory disk net top help\nthe server is 0:0")
    answer = console.run("connect /u w")
    t.check(answer == "you are 0:0\n", f"connect had {answer!r}")


def servers_end(t, console):
    """A server that is killed, and a Linux that is."""
    said(t, console, "b", "unixes who p /mnt/host/p",
         "the server is 65534:65534\nyou are 0:0")
    console.run("exec a: killall unixes")
    said(t, console, "b", "sleep 1; unixes who p /mnt/host/p",
         "connect: Connection refused")
    serve(t, console, "s", "s")
    console.run("linux stop a")
    said(t, console, "b", "unixes who s /mnt/host/s",
         "connect: Connection refused")
    console.send("linux start a")
    up(console, "a")
    serve(t, console, "s", "s")
    said(t, console, "b", "unixes echo s /mnt/host/s 10",
         "10 bytes came back, 0 wrong, then the end")


def counted(t, console):
    """What is there, without c, which has nothing; nothing is left over, soon
    after the last has ended."""
    for _ in range(20):
        told = schema.read(console.run("status --json"))
        wrong = schema.problems(told, schema.load("status"))
        t.check(not wrong, f"status: {wrong[:5]}")
        counts = [p.get("sockets") for p in told["partitions"]]
        if counts[2]["begun"] == 0:
            break
        console.run("exec c: sleep 0.1")
    t.check(counts ==
            [None, {"made": 2, "begun": 0, "led": 0, "refused": 0},
             {"made": 0, "begun": 0, "led": 0, "refused": 0}, None],
            f"status has {counts}")


def descriptors_pass(t, console):
    """Those that can; the others end the connection."""
    said(t, console, "a", "echo 0123456789 >/mnt/host/given; echo ok", "ok")
    for kind in "sp":
        at = f"{kind} /mnt/host/{kind}"
        said(t, console, "b", f"unixes give {at} /mnt/host/given",
             "read 9 at 11, access 0: 23456789\n")
        said(t, console, "b", f"unixes ask {at}", "here: 0123456789")
        said(t, console, "b", f"unixes give {at} socket",
             "hello over what was passed, then 0\n"
             "took a socket of 65534:65534")
        for what in ("pipe", "event", "memory", "/etc/hostname"):
            said(t, console, "b", f"unixes give {at} {what}",
                 "it was closed")


@case("unix-sockets", "a socket under /mnt/host is connected to from another "
      "Linux", later=BOCHS)
def unix_sockets(t):
    console = start(t)
    bytes_pass(t, console)
    console_talks(t, console)
    counted(t, console)
    descriptors_pass(t, console)
    host_serves(t, console)
    root_lies(t, console)
    names_lead(t, console)
    in_distributions(t, console)
    servers_end(t, console)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


SSH = ("ssh-agent", "ssh-add", "ssh-keygen")
# Scripts.
SSH_LINES = {
    "user": "echo u:x:1000:1000::/tmp:/bin/sh >>/etc/passwd",
    "key": "ssh-keygen -qt ed25519 -N \"\" -f /k; chmod 644 /k; echo ok",
    "agent": "ssh-agent -a /mnt/host/s >/tmp/s 2>&1",
    "add": "export SSH_AUTH_SOCK=/mnt/host/s; cat /k | ssh-add -q - && "
           "echo added",
    "list": "export SSH_AUTH_SOCK=/mnt/host/s; ssh-add -l | "
            "sed \"s/ .*(/ /;s/)//\"",
}


def ssh_programs(t):
    """OpenSSH's of this computer, with the libraries that they need."""
    files = {}
    for name in SSH:
        path = shutil.which(name)
        if not path:
            raise Skipped(f"there is no {name} on this computer")
        files["usr/bin/" + name] = path
        for library in re.findall(r"(/\S+) \(0x", t.tool(["ldd", path])):
            files[library[1:]] = library
    overlay = t.overlay(files)
    for name, line in SSH_LINES.items():
        with open(os.path.join(overlay, name), "w", encoding="ascii") as f:
            f.write(line + "\n")
    return overlay


@case("unix-ssh", "ssh-add has the keys of an ssh-agent in another Linux",
      later=BOCHS + QEMU)
def unix_ssh(t):
    console = t.console("--manifest", manifest(t, "ab", 96, 48, **RIGHTS),
                        *share(t), "--overlay", ssh_programs(t), timeout=300)
    up(console, "ab")
    console.run("exec a: chmod 777 /mnt/host")
    said(t, console, "b", "sh /key", "ok")
    for who in "ab":
        console.run(f"exec {who}: sh /user")
    console.run("exec a: su u -c 'sh /agent'")
    said(t, console, "b", "sleep 1; su u -c 'sh /add'", "added")
    said(t, console, "b", "su u -c 'sh /list'", "256 ED25519")
    answer = console.run("exec --user 1001 b: sh /list")
    t.check("Permission denied" in answer, f"another one has {answer!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
