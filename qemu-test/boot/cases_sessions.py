# SPDX-License-Identifier: MIT
"""Sessions with Linux from outside, by `isthmus exec` and `isthmus console`: what
a serial line cannot give."""

import argparse
import concurrent.futures
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from isthmus_lib import control, remote
from runner import BOCHS, NESTED, QEMU, TOOL, case

FAR = 120               # seconds in which anything answers, on a busy computer


class Remote:
    """A machine that runs with --control."""

    def __init__(self, t, *options, timeout=300):
        self.t = t
        self.name = f"{t.name.replace('/', '-')[-20:]}-{os.getpid()}"
        self.console = t.console("--control", self.name, *options,
                                 timeout=timeout)
        self.console.ready()

    def command(self, *words, verb="exec"):
        return [TOOL, verb, *(["--machine"] if verb == "exec" else []),
                self.name, *words]

    def run(self, *words, status=0, **kwargs):
        """Runs a command; returns its output."""
        done = subprocess.run(self.command(*words), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False,
                              timeout=600, **{"stdin": subprocess.DEVNULL,
                                              **kwargs})
        said = done.stderr.decode("utf-8", "replace")
        self.t.check(done.returncode == status, f"{words}: status "
                     f"{done.returncode}, expected {status}: {said}")
        return done.stdout if status != remote.BROKEN else said.encode()

    def begin(self, *words, **kwargs):
        # pylint: disable=consider-using-with
        return subprocess.Popen(self.command(*words), **{
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **kwargs})


def until(t, fd, pattern):
    """Reads until a pattern is there, or for too long; returns all."""
    got, end = b"", time.monotonic() + FAR
    while not re.search(pattern, got):
        t.check(time.monotonic() < end, f"no {pattern} in {got[-500:]!r}")
        if select.select([fd], [], [], 1)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                piece = b""
            t.check(piece, f"it ended without {pattern}: {got[-500:]!r}")
            got += piece
    return got


def binary(t, there, mib):
    """Any bytes, there and back; the end of the input is seen."""
    path = t.path("random")
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for _ in range(mib):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            f.write(piece)
    with open(path, "rb") as f:
        out = there.run("cat", stdin=f)
    os.unlink(path)
    t.check(hashlib.sha256(out).digest() == digest.digest(),
            f"{len(out)} bytes came back, and not the same")
    out = there.run("cat >&2; echo end; exit 9", input=b"\0\xff\n", stdin=None,
                    status=9)
    t.check(out == b"end\n", f"behind the input: {out!r}")


def as_whom(t, there, share):
    out = there.run("--user", "nobody", "--dir", "/tmp", "--env", "A=b  c",
                    "id -u; pwd; echo \"$A\"; echo $HOME $USER; umask")
    t.check(out == b"65534\n/tmp\nb  c\n/ nobody\n0022\n", f"as nobody: {out}")
    out = there.run("--user", "7:8", "cat /proc/self/status")
    t.check(b"\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\n" in out
            and b"\nGroups:\t8 \n" in out and
            b"\nCapEff:\t0000000000000000\n" in out, f"as 7:8: {out}")
    inner = os.path.join(share, "inner")
    out = there.run("pwd; cat file", cwd=inner)
    t.check(out == b"/mnt/host/inner\nhere\n", f"within the share: {out}")
    t.check(there.run("pwd", cwd="/") == b"/root\n", "it is not at home")
    for words, why in ((("--user", "eve"), "there is none of that name"),
                       (("--dir", "/nope"), "No such file"),
                       (("--dir", "tmp"), "an absolute path expected"),
                       (("--env", "A"), "NAME=VALUE expected"),
                       (("--distro", "no-such"), "no-such"),
                       (("--linux", "none"), "no Linux of that name")):
        out = there.run(*words, "true", status=remote.BROKEN).decode()
        t.check(why in out, f"{words}: it says {out!r}")


def signals(t, there):
    for number in (signal.SIGTERM, signal.SIGINT):
        one = there.begin("echo begun; exec sleep 1000")
        until(t, one.stdout.fileno(), b"begun")
        one.send_signal(number)
        t.check(one.wait(FAR) == 128 + number, f"status {one.returncode}")
    # A command that does something about it, with input that it leaves.
    one = there.begin("trap 'echo usr; exit 7' USR1; echo begun; "
                      "while :; do sleep 0.1; done", stdin=subprocess.PIPE)
    until(t, one.stdout.fileno(), b"begun")
    os.set_blocking(one.stdin.fileno(), False)
    for _ in range(16):                 # more than is on its way
        try:
            one.stdin.write(bytes(65536))
        except BlockingIOError:
            break
        time.sleep(0.05)
    one.send_signal(signal.SIGUSR1)
    t.check(one.wait(FAR) == 7, f"status {one.returncode}")
    # A client that dies: its command hears of it. Its shell would say so of the
    # sleep, and end by that: nobody reads it.
    one = there.begin("exec 2>/dev/null; trap 'touch /tmp/hup; exit' HUP; "
                      "echo begun; while :; do sleep 0.1; done")
    until(t, one.stdout.fileno(), b"begun")
    one.kill()
    one.wait()
    there.run("until test -f /tmp/hup; do sleep 0.1; done")


def terminal(t, there):
    """A shell on a terminal that changes its size; ctrl-c in a flood."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "vt100"
        os.execv(TOOL, there.command(verb="console"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    until(t, fd, rb"# ")
    os.write(fd, b"echo $TERM; stty size\n")
    until(t, fd, rb"vt100\s+30 100\s")
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", 41, 121, 0, 0))
    os.write(fd, b"until stty size | grep -x '41 121'; do sleep 0.1; done\n")
    until(t, fd, rb"\n41 121\r?\n")
    os.write(fd, b"yes\n")
    until(t, fd, rb"\ny\r\ny\r\ny\r\n")
    for _ in range(100):
        os.read(fd, 4096)
    os.write(fd, b"\3")
    until(t, fd, rb"\^C[^#]*# ")
    os.write(fd, b"exit 6\n")
    until(t, fd, rb"exit 6\r?\n")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    t.check(status == 6, f"the shell ended with {status}")
    out = there.run("--tty", "stty size; tty")
    t.check(re.fullmatch(rb"24 80\r\n/dev/pts/\d+\r\n", out), f"--tty: {out}")


def at_once(t, there):
    """Eight sessions: what one floods, and another does not read, is no matter
    to the others."""
    flood = there.begin("cat /dev/zero", stdout=subprocess.DEVNULL)
    stuck = there.begin("cat /dev/zero")
    start = time.monotonic()
    others = [there.begin(f"for i in 1 2 3; do echo {i}; sleep 1; done; "
                          f"exit {i}") for i in range(1, 7)]
    for i, one in enumerate(others, 1):
        out, _ = one.communicate(timeout=FAR)
        t.check(out == f"{i}\n".encode() * 3 and one.returncode == i,
                f"session {i}: {out!r}, status {one.returncode}")
    took = time.monotonic() - start
    t.check(flood.poll() is None and stuck.poll() is None, "a flood has ended")
    t.check(re.search(r"control: on TCP port 4243, [2-9] of 32 connections",
                      there.console.run("net")), "net does not show them")
    for one in (flood, stuck):
        one.terminate()
    for one in (flood, stuck):
        one.communicate(timeout=FAR)
        t.check(one.returncode == 128 + signal.SIGTERM,
                f"a flood ended with {one.returncode}")
    t.note += f" (six sessions beside two floods took {took:.1f} s)"


def strangers(t, there):
    """Who has no key, from this computer, and from Linux itself."""
    for address in ("10.77.1.1", "10.0.2.15"):
        out = there.run(f"nc -w 5 {address} 4243 </dev/null; echo $?")
        t.check(out == b"1\n", f"Linux reaches {address}: {out}")
    _, about = control.find(there.name)
    with socket.create_connection((about["address"], about["port"])) as s:
        s.settimeout(FAR)
        asked = s.recv(100)
        t.check(remote.CHALLENGE.fullmatch(asked), f"it asks {asked!r}")
        s.sendall(b"0" * 64 + b"\n")
        t.check(s.recv(100) == b"wrong\n", "it does not say that it is wrong")
    there.console.expect("control: 10.0.2.2: wrong answer")
    # The tool waits until somebody is let in again.
    t.check(there.run("echo $((6 * 7))") == b"42\n", "nobody is let in")


def proof(t, mib):
    share = t.path("share")
    os.makedirs(os.path.join(share, "inner"))
    with open(os.path.join(share, "inner", "file"), "wb") as f:
        f.write(b"here\n")
    there = Remote(t, "--share", share)
    there.run("exit 3", status=3)
    there.run("kill -9 $$", status=137)
    as_whom(t, there, share)
    binary(t, there, mib)
    signals(t, there)
    terminal(t, there)
    at_once(t, there)
    strangers(t, there)
    there.console.send("poweroff")
    t.check(there.console.finish() == 0, "poweroff did not end it well")
    t.check(there.name not in control.running(),
            "a machine that is gone is found")


@case("sessions", "exec and console from outside: 64 MiB, signals, a terminal's size, "
      "users, eight at once, a wrong key", later=BOCHS + NESTED)
def sessions(t):
    proof(t, 64 if t.platform in QEMU else 4)


def one_exec(there, about, command):
    """The protocol without the tool, whose start costs more than all else."""
    args = argparse.Namespace(command="exec", tty=False, run=[command],
                              dir=None, user=None, distro=None, env=[])
    with remote.connect(there.name, about, "") as s:
        s.settimeout(FAR)
        s.sendall(remote.request(args, {"share": None}) +
                  remote.frame(remote.STDIN))
        got = b""
        while piece := s.recv(65536):
            got += piece
    return got


@case("sessions-10000", "ten thousand commands from outside; nothing is left",
      only=QEMU, why="its network is QEMU's", later=QEMU)
def sessions_10000(t):
    there = Remote(t, timeout=3000)
    _, about = control.find(there.name)

    def left():
        said = there.console.run("memory")
        out = there.run("cd /proc; echo [0-9]* | wc -w; cut -f 1 sys/fs/file-nr")
        return int(re.search(r"heap, within host: (\d+) KiB", said)[1]), \
            *map(int, out.split())

    one_exec(there, about, "true")
    before = left()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i, got in enumerate(pool.map(
                lambda i: one_exec(there, about, f"echo {i}; exit {i % 200}"),
                range(10000))):
            line = f"{i}\n".encode()
            want = remote.frame(remote.STDOUT, line) + remote.frame(
                remote.EXIT, struct.pack("<I", i % 200))
            t.check(got == want, f"the {i}th: {got!r}")
    after = left()
    t.note += f" (heap KiB, processes, files: {before}, then {after})"
    # The most that the heap has had: connections that have ended are known for
    # a minute, 800 at most.
    t.check(after[0] < before[0] + 4096 and after[1] <= before[1] + 2
            and after[2] < before[2] + 200, f"left: {before}, then {after}")
    there.console.send("poweroff")
    t.check(there.console.finish() == 0, "poweroff did not end it well")
