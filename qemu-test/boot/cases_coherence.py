# SPDX-License-Identifier: MIT
"""What Linux keeps of the host's files is true: the console changes them."""

import os
import time

from cases_channel import linux_log
from runner import BOCHS, case

# What the console does, what Linux is asked, and its answer, which is not among
# the words of the question.
STEPS = [
    (None, "cat /mnt/host/new 2>&1; ls /mnt/host | grep -c new", "No such"),
    ("cp welcome.txt new", "cat /mnt/host/new; stat -c %s /mnt/host/new",
     "Files here"),
    (None, "echo short > /mnt/host/s; sed s/^/read:/ /mnt/host/s",
     "read:short"),
    ("cp welcome.txt s", "cat /mnt/host/s; stat -c size%s /mnt/host/s",
     "size68"),
    (None, "rm /mnt/host/s; cat /mnt/host/s 2>&1", "No such"),
    ("cp welcome.txt s", "cat /mnt/host/s; stat -c size%s /mnt/host/s",
     "size68"),
    # In pieces that go past Linux's cache.
    (None, "seq 1 30000 | dd obs=100k of=/mnt/host/long 2>&1; "
     "seq 1 30000 >/tmp/l; dd if=/mnt/host/long bs=100k | cmp - /tmp/l && "
     "stat -c size%s /mnt/host/long", "size168894"),
    ("cp s long", "stat -c size%s /mnt/host/long; cat /mnt/host/long",
     "size68"),
    ("rm new", "cat /mnt/host/new 2>&1", "No such"),
    ("mkdir dir", "touch /mnt/host/dir/made-$((1 + 1)) && ls /mnt/host/dir",
     "made-2"),
]


def share(t):
    """A volume with one file, of 68 bytes."""
    folder = t.path("share")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "welcome.txt"), "w",
              encoding="ascii") as f:
        f.write(f"{'Files here are those of the host, and of Linux.':67}\n")
    return "--share", folder


# What is done in Linux, in the volume: `exec sh NAME`.
SCRIPTS = {
    "first": "cp one run; ./run",
    "second": "./run; (./run stay >/tmp/new &); "
              "until [ -s /tmp/new ]; do :; done",
    "third": "chmod 755 run; ./run; touch /tmp/1; "
             "until [ $(wc -l </tmp/new) = 2 ]; do :; done; cat /tmp/new",
    "map": "echo first words >mapped; (./one map mapped >/tmp/map 2>&1 &); "
           "until [ -s /tmp/map ]; do :; done",
    "stall": "echo x >known; (stalled . 3 aside/it >/tmp/stalled 2>&1 "
             "&); until [ -s /tmp/stalled ]; do :; done",
    "unmap": "touch /tmp/2; until grep -q written /tmp/map; do :; done; "
              "cat /tmp/map",
}


def add_programs(t):
    """Two versions of a program, "one" and "two", and the scripts."""
    with open(t.guest_program("seen"), "rb") as f:
        one = f.read()
    two = one.replace(b"version A", b"version B")
    t.check(one != two, "the program does not hold its version")
    files = {name: f"cd /mnt/host; {text}\n".encode()
             for name, text in SCRIPTS.items()}
    for name, data in {"one": one, "two": two, **files}.items():
        path = os.path.join(t.path("share"), name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o755)


def script(t, console, name, answer):
    """Runs it in Linux."""
    said = console.run(f"exec sh /mnt/host/{name}")
    t.check(said == answer + "[exit status 0]\n", f"{name} said {said!r}")


def unwritten(t, console):
    """What Linux has not written yet of a file that stays open: the console
    reads it, and what it writes itself is not written over."""
    console.send("exec (echo unflushed; echo started > /tmp/st; until "
                 "[ -e /tmp/go ]; do :; done; echo over the 2nd; echo again "
                 "> /tmp/st; sleep 60) > /mnt/host/open & while ! "
                 "[ -s /tmp/st ]; do :; done; echo op$((1 + 1))")
    console.expect("op2")
    console.send("cat open")
    console.expect("unflushed")
    console.send("exec touch /tmp/go; until grep -q again /tmp/st; do :; "
                 "done; echo op$((1 + 2))")
    console.expect("op3")
    console.send("cp welcome.txt open")
    console.expect("68 bytes")
    console.send("exec cmp /mnt/host/open /mnt/host/welcome.txt && stat -c "
                 "size%s /mnt/host/open; echo op$((1 + 3))")
    console.expect("size68")
    console.expect("op4")


def replaced(t, console):
    """A program that the console replaces, by other content when it has run,
    and by another file while it runs: who starts it has the new one."""
    script(t, console, "first", "version A\n")
    console.run("cp two run")
    script(t, console, "second", "version B\n")
    console.run("rm run")
    console.run("cp one run")
    script(t, console, "third", "version A\nversion B\nversion B\n")


def mapped(t, console):
    """A shared mapping shows what the console writes, and the console what is
    written by it."""
    script(t, console, "map", "")
    console.run("cp welcome.txt mapped")
    script(t, console, "unmap", "map first\nmap Files\nwritten\n")
    said = console.run("cat mapped")
    t.check(said.startswith("Zebra here are"), f"the console saw {said!r}")
    console.run("exec touch /tmp/3")


def stalled(t, console):
    """While Linux cannot carry out what it is told, the command does not end
    that it is told of: a program there takes the processor for some time.
    (Nothing may be open for writing in Linux: before 'rm' begins, Linux
    writes what it has of it.)"""
    script(t, console, "stall", "")
    said = console.run("exec cat /tmp/stalled")
    t.check(said.startswith("ready\n"), f"it said {said!r}")
    console.run("mkdir aside")
    console.run("mkdir aside/it")
    while "stalled has begun" not in linux_log(t):
        t.check(console.process.poll() is None, "the machine has ended")
        time.sleep(0.01)
    console.run("rm known aside/it")
    t.check("stalled has ended" in linux_log(t),
            "'rm' ended before Linux knew")
    said = console.run("exec cat /tmp/stalled; cat /mnt/host/known 2>&1")
    t.check("ready\nin time\n" in said and "No such" in said,
            f"Linux said {said!r}")


@case("coherence", "Linux sees the console's changes at once, and the "
      "console Linux's, in programs and mappings too", later=BOCHS)
def coherence(t):
    options = share(t)
    add_programs(t)
    overlay = t.overlay({"bin/stalled": t.guest_program("stalled")})
    console = t.console("--overlay", overlay, *options)
    for command, question, answer in STEPS:
        if command:
            console.send(command)
        console.send(f"exec {question}; echo end-$((100 + {len(question)}))")
        console.expect(answer)
        console.expect(f"end-{100 + len(question)}")
    stalled(t, console)
    unwritten(t, console)
    replaced(t, console)
    mapped(t, console)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


WATCHED = [
    ("cp welcome.txt w/a", "create a"),
    ("cp w/a w/b", "create b"),
    ("cp welcome.txt w/a", "modify a"),
    ("mv w/b w/c", "move b"),
    ("ls w", "move c"),
    ("mv welcome.txt w", "move welcome.txt"),
    ("mv w/welcome.txt /", "move welcome.txt"),
    ("rm w/a", "delete a"),
    ("mkdir w/d", "create d"),
]


@case("watch-files", "inotify and fanotify in Linux see the console's "
      "changes, the console's watch Linux's", later=BOCHS)
def watch_files(t):
    overlay = t.overlay({"bin/watcher": t.guest_program("watcher")})
    console = t.console("--overlay", overlay, *share(t))
    console.send("exec mkdir /mnt/host/w; cd /mnt/host; watcher w >/tmp/w & "
                 "watcher -f w >/tmp/f & until [ -s /tmp/w ] && "
                 "[ -s /tmp/f ]; do :; done; echo on$((1 + 1))")
    console.expect("on2")
    for command, line in WATCHED:
        if line.startswith("modify"):       # with its name, if it is known
            console.send("exec cat /mnt/host/w/a")
        console.send(command)
    console.send("exec cat /tmp/w; echo on$((1 + 2))")
    for _, line in WATCHED:
        console.expect(line)
    console.expect("on3")
    said = console.run("exec cat /tmp/f")
    t.check(all(f"fan {line}" in said for _, line in WATCHED),
            f"fanotify said {said!r}")
    console.send("exec (sleep 1; echo x > /mnt/host/w/new; rm "
                 "/mnt/host/w/new) & echo on$((1 + 3))")
    console.expect("on4")
    console.send("watch w")
    console.expect("create new")
    console.expect("delete new")
    # What follows in the same breath is the next command.
    console.send("\x03exec (sleep 1; echo x > /tmp/new) & echo on$((1 + 4))")
    console.expect(r"\^C")
    console.expect("on5")
    console.send("watch linux:/tmp")
    console.expect("create new")
    console.send("\x03poweroff")
    console.expect(r"\^C")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
