# SPDX-License-Identifier: MIT
"""The time of day: what the network says of it, and what Linux then shows."""

import os
import re
import signal
import socket
import struct
import threading
import time

from cases_coherence import share
from cases_several import manifest, said, up
from power import emulator
from qmp import Qmp
from runner import HERE, QEMU, Skipped, case

AHEAD = 5 * 3600                # the server's clock, of this computer's
NEAR = 120                      # s, that the test itself may have taken
SINCE_1900 = 2208988800         # 1970 [RFC 5905 "Data Types"]


def stamp(seconds):
    """As NTP has it [RFC 5905 "Data Types"]."""
    return struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))


class TimeServer:
    """An NTP server on this computer, of which there is one at a time, silent
    until `answers` is set; machines find it at 10.0.2.2. With `by` it is ahead
    of who asks by so much, at the first answer."""

    ONE = threading.Lock()

    def __init__(self, by=None):
        self.answers = False
        self.by = by
        self.ends = False

    def __enter__(self):
        self.ONE.acquire()      # pylint: disable=consider-using-with
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        try:
            self.socket.bind(("127.0.0.1", 123))
        except OSError as error:
            self.socket.close()
            self.ONE.release()
            raise Skipped(f"no UDP port 123 to answer at: {error}") from error
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        self.socket.close()
        self.ONE.release()

    def _serve(self):
        while not self.ends:
            try:
                asked, peer = self.socket.recvfrom(1024)
            except TimeoutError:
                continue
            if not self.answers or len(asked) < 48:
                continue
            now = stamp(time.time() + AHEAD + SINCE_1900)
            if self.by is not None:
                whole, part = struct.unpack("!II", asked[40:48])
                now = stamp(whole + part / 2**32 + self.by)
                self.by = 0
            self.socket.sendto(struct.pack("!BBBb12x", 0x24, 2, 6, -20) + now
                               + asked[40:48] + now + now, peer)


def ahead(console, who, command="date +%s"):
    """By how many seconds that Linux's clock is ahead of this computer's."""
    answer = console.run(f"exec {who}: {command}")
    return int(re.match(r"\d+", answer)[0]) - time.time()


def clock_manifest(t):
    """Two Linuxes, of which b keeps its clock itself."""
    path = manifest(t, ("a", "b"))
    with open(path, encoding="utf-8") as f:
        text = f.read()
    at = text.index("\t\tb {")
    text = text[:at] + text[at:].replace('bootargs = "', 'bootargs = "'
                                         "isthmus.clock=off ", 1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + '\n/ {\n\tnetwork {\n\t\tntp = "10.0.2.2";\n'
                "\t};\n};\n")
    return path


@case("clock", "a clock that the network has put right: of a Linux that runs, and "
      "of one that is started then", only=QEMU, why="its network is QEMU's")
def clock(t):
    with TimeServer() as server:
        is_put_right(t, server)


def is_put_right(t, server):
    """What the test does, with that server."""
    console = t.console("--nic", "virtio", "--manifest", clock_manifest(t),
                        *share(t))
    up(console, "ab")
    for who in "ab":
        t.check(abs(ahead(console, who)) < NEAR, f"{who} began elsewhere")
    server.answers = True
    found = console.expect(r"clock: set, it was (\d+) ms behind")
    t.check(abs(int(found[1]) / 1000 - AHEAD) < NEAR, f"{found[0]}")
    # Linux is told, and does not find out when it looks the next time.
    time.sleep(0.5)
    seen = ahead(console, "a")
    t.check(abs(seen - AHEAD) < NEAR, f"a is {seen} s ahead")
    # The host's files are of the same time.
    console.run("cp welcome.txt copy")
    seen = ahead(console, "a", "stat -c %Y /mnt/host/copy")
    t.check(abs(seen - AHEAD) < NEAR, f"a file is {seen} s ahead")
    said(t, console, "a", "[ $(date +%s) -ge $(stat -c %Y /mnt/host/copy) ]; "
         "echo $?", "0")
    # Who does not want that is left alone; what it is started with is right.
    t.check(abs(ahead(console, "b")) < NEAR, "b followed")
    console.run("linux stop b")
    console.send("linux start b")
    up(console, "b")
    seen = ahead(console, "b")
    t.check(abs(seen - AHEAD) < NEAR, f"b was started {seen} s ahead")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


BEHIND = "/sys/module/isthmus/parameters/clock_behind_ns"
OFF = 0.7                       # s; the host's clock is right 90 s later
LOOKS = 200                     # in 10 s of them


@case("clock-follows", "while the machine's clock is being put right, Linux's "
      "goes with it", only=QEMU, later=QEMU, why="its network is QEMU's")
def clock_follows(t):
    with TimeServer(OFF) as server:
        follows(t, server)


def follows(t, server):
    """What the test does, with that server."""
    console = t.console("--nic", "virtio",
                        "--manifest", clock_manifest(t), *share(t))
    up(console, "ab")
    server.answers = True
    console.expect(r"isthmus> ")
    while " 1 answers" not in (net := console.run("net")):
        time.sleep(0.2)
    left = int(re.search(r"(\d+) ms of it left", net)[1])
    t.check(left > 500, f"only {left} ms are left")
    answer = console.run(f"exec a: for i in $(seq {LOOKS}); do cat {BEHIND};"
                         " usleep 50000; done")
    off = [int(line) / 1e6 for line in re.findall(r"^-?\d+$", answer, re.M)]
    later = int(re.search(r"(\d+) ms of it left", console.run("net"))[1])
    t.note = f": {min(off):.3f} to {max(off):.3f} ms behind, while " \
        f"{left - later} ms of {left} were made up for"
    t.check(len(off) == LOOKS and left - later > 50, f"not as expected{t.note}")
    # A computer that has no time for the machine just then makes the agent look
    # late: a hundred ms are 0.8 ms.
    usual = sorted(map(abs, off))[LOOKS * 9 // 10]
    t.note += f", nine tenths of the looks less than {usual:.3f}"
    t.check(usual < 1, f"Linux's clock was off{t.note}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


PAUSE = 3600


@case("clock-paused", "a machine that stood still for an hour", only=QEMU,
      later=QEMU, why="its monitor can stop it, and its clock be another one")
def clock_paused(t):
    library, later = t.path("later.so"), t.path("later")
    t.tool(["gcc", "-shared", "-fPIC", "-O2", "-o", library,
            os.path.join(HERE, "later.c")])
    with open(later, "wb") as f:
        f.write(struct.pack("q", 0))
    console = t.console("--qmp", t.path("qmp"), under=(
        "env", f"LD_PRELOAD={library}", f"LATER_FILE={later}"))
    console.ready()
    time.sleep(30)              # some looks at the clock
    before = ahead_ns(console)
    qmp = Qmp(t.path("qmp"))
    qmp.run("stop")
    with open(later, "r+b") as f:
        f.write(struct.pack("q", PAUSE))
    qmp.run("cont")
    qmp.close()
    found = console.expect(r"clock: the machine stood still for (\d+) s")
    time.sleep(0.5)
    off = ahead_ns(console) - before - PAUSE
    t.note = f": {found[1]} s by its own account, Linux is {off:.3f} s off"
    t.check(abs(off) < 1, f"the clock is wrong{t.note}")
    t.check(abs(int(found[1]) - PAUSE) < NEAR, f"it told another time{t.note}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def ahead_ns(console):
    """By how many seconds the first Linux's clock is ahead of this computer's,
    as well as can be told from outside."""
    began = time.time()
    answer = console.run("exec touch /tmp/now; stat -c %y /tmp/now")
    now = (began + time.time()) / 2
    h, m, s = re.search(r" (\d+):(\d+):([\d.]+) ", answer).groups()
    day = int(h) * 3600 + int(m) * 60 + float(s)
    return (day - now + 43200) % 86400 - 43200


STOCK = ("build/guest/vmlinuz-debian", "build/guest/initrd-debian.cpio")
ASLEEP = 16                     # s: twice what its watchdog allows here, and so
                                # later than any tick of a machine that runs


@case("clock-watchdog", "a machine whose time went on while nothing ran: the "
      "stock kernel's watchdog says nothing, and the agent answers",
      only=QEMU, later=QEMU,
      why="it is about a kernel, not a processor")
def clock_watchdog(t):
    t.need(*STOCK)
    console = t.console("--kernel", STOCK[0], "--initrd", STOCK[1],
                        timeout=600)
    console.ready()
    said = console.run("exec echo 4 > /proc/sys/kernel/watchdog_thresh;"
                       " cat /proc/sys/kernel/soft_watchdog")
    t.check(said.startswith("1\n"), f"there is no watchdog: {said!r}")
    # Who could be charged for the time: a session, and not its command; and
    # who is of a real-time class.
    said = console.run(
        "exec cut -d' ' -f 19,41 /proc/$PPID/stat /proc/self/stat") + \
        console.run("exec cat /proc/sys/kernel/sched_rt_runtime_us")
    t.check(re.findall(r"^-?\d[-\d ]*$", said, re.M) == ["-20 0", "0 0", "-1"],
            f"who goes first: {said!r}")
    # From idle an interrupt alone would do.
    console.run("exec setsid sh -c 'while :; do :; done' & sleep 3")
    pid = emulator(console.process.pid)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(ASLEEP)
    os.kill(pid, signal.SIGCONT)
    console.run("exec sleep 5")
    said = console.run("exec dmesg | grep -ciE 'lockup|stall|hung'")
    t.check(said.startswith("0\n"), f"it barked: {said!r} "
            + console.run("exec dmesg | grep -iE 'lockup|stall|hung'"))
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


IDLE = 600                      # s
PARTS = 10


@case("clock-idle", "ten idle minutes, of a machine whose time goes as fast as "
      "it is idle: Linux's clock does not drift", only=QEMU, later=QEMU,
      why="its time can")
def clock_idle(t):
    look = f"cat {BEHIND}"
    result = t.exec(f"{look}; for i in $(seq {PARTS}); do "
                    f"sleep {IDLE // PARTS}; {look}; done; cat /proc/uptime; "
                    "touch /tmp/f /mnt/host/f; stat -c %Y /tmp/f /mnt/host/f",
                    "--deterministic", timeout=900)
    *seen, up, ours, hosts = result.out.splitlines()
    off = [int(line) / 1e6 for line in seen]
    t.note = f": {min(off):.3f} to {max(off):.3f} ms behind"
    t.check(len(off) == PARTS + 1 and float(up.split()[0]) > IDLE,
            f"it was not idle for so long: {result.out!r}")
    t.check(max(map(abs, off)) < 1, f"the clock drifts{t.note}: {seen}")
    t.check(0 <= int(hosts) - int(ours) <= 1, f"files of {ours} and {hosts}")
