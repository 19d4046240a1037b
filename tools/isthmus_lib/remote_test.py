#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`isthmus exec` against a machine of the test's own, which speaks the control
service's words: what is asked for, what passes, what waits, and how it ends;
and which machines are found. Needs no build, no emulator."""

import argparse
import contextlib
import hmac
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import control, remote                     # noqa: E402
from isthmus_lib.common import ROOT, Failure                # noqa: E402

TOOL = os.path.join(ROOT, "tools", "isthmus")
ENDING = remote.frame(remote.EXIT, struct.pack("<I", 0))
ONCE = 60                       # seconds that nothing here takes


def arguments(name, port, key, share=None):
    return argparse.Namespace(control=name, forward=[(port, control.PORT)],
                              control_key=key, share=share)


class Machine:
    """A machine that answers one session: `play(self)` is its part of it."""

    def __init__(self, play, greeting=b"ok\n"):
        self.key = "5a" * 32
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.play, self.greeting = play, greeting
        self.fields = self.linux = self.peer = None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with self.listener:
            self.peer, _ = self.listener.accept()
        self.peer.settimeout(ONCE)
        self.peer.sendall(b"isthmus control, challenge " + b"c" * 32 + b": ")
        line = b""
        while not line.endswith(b"\n"):
            line += self.peer.recv(1)
        answer, _, self.linux = line.decode().strip("\n").partition(" ")
        right = hmac.new(bytes.fromhex(self.key), b"c" * 32, "sha256")
        assert answer == right.hexdigest()
        self.peer.sendall(self.greeting)
        with self.peer, contextlib.suppress(OSError):
            size, = struct.unpack("<I", self.take(4))
            self.fields = self.take(size).decode().split("\0")
            self.play(self)
            self.peer.shutdown(socket.SHUT_WR)
            while self.peer.recv(65536):
                pass                # else what was said could be lost

    def take(self, size):
        got = b""
        while len(got) < size:
            piece = self.peer.recv(size - len(got))
            if not piece:
                raise OSError("it has gone")
            got += piece
        return got

    def frame(self):
        kind, size = remote.HEADER.unpack(self.take(remote.HEADER.size))
        return kind, self.take(size)

    def say(self, kind, data=b""):
        self.peer.sendall(remote.frame(kind, data))


class Test(unittest.TestCase):
    """With a folder for machines of its own."""

    def setUp(self):
        self.run_folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.run_folder.cleanup)
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.run_folder.name)
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = self.run_folder.name
        self.addCleanup(os.environ.update if before else os.environ.pop,
                        {"XDG_RUNTIME_DIR": before} if before
                        else "XDG_RUNTIME_DIR")


class Sessions(Test):
    def tool(self, machine, *words, share=None, **kwargs):
        with control.registered(arguments("m1", machine.port, machine.key,
                                          share)):
            return subprocess.run([TOOL, *words], env=self.env, check=False,
                                  capture_output=True, timeout=ONCE, **kwargs)

    def test_what_is_asked_for(self):
        machine = Machine(lambda m: m.say(remote.EXIT, struct.pack("<I", 7)))
        done = self.tool(machine, "exec", "m1", "--user", "u", "--env", "A=b",
                         "--dir", "/d", "--linux", "two", "ls", "-l  x",
                         input=b"")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual(machine.fields, ["exec", "ls -l  x", "user=u",
                                          "dir=/d", "env=A=b"])
        self.assertEqual(machine.linux, "two")
        for words in (("--",), ("--machine", "m1")):
            machine = Machine(lambda m: m.peer.sendall(ENDING))
            self.tool(machine, "exec", *words, "m1", input=b"")
            self.assertEqual(machine.fields[:2], ["exec", "m1"])
        done = self.tool(machine, "exec", "--machine", "m2", "m1", input=b"")
        self.assertEqual(done.returncode, 2)
        machine = Machine(lambda m: m.peer.sendall(ENDING))
        self.tool(machine, "exec", "m2", input=b"")
        self.assertEqual(machine.fields[:2], ["exec", "m2"])

    def test_same_place(self):
        with tempfile.TemporaryDirectory() as share:
            inner = os.path.join(share, "a", "b")
            os.makedirs(inner)
            for where, is_there in ((inner, ["dir=/mnt/host/a/b"]),
                                    (share, ["dir=/mnt/host"]),
                                    (os.path.dirname(share), [])):
                machine = Machine(lambda m: m.peer.sendall(ENDING))
                self.tool(machine, "exec", "true", share=share, cwd=where,
                          input=b"")
                self.assertEqual(machine.fields[2:], is_there)

    def test_streams_in_pieces(self):
        def play(m):
            data = remote.frame(remote.STDOUT, b"o" * 1000) + \
                remote.frame(remote.STDERR, b"e\0\xff") + \
                remote.frame(remote.STDOUT) + \
                remote.frame(remote.FLUSH) + \
                remote.frame(remote.STDOUT, b"end") + ENDING
            for i in range(0, len(data), 7):
                m.peer.sendall(data[i:i + 7])
                if i < 100:
                    time.sleep(0.005)

        done = self.tool(Machine(play), "exec", "true", input=b"")
        self.assertEqual(done.stdout, b"o" * 1000 + b"end")
        self.assertEqual(done.stderr, b"e\0\xff")
        self.assertEqual(done.returncode, 0)

    def test_input_keeps_to_its_window(self):
        got = []

        def play(m):
            untaken = 0
            while True:
                kind, data = m.frame()
                assert kind == remote.STDIN, kind
                got.append(data)
                if not data:
                    break
                untaken += len(data)
                assert untaken <= remote.IN_WINDOW, untaken
                if untaken == remote.IN_WINDOW:
                    m.peer.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        raise AssertionError(m.peer.recv(1))
                    m.peer.settimeout(ONCE)
                    m.say(remote.TAKEN, struct.pack("<I", untaken))
                    untaken = 0
            m.peer.sendall(ENDING)

        much = os.urandom(200000)
        done = self.tool(Machine(play), "exec", "cat", input=much)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(b"".join(got), much)

    def test_what_goes_wrong(self):
        for play, greeting, says in (
                (lambda m: m.say(remote.ERROR, b"user: \x1b[1mnone"), b"ok\n",
                 b"isthmus: user: ?[1mnone\n"),
                (lambda m: m.say(remote.STDOUT, b"x"), b"ok\n", b"broke"),
                (lambda m: m.say(77), b"ok\n", b"no frame"),
                (lambda m: None, b"wrong\n", b"another key")):
            done = self.tool(Machine(play, greeting), "exec", "true",
                             input=b"")
            self.assertEqual(done.returncode, remote.BROKEN)
            self.assertIn(says, done.stderr)

    def test_signals_behind_input(self):
        seen = []

        def play(m):
            m.say(remote.STDOUT, b"go\n")
            kind = None
            while kind != remote.SIGNAL:
                kind, data = m.frame()
                seen.append((kind, len(data)))
            m.say(remote.EXIT, struct.pack("<I", 128 + data[0]))

        machine = Machine(play)
        with control.registered(arguments("m1", machine.port, machine.key)), \
                open("/dev/zero", "rb") as zero, \
                subprocess.Popen([TOOL, "exec", "cat"], env=self.env,
                                 stdin=zero, stdout=subprocess.PIPE) as one:
            self.assertEqual(one.stdout.readline(), b"go\n")
            time.sleep(0.3)
            one.send_signal(signal.SIGTERM)
            self.assertEqual(one.wait(ONCE), 128 + signal.SIGTERM)
        self.assertEqual(sum(size for kind, size in seen
                             if kind == remote.STDIN), remote.IN_WINDOW)


class Machines(Test):
    """Which are found."""

    def test_who_can_read(self):
        with control.registered(arguments("m1", 1, "k")):
            folder = os.path.join(self.run_folder.name,
                                  f"isthmus-{os.getuid()}")
            self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
            path = os.path.join(folder, "m1.json")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertEqual(control.running(), ["m1"])
            with self.assertRaisesRegex(Failure, "of that name runs"), \
                    control.registered(arguments("m1", 1, "k")):
                pass
            with control.registered(arguments("m2", 2, "l")):
                self.assertEqual(control.find("m2")[1]["port"], 2)
                with self.assertRaisesRegex(Failure, "which machine"):
                    control.find(None)
            self.assertEqual(control.find(None)[0], "m1")
        self.assertEqual(control.running(), [])
        os.chmod(folder, 0o755)
        with self.assertRaisesRegex(Failure, "this user's alone"):
            control.running()

    def test_left_over(self):
        with control.registered(arguments("m1", 1, "k")):
            pass
        path = os.path.join(self.run_folder.name,
                            f"isthmus-{os.getuid()}", "m1.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write("{}")
        with self.assertRaisesRegex(Failure, "no machine runs"):
            control.find("m1")
        with control.registered(arguments("m1", 3, "k")):
            self.assertEqual(control.find("m1")[1]["port"], 3)


if __name__ == "__main__":
    unittest.main()
