# SPDX-License-Identifier: MIT
"""Boot tests: what the machine shows of itself, to programs and to people."""

import fcntl
import os
import re
import struct
import subprocess
import termios
import xml.etree.ElementTree as ElementTree

import schema
from cases_coherence import share
from cases_several import manifest, up
from runner import BOCHS, ROOT, SLOWER, TIMEOUT, TOOL, Failed, case
from screen import Screen

DOCUMENTS = ("status", "memory", "disk", "net")
# 10 times made lasting on the volume, 5 on Linux's disk.
WORK = ("for i in 1 2 3 4 5 6 7 8 9 10; do dd if=/dev/zero of=/mnt/host/f "
        "bs=4k count=1 conv=fsync; done 2>&1 | grep -c records; "
        "for i in 1 2 3 4 5; do dd if=/dev/zero of=/dev/isthmus0 bs=4k "
        "count=3 conv=fsync; done 2>&1 | grep -c records")


def documents(t, run):
    """All documents, held to their schemas. run: a command's output."""
    told = {}
    for name in DOCUMENTS:
        text = run(f"{name} --json")
        told[name] = schema.read(text)
        t.check(text.count("\n") <= 1, f"{name} has several lines")
        wrong = schema.problems(told[name], schema.load(name))
        t.check(not wrong, f"{name} --json: {wrong[:5]}")
    return told


def lasting(t, told, least, what):
    """A histogram of fsync has counted, and its figures make sense."""
    t.check(told["count"] >= least and
            0 < told["p50"] <= told["p99"] <= told["max"],
            f"fsync of {what}: {told}")


@case("documents", "status, memory, disk and net --json are as their schemas "
      "say, and count what was done", later=BOCHS)
def all_documents(t):
    overlay = t.path("overlay")
    t.tool(["mkdir", "-p", overlay])
    with open(t.path("overlay/work"), "w", encoding="ascii") as f:
        f.write(WORK)
    nic = "e1000" if t.platform in BOCHS else "virtio"
    console = t.console("--nic", nic, "--disk", t.path("disk.img"),
                        "--disk-size", "64", "--disk-volume", "--linux-disk",
                        "16", "--overlay", overlay, "--samples", "1")
    console.ready()
    console.run("sample off")
    before = documents(t, console.run)
    said = console.run("exec sh /work")
    t.check(said.startswith("20\n10\n"), f"the work said {said!r}")
    told = documents(t, console.run)
    disk = told["disk"]
    lasting(t, disk["volume"]["fsync"], 10, "the volume")
    lasting(t, disk["linux_disks"][0]["fsync"], 5, "Linux's disk")
    ours = [d for d in disk["disks"] if d["name"] == disk["volume"]["disk"]]
    lasting(t, ours[0]["fsync"], 5, "the disk")
    t.check(disk["linux_disks"][0]["partition"] == "linux" and
            disk["linux_disks"][0]["written_bytes"] >= 5 * 4096,
            f"Linux's disks are {disk['linux_disks']}")
    was, now = before["status"]["partitions"][1], \
        told["status"]["partitions"][1]
    t.check(now["channel"]["rx_bytes"] - was["channel"]["rx_bytes"] >=
            25 * 4096, f"the channel had {was['channel']}, {now['channel']}")
    t.check(sum(now["exits"].values()) > sum(was["exits"].values()),
            "no exits were counted")
    t.check(told["memory"]["partitions"][1]["memory"] ==
            told["memory"]["memory"]["linux"], "memory of two sizes")
    t.check(told["net"]["linuxes"][0]["partition"] == "linux" and
            told["net"]["nic"]["link"], f"net says {told['net']}")
    console.run("sample 1")
    for _ in range(2):
        console.expect(r'isthmus: sample \{"version": 1, .*\}\r')
    t.check("usage: sample" in console.run("sample 0"), "sample 0 is taken")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    drawn = t.tool([TOOL, "picture", t.path("serial-1.log")])
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(drawn).iter(
        "{http://www.w3.org/2000/svg}text")]
    for words in ("linux: ", "hypercall: ", "linux to host: "):
        t.check(any(re.match(words + r"[\d.,]+$", x) for x in texts),
                f"no {words} in the picture: {texts}")


# What Linux a may have; b has nothing, c what the manifest gives by itself.
RIGHTS = {"a": "\t\t\thost-commands = "
               '"status disk cp cat ping linux nonsense";\n',
          "b": '\t\t\thost-commands = "none";\n'}
# A command that begins when the console waits for a line again; what it said.
SCRIPTS = {
    "later": '(sleep 0.5; "$@" > /tmp/o 2>&1; echo $? > /tmp/st) '
             "> /dev/null 2>&1 &\n",
    "told": "until [ -s /tmp/st ]; do sleep 0.1; done\n"
            "cat /tmp/o /tmp/st; rm /tmp/o /tmp/st\n",
    "big": "dd if=/dev/zero bs=1M count=4 | tr '\\0' x > /mnt/host/big\n"}
ENEMY = "many 4\nlong 1\ntwo 1\nnul 1\nescape 1\nbytes 1\nnothing 1\n"


def host(console, who, command, user=None):
    """What `isthmus COMMAND` in that Linux says, and its status."""
    line = f"isthmus {command} 2>&1; echo $?"
    if user:
        line = f"su {user} -c '{line}'"
    out = console.run(f"exec {who}: {line}")
    lines = out.split("\n")
    return "\n".join(lines[:-3]), lines[-3]


def in_background(t, console, who, command):
    """The same while the console waits for a line; with what it says by
    itself."""
    console.run(f"exec {who}: sh /later isthmus {command}")
    console.expect(f"Linux {who}: host command: {re.escape(command)}\\s")
    out = console.run(f"exec {who}: sh /told")
    lines = out.split("\n")
    return "\n".join(lines[:-3]), lines[-3]


def refusals(t, console):
    """Who may not have what, in words."""
    for who, command, user, status, words in (
            ("b", "status", None, "126", "for this Linux: none"),
            ("c", "cp a b", None, "126",
             "for this Linux: status memory disk net top help"),
            ("a", "net", None, "126", "for this Linux: status disk cp"),
            ("a", "disk write virtio0 0 x", None, "126", "not in this form"),
            ("a", "cp /welcome.txt /x", "u", "126", "only for root"),
            ("a", "nonsense", None, "127", "no such command"),
            ("a", "linux stop c", None, "75", "does another command"),
            ("c", "disk one two", None, "126", "not in this form"),
            ("a", "cp nothing x", None, "1", "nothing: No such file"),
            ("a", "cp x", None, "1", "usage: cp FROM TO")):
        said, is_ = host(console, who, command, user)
        t.check(is_ == status and words in said,
                f"{who}, {user}: isthmus {command}: {is_}, {said!r}")


@case("host-commands", "programs in a Linux have those of the console's "
      "commands that the manifest gives it", later=BOCHS)
def host_commands(t):
    overlay = t.overlay({"bin/enemy": t.guest_program("enemy")})
    for name, text in SCRIPTS.items():
        with open(os.path.join(overlay, name), "w", encoding="ascii") as f:
            f.write(text)
    console = t.console("--manifest", manifest(t, "abc", 64, 32, **RIGHTS),
                        *share(t), "--overlay", overlay, timeout=300)
    up(console, "abc")
    for who in "ac":
        console.run(f"exec {who}: echo u:x:1000:1000::/:/bin/sh >> "
                    "/etc/passwd")
        for user in (None, "u"):
            said, status = host(console, who, "status --json", user)
            wrong = schema.problems(schema.read(said), schema.load("status"))
            t.check(status == "0" and not wrong, f"{who}: {status}, {wrong}")
    refusals(t, console)
    told = schema.read(console.run("status --json"))["partitions"]
    t.check([p["host_commands"] for p in told[1:]] ==
            [{"run": 4, "refused": 5, "sessions": 0},
             {"run": 0, "refused": 1, "sessions": 0},
             {"run": 2, "refused": 2, "sessions": 0}],
            f"counts are {[p['host_commands'] for p in told[1:]]}")
    said = in_background(t, console, "a", "cp welcome.txt copy")
    t.check(said[1] == "0", f"cp said {said}")
    t.check("Files here" in console.run("cat copy"), "there is no copy")
    said = host(console, "a", "cp welcome.txt within")
    t.check(said[1] == "0" and "Files here" in console.run("cat within"),
            f"cp within exec said {said}")
    said = in_background(t, console, "a", "cat copy")
    t.check("Files here" in said[0] and said[1] == "0", f"cat said {said}")
    said = console.run("exec c: enemy")
    t.check(said == ENEMY + "[exit status 0]\n", f"the enemy said {said!r}")
    # One who asks for more than fits anywhere, and takes nothing.
    console.run("exec a: sh /big")
    console.run("exec a: sh /later enemy hold 'cat big'")
    console.expect("Linux a: host command: cat big\\s")
    t.check("Files here" in console.run("cat copy"), "the console was kept")
    said, status = host(console, "c", "memory")
    t.check(status == "0" and "hypervisor" in said, f"c: {status}, {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


class Terminal:
    """A person at the tool: a machine whose console is a pty, which is looked
    at as a terminal shows it, and can change its size."""

    def __init__(self, t, *options, rows, cols):
        self.screen = Screen(rows, cols)
        self.pty, other = os.openpty()
        self._set_size()
        self.process = subprocess.Popen(    # closed by close()
            [TOOL, "boot", "--platform", t.platform, "--timeout",
             str(TIMEOUT * SLOWER.get(t.platform, 1)), "--log",
             t.path("serial-1.log"), *options],
            stdin=other, stdout=other, stderr=other, cwd=ROOT,
            start_new_session=True)
        os.close(other)

    def _set_size(self):
        fcntl.ioctl(self.pty, termios.TIOCSWINSZ,
                    struct.pack("HHHH", *self.screen.size, 0, 0))

    def resize(self, rows, cols):
        self.screen.resize(rows, cols)
        self._set_size()

    def type(self, keys):
        os.write(self.pty, keys.encode())

    def until(self, true, what):
        """Lets it show what comes until true(rows)."""
        while not true(self.screen.rows):
            try:
                data = os.read(self.pty, 65536)
            except OSError as error:        # its other end is closed
                raise Failed(f"the machine ended, expected {what} on\n" +
                             "\n".join(self.screen.rows)) from error
            self.screen.feed(data.decode("utf-8", "replace"))
            self.type(self.screen.answers)
            self.screen.answers = ""

    def painted(self, times):
        """Waits for so many views that are whole: the size is asked behind
        each."""
        wanted = self.screen.asked + times
        self.until(lambda _: self.screen.asked >= wanted, "view")

    def prompt(self):
        self.until(lambda rows: rows[self.screen.row] == "isthmus>", "prompt")

    def ended(self):
        """Takes what it still says; its exit status."""
        try:
            self.until(lambda _: False, "the end")
        except Failed:
            pass
        return self.process.wait()

    def close(self):
        os.close(self.pty)          # it may wait for somebody to read
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def is_top(rows, words="partition"):
    """Whether that is a whole view: its first line, and what it has below."""
    return rows[0].startswith("Isthmus on ") and \
        any(r.startswith(words) for r in rows)


def looked_at(t, terminal, what):
    """`top` is on the screen: it fits, nothing else is there, a second one
    looks the same, but for figures; `q` brings back what was there."""
    screen = terminal.screen
    for rows, cols in (screen.size, (12, 60), (30, 120), (6, 40)):
        terminal.resize(rows, cols)
        terminal.painted(2)         # the first may be of the size before
        screen.cells = [["~"] * cols for _ in range(rows)]   # garbage
        screen.overflows = 0
        terminal.painted(2)         # some of the first may have been there
        t.check(is_top(screen.rows, "memory KiB") and "~" not in
                "".join(screen.rows), f"{what} of {rows} x {cols}:\n" +
                "\n".join(screen.rows))
        seen = screen.rows
        t.check(not any("\ufffd" in r for r in seen) and not screen.unknown
                and screen.overflows == 0 and screen.hidden,
                f"{what}: {screen.unknown}, {screen.overflows}: {seen}")
        if rows > 20:
            t.check(any(re.match(r"linux +running +\d+\.\d ", r)
                        for r in seen), f"{what}: no Linux in {seen}")


@case("top", "top fits each terminal, at the console and in Linux, and leaves "
      "it as it was", later=BOCHS)
def top(t):
    terminal = Terminal(t, rows=30, cols=100)
    try:
        terminal.until(lambda r: any("stage 68" in l for l in r), "agent")
        terminal.type("top\r")
        terminal.until(is_top, "top")
        looked_at(t, terminal, "top")
        terminal.resize(30, 100)
        terminal.type("q")
        terminal.prompt()
        t.check(not terminal.screen.hidden and any(
            "stage 68" in l for l in terminal.screen.rows),
            "the screen from before did not come back")
        # The key and the terminal's answers have left nothing behind.
        terminal.type("status --js\x7f\x7f\r")
        terminal.until(lambda r: any("is not --json" in l for l in r),
                       "answer to a line")
        # A pty in Linux is as large as this one is when it begins, and what
        # was typed before that is the shell's.
        terminal.type("linux console\rstty size\r")
        terminal.until(lambda r: "30 100" in r, "the shell's size")
        terminal.resize(24, 80)
        terminal.type("stty rows 20 cols 70; isthmus top\r")
        terminal.until(lambda r: is_top(r) and max(map(len, r)) < 70,
                       "top in Linux")
        t.check(not terminal.screen.rows[20] and not terminal.screen.unknown,
                f"in Linux: {terminal.screen.rows}")
        terminal.type("q")
        terminal.until(lambda r: r[terminal.screen.row].endswith("#"),
                       "shell again")
        terminal.type("echo it is $?; exit\r")
        terminal.until(lambda r: any(l == "it is 0" for l in r), "status")
        terminal.prompt()
        terminal.type("poweroff\r")
        t.check(terminal.ended() == 0, "poweroff was not the end")
    finally:
        terminal.close()
