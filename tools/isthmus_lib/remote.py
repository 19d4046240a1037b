# SPDX-License-Identifier: MIT
"""`isthmus exec` and `isthmus console`: a session with the agent in a Linux of a
machine that runs, through the machine's control service (proto/agent.h,
host-bridge/agent/control.c). Input, output, signals, the terminal's size and
the end all pass; what one side does not take makes the other wait."""

import argparse
import collections
import errno
import fcntl
import hmac
import os
import re
import select
import signal
import socket
import stat
import struct
import sys
import termios
import time

from isthmus_lib import control
from isthmus_lib.common import Failure, say
from isthmus_lib.session import Terminal

BROKEN = 125                    # no status of a command's
STDOUT, STDERR, STDIN, EXIT, WINDOW, ERROR, FLUSH, SIGNAL, TAKEN = range(1, 10)
IN_WINDOW = 65536               # of input that the command has not taken
OUT_MOST = 262144               # of output that nobody here has taken
PIECE = 16384
PIPE_PIECE = 4096               # a pipe that can be written to takes as many
HEADER = struct.Struct("<BI")
PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
          signal.SIGUSR1, signal.SIGUSR2)
CONNECT_SECONDS = 300           # for a machine that is booting
CHALLENGE = re.compile(rb"isthmus control, challenge ([0-9a-f]{32}): ")
DETACH = 0x1d                   # ctrl-]
MOUNT = "/mnt/host"
CLEAN = re.compile(r"[^ -~]")


def add_options(parser, command):
    parser.add_argument("--user", metavar="USER", help="a name, UID or "
                        "UID:GID (default: root, or the distribution's)")
    parser.add_argument("--dir", metavar="DIR", help="where, in Linux "
                        "(default: the same place in /mnt/host if this is "
                        "within the folder of --share, else the user's home)")
    parser.add_argument("--env", metavar="NAME=VALUE", action="append",
                        default=[], help="a variable; may be repeated")
    parser.add_argument("--distro", metavar="NAME",
                        help="in that distribution; - is none")
    parser.add_argument("--machine", metavar="NAME", help="the machine; then "
                        "no word is its name (for scripts)")
    parser.add_argument("--linux", metavar="NAME", default="",
                        help="of several Linuxes that one (default: the "
                        "first)")
    if command:
        parser.add_argument("--tty", action="store_true",
                            help="on a terminal of its own, which is as "
                            "large as this one")
        parser.add_argument("run", nargs=argparse.REMAINDER,
                            metavar="[NAME] COMMAND", help="the machine, if "
                            "several run, and what is for Linux's shell: one "
                            "word, or several, between which blanks are put; "
                            "-- before it says that there is no NAME")
    else:
        parser.add_argument("name", metavar="NAME", nargs="?",
                            help="the machine, if several run")


def split_name(args, parser):
    """The machine's name off the words of exec, if that is what the first is;
    options may come behind it."""
    args.name = None
    if args.run[:1] == ["--"]:
        args.run = args.run[1:]
    elif args.machine is not None:
        return
    elif args.run and args.run[0] in control.running():
        args.name, words = args.run[0], args.run[1:]
        args.run = []
        parser.parse_args(words, args)
        args.run = args.run[args.run[:1] == ["--"]:]


def same_place(share):
    """Where this folder is in Linux; None: it is not in what it sees."""
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:
        return None
    if share and os.path.commonpath([share, here]) == share:
        return os.path.normpath(
            os.path.join(MOUNT, os.path.relpath(here, share)))
    return None


def window_size():
    """Rows and columns of this terminal, or what is usual."""
    for fd in (0, 1, 2):
        try:
            rows, cols = struct.unpack("4H", fcntl.ioctl(
                fd, termios.TIOCGWINSZ, bytes(8)))[:2]
        except OSError:
            continue
        if rows and cols:
            return rows, cols
    return 24, 80


def request(args, about):
    """The request's fields."""
    tty = args.command == "console" or args.tty
    rows, cols = window_size()
    if args.command == "console":
        fields = ["shell", str(rows), str(cols)]
    else:
        fields = ["exec", " ".join(args.run)]
        if tty:
            fields.append(f"tty={rows}x{cols}")
    where = args.dir if args.dir is not None else same_place(about["share"])
    for key, value in (("user", args.user), ("dir", where),
                       ("distro", args.distro)):
        if value is not None:
            fields.append(f"{key}={value}")
    if tty and "TERM" in os.environ and \
            not any(v.startswith("TERM=") for v in args.env):
        fields.append("env=TERM=" + os.environ["TERM"])
    fields += ["env=" + variable for variable in args.env]
    text = b"\0".join(os.fsencode(field) for field in fields)
    return struct.pack("<I", len(text)) + text


def frame(kind, data=b""):
    return HEADER.pack(kind, len(data)) + data


def _until(sock, end, most, deadline):
    """What comes up to `end`; less if the connection ends before."""
    got = b""
    while not got.endswith(end) and len(got) < most:
        sock.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            piece = sock.recv(1)
        except OSError:
            return b""
        if not piece:
            break
        got += piece
    return got


def connect(machine, about, linux):
    """A connection on which the key was told. While the machine boots what
    takes it is the emulator, which nobody answers."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < deadline and control.runs(machine):
        try:
            sock = socket.create_connection((about["address"], about["port"]))
        except OSError:
            time.sleep(0.2)
            continue
        asked = CHALLENGE.fullmatch(
            _until(sock, b": ", 80, min(time.monotonic() + 10, deadline)))
        if asked:
            answer = hmac.new(bytes.fromhex(about["key"]), asked[1],
                              "sha256").hexdigest()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(f"{answer} {linux}\n".encode())
            said = _until(sock, b"\n", 16, deadline)
            if said == b"ok\n":
                return sock
            sock.close()
            if said == b"wrong\n":
                raise Failure(f"{machine}: it has another key", BROKEN)
        sock.close()
        time.sleep(0.2)
    raise Failure(f"{machine}: its control service does not answer", BROKEN)


class Output:
    """One of our outputs, and what waits for it."""

    def __init__(self, fd):
        self.fd = fd
        self.waiting = collections.deque()
        self.size = 0
        mode = os.fstat(fd).st_mode
        self.piece = PIPE_PIECE if stat.S_ISFIFO(mode) else PIECE

    def put(self, data):
        self.waiting.append(memoryview(data))
        self.size += len(data)

    def write(self):
        """Some of it; false: nobody is there to read it."""
        data = self.waiting.popleft()
        try:
            done = os.write(self.fd, data[:self.piece])
        except BlockingIOError:
            done = 0
        except OSError as error:
            if error.errno == errno.EPIPE:
                return False
            raise Failure(f"output: {error.strerror}", BROKEN) from error
        self.size -= done
        if done < len(data):
            self.waiting.appendleft(data[done:])
        return True


class Session:
    """One session, from the request on."""

    def __init__(self, sock, first, keys):
        self.sock = sock
        self.sock.setblocking(False)
        self.sending = bytearray(first)
        self.got = bytearray()
        self.outputs = {STDOUT: Output(1), STDERR: Output(2)}
        self.keys = keys                # ctrl-] leaves
        self.input = True
        self.untaken = 0
        self.status = None
        self.words = None               # why there is none of a command's
        self.signals = []
        self.wake, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fstat(0)
        except OSError:
            self._input_ends()

    def _input_ends(self):
        self.input = False
        self.sending += frame(STDIN)

    def _noted(self, number, _frame):
        self.signals.append(number)

    def watch_signals(self, resized):
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        for number in PASSED + ((signal.SIGWINCH,) if resized else ()):
            signal.signal(number, self._noted)

    def _pass_signals(self):
        while os_read(self.wake):
            pass
        while self.signals:
            number = self.signals.pop(0)
            if number == signal.SIGWINCH:
                self.sending += frame(WINDOW, struct.pack("<HH",
                                                          *window_size()))
            else:
                self.sending += frame(SIGNAL, bytes([number]))

    def run(self):
        """Returns the exit status."""
        while self.status is None or any(
                o.size for o in self.outputs.values()):
            status = self._step()
            if status is not None:
                return status
        return self.status

    def _step(self):
        poll = select.poll()
        reads = sum(o.size for o in self.outputs.values()) < OUT_MOST
        wants = {self.wake: select.POLLIN}
        if self.status is None:
            wants[self.sock.fileno()] = (select.POLLIN if reads else 0) | \
                (select.POLLOUT if self.sending else 0)
        if self.input and self.untaken < IN_WINDOW and not self.sending \
                and self.status is None:
            wants[0] = select.POLLIN
        for output in self.outputs.values():
            if output.size:
                wants[output.fd] = select.POLLOUT
        for fd, events in wants.items():
            poll.register(fd, events)
        ready = dict(poll.poll())
        if ready.pop(self.wake, None):
            self._pass_signals()
        if 0 in wants and 0 in ready and self._read_input():
            return 0
        for output in self.outputs.values():
            if output.size and output.fd in ready and not output.write():
                return 128 + signal.SIGPIPE
        return self._exchange() if self.sock.fileno() in ready else None

    def _read_input(self):
        """True: the user has left."""
        try:
            data = os.read(0, min(PIECE, IN_WINDOW - self.untaken))
        except OSError:
            data = b""
        left = self.keys and DETACH in data
        if left:
            data = data[:data.index(DETACH)]
        if data:
            self.sending += frame(STDIN, data)
            self.untaken += len(data)
        elif not left:
            self._input_ends()
        return left

    def _exchange(self):
        """With the machine, both ways, without waiting."""
        try:
            if self.sending:
                del self.sending[:self.sock.send(self.sending)]
            data = self.sock.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.words = "isthmus: the connection to the machine broke"
            return BROKEN
        self.got += data
        return self._frames()

    def _frames(self):
        """Takes whole frames, and of output what there is."""
        while len(self.got) >= HEADER.size and self.status is None:
            kind, size = HEADER.unpack_from(self.got)
            end = HEADER.size + size
            if kind in self.outputs and size and \
                    HEADER.size < len(self.got) < end:
                # A part of it; the rest gets a header of its own.
                part = self.got[HEADER.size:]
                self.outputs[kind].put(bytes(part))
                self.got[:] = HEADER.pack(kind, size - len(part))
                return None
            if len(self.got) < end:
                return None
            self._frame(kind, bytes(self.got[HEADER.size:end]))
            del self.got[:end]
        return None

    def _frame(self, kind, data):
        if kind in self.outputs:
            if data:
                self.outputs[kind].put(data)
        elif kind == EXIT and len(data) == 4:
            self.status, = struct.unpack("<I", data)
        elif kind == TAKEN and len(data) == 4:
            self.untaken = max(0, self.untaken
                               - struct.unpack("<I", data)[0])
        elif kind == ERROR:
            self.words = "isthmus: " + CLEAN.sub(
                "?", data.decode("utf-8", "replace"))
            self.status = BROKEN
        elif kind != FLUSH:
            raise Failure("the machine sent something that is no frame",
                          BROKEN)


def os_read(fd):
    try:
        return os.read(fd, 512)
    except BlockingIOError:
        return b""


def run(args, parser):
    """Returns the exit status."""
    if args.command == "exec":
        split_name(args, parser)
        if not " ".join(args.run):
            raise Failure("exec: there is no COMMAND (see --help)", 2)
    machine, about = control.find(args.name if args.machine is None
                                  else args.machine)
    tty = args.command == "console" or args.tty
    first = request(args, about)
    sock = connect(machine, about, args.linux)
    keys = tty and sys.stdin is not None and sys.stdin.isatty()
    session = Session(sock, first, keys)
    session.watch_signals(tty)
    try:
        with Terminal(keys):
            return session.run()
    finally:
        sock.close()
        if session.words:
            say(session.words)
