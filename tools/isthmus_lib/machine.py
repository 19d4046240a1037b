# SPDX-License-Identifier: MIT
"""A running machine: its emulator process and its two serial lines.

COM1 is the machine's console (boot messages, the host console, frames of an
exec run); COM2 carries what Linux prints on its own. Nothing of a machine
outlives close(), whatever way the tool ends.
"""

import ctypes
import glob
import os
import re
import selectors
import signal
import socket
import subprocess
import time

from isthmus_lib import scratch
from isthmus_lib.common import Failure, say

MARK_BYTE = b"\x1e"             # before a run's mark, on the serial line
FRAME_HEAD = 5                  # behind the mark: type, four hex digits
# At the beginning of a line: further on it may quote Linux.
STAGE = re.compile(r"(?:isthmus> )*isthmus: stage (\d+) (.*)")
FAILED = re.compile(r"(?:isthmus> )*isthmus: FAILED stage (\d+) ([^:]*): ?(.*)")
PANIC = re.compile(r"(?:isthmus> )*isthmus: (PANIC .*)")
CONTROLS = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
LAST_WORDS = 8                  # lines of it that are shown besides
PANICKED = ">>PANIC<<"          # how Bochs begins its reason
CONNECT_SECONDS = 30
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """In the child, before exec: no emulator survives its tool."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def busy_seconds(pid):
    """Time in which the threads of a process ran, or would have but had no
    processor: of all of them, so that it may be more than has passed. None:
    there is no such process, or a kernel that does not tell.
    (Linux's "Scheduler Statistics".)"""
    total = None
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as f:
                ran, waited, _ = f.read().split()
        except OSError:             # the thread has ended
            continue
        total = (total or 0) + (int(ran) + int(waited)) / 1e9
    return total


class Console:
    """Splits what comes over COM1 into text and exec frames, and keeps
    account of the boot stages named there.

    Whatever is on the machine can be on this line: a file, a program's
    output. What counts is what begins with the run's mark, a secret between
    the manifest and us: a frame, or a line up to its end. Lines without it
    count until somebody types: until then nothing but Isthmus speaks."""

    def __init__(self, mark=None):
        self.mark = mark and MARK_BYTE + mark.encode()
        self.believed = True        # lines without mark count
        self.rest = b""             # perhaps the beginning of a mark
        self.kind = None            # of the frame being read
        self.left = 0               # bytes of it still to come
        self.number = b""           # those of an exit frame
        self.line = b""             # the line being written
        self.marked = False         # it is Isthmus's own
        self.lines = []             # the last ones, as text
        self.code = 0               # of the last stage begun
        self.stage = None           # "CODE NAME" of it
        self.failure = None         # (code, name, sentence) of a failed one
        self.panic = None           # what the hypervisor died of
        self.status = None          # exit status of the command

    def feed(self, data):
        """Takes bytes; yields (kind, bytes): "text", "o" or "e"."""
        data = self.rest + data
        while data:
            at = self._mark_in(data)
            if at:
                size = min(at, self.left) if self.left else at
                yield from self._piece(data[:size])
                data = data[size:]
                continue
            size = self._head_size(data)
            if not size:            # the rest of it comes later
                break
            self._begin(data[len(self.mark):size])
            data = data[size:]
        self.rest = data

    def _mark_in(self, data):
        """Where a mark begins, if only its first bytes are there; else the
        end."""
        if not self.mark:
            return len(data)
        at = data.find(self.mark)
        if at >= 0:
            return at
        for size in range(min(len(self.mark), len(data)), 0, -1):
            if data.endswith(self.mark[:size]):
                return len(data) - size
        return len(data)

    def _head_size(self, data):
        """Bytes of the mark that `data` begins with and of the frame's head
        behind it, or 0 when more must come to know."""
        head = data[len(self.mark):][:FRAME_HEAD]
        if not re.fullmatch(rb"([oex][0-9a-f]{0,4})?", head):
            return len(self.mark)
        return len(self.mark) + FRAME_HEAD if len(head) == FRAME_HEAD else 0

    def _begin(self, head):
        """A frame, or (without a head) a line. One that is in the middle of
        something is the last word of a program that was cut off there."""
        if head:
            self.kind, self.left = chr(head[0]), int(head[1:], 16)
            self.number = b""
            return
        self.left = 0
        if self.line:
            self._text(b"\n")
        self.marked = True

    def _piece(self, data):
        if not self.left:
            self._text(data)
            yield "text", data
            return
        self.left -= len(data)
        if self.kind != "x":
            yield self.kind, data
            return
        self.number += data
        if not self.left:
            self.status = int(self.number)

    def _text(self, data):
        *whole, self.line = (self.line + data).split(b"\n")
        for line in whole:
            self._line(self._plain(line))
            self.marked = False
        self.line = self.line[-4096:]

    @staticmethod
    def _plain(line):
        return CONTROLS.sub("", line.decode("utf-8", "replace"))

    def _line(self, line):
        self.lines = (self.lines + [line])[-40:]
        if not self.marked and not self.believed:
            return
        if found := PANIC.match(line):
            self.panic = self.panic or found[1]
        elif found := FAILED.match(line):
            self.failure = self.failure or found.groups()
        elif found := STAGE.match(line):
            self.code = int(found[1])
            if self.failure and self.code >= int(self.failure[0]):
                self.failure = None     # made good: Linux came back
            self.stage = f"{found[1]} {found[2]}".strip()

    def last_lines(self):
        """What was last on the console, the unfinished line included."""
        return self.lines + [self._plain(self.line)]


class Machine:
    """One emulator. After start(), call poll() again and again."""

    def __init__(self, platform, settings):
        self.platform = platform
        self.settings = settings
        self.scratch = scratch.Folder()
        self.folder = self.scratch.path
        self.disk = os.path.join(self.folder, "disk.img")
        self.process = None
        self.lines = [None, None]   # sockets of COM1 and COM2
        self.selector = selectors.DefaultSelector()
        self.spent = 0.0            # CPU seconds of emulators before this one
        self.had = 0.0              # and their busy_seconds()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts the emulator on self.disk and waits for its serial ports."""
        listeners = [] if self.settings.no_serial else \
            [socket.create_server(("127.0.0.1", 0))
             for _ in self.settings.serial]
        try:
            ports = [s.getsockname()[1] for s in listeners]
            command = self.platform.command(self.folder, self.disk,
                                            self.settings, ports)
            self._spawn(command)
            for i, listener in enumerate(listeners):
                self.lines[i] = self._accept(listener)
                self.selector.register(self.lines[i], selectors.EVENT_READ, i)
        finally:
            for listener in listeners:
                listener.close()

    def _spawn(self, command):
        with open(os.path.join(self.folder, "emulator.txt"), "wb") as out:
            try:
                # pylint: disable=subprocess-popen-preexec-fn
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out,
                    stderr=out, cwd=self.folder, preexec_fn=die_with_parent)
            except OSError as error:
                raise Failure(f"{command[0]}: {error.strerror}") from error

    def _accept(self, listener):
        listener.settimeout(0.2)
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline and self.running():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        raise self._not_started()

    def _not_started(self):
        """Why, in the emulator's words, after what else it said."""
        said = [l for l in self.emulator_log().splitlines() if l.strip()]
        reason = next((l for l in said if PANICKED in l), None) or \
            next((l for l in reversed(said) if "warning" not in l),
                 "it says nothing")
        for line in said[-LAST_WORDS:]:
            if line is not reason:
                say("  " + line)
        return Failure(f"the emulator did not start: {reason.strip()}")

    def watch(self, file):
        """Lets poll() also report when `file` is readable, as its key."""
        self.selector.register(file, selectors.EVENT_READ, file)

    def unwatch(self, file):
        self.selector.unregister(file)

    def poll(self, timeout):
        """Waits for input; returns a list of (0 | 1 | watched file, bytes),
        the bytes None for a watched file."""
        got = []
        for key, _ in self.selector.select(timeout):
            if key.data not in (0, 1):
                got.append((key.data, None))
                continue
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if data:
                got.append((key.data, data))
            else:
                self.selector.unregister(key.fileobj)
        return got

    def open_lines(self):
        """Whether COM1 can still bring something."""
        return any(k.data == 0 for k in self.selector.get_map().values())

    def send(self, data):
        """Types into COM1."""
        try:
            self.lines[0].sendall(data)
        except OSError:
            pass                    # the machine is gone: poll() tells

    def running(self):
        return self.process is not None and self.process.poll() is None

    def was_reset(self):
        """Whether it was reset, on a platform that does not survive it."""
        if self.platform.reset is None:
            return False
        return bool(self.platform.reset.search(self._log(self.platform.log)))

    def restart(self):
        """Power off and on: a new emulator with the same disk."""
        self.spent = self.cpu_seconds()
        self.had = self.busy_seconds() or self.had
        self.stop()
        for line in filter(None, self.lines):
            if line in self.selector.get_map():
                self.selector.unregister(line)
            line.close()
        for name in (self.platform.log, "disk.img.lock"):
            if os.path.exists(os.path.join(self.folder, name)):
                os.unlink(os.path.join(self.folder, name))
        self.start()

    def cpu_seconds(self):
        """CPU time used by emulators."""
        try:
            with open(f"/proc/{self.process.pid}/stat", "rb") as f:
                fields = f.read().rpartition(b")")[2].split()
        except OSError:
            return self.spent
        ticks = os.sysconf("SC_CLK_TCK")
        return self.spent + (int(fields[11]) + int(fields[12])) / ticks

    def busy_seconds(self):
        """See busy_seconds(): of emulators, this one and those before it."""
        now = busy_seconds(self.process.pid)
        return None if now is None else self.had + now

    def emulator_log(self):
        """The end of what the emulator says about itself."""
        return "\n".join(line for name in ("emulator.txt", self.platform.log)
                         for line in self._log(name).splitlines()[-15:])

    def _log(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8",
                      errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def stop(self):
        if self.running():
            self.process.kill()
        if self.process:
            self.process.wait()

    def close(self):
        """Ends the emulator and removes every file of the machine."""
        self.stop()
        for line in self.lines:
            if line:
                line.close()
        self.selector.close()
        self.scratch.close()
