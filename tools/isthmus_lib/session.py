# SPDX-License-Identifier: MIT
"""One run of `isthmus boot`: from power-on to an exit status."""

import os
import sys
import termios
import time
import tty

from isthmus_lib.common import Failure, say
from isthmus_lib.machine import Console, busy_seconds

# Exit statuses of the tool itself; an exec run has its command's status.
BOOT_FAILED = 125
TIMED_OUT = 124
INTERRUPTED = 130

FIRST_WORDS = b"isthmus: "      # before them, the firmware speaks
PROMPT = b"isthmus> "           # the host console waits for a line
ENTER_STAGE = 18                # the loader leaves: the firmware is gone
ESCAPE = 0x01                   # Ctrl-A; then x ends, Ctrl-A is itself
GRACE = 3                       # CPU seconds for the last words of a machine
SILENCE = 3                     # seconds without a word after which none comes
# Allowed for each second of CPU time: elapsed time; and of that, what an emulator
# neither ran nor waited for a processor, as does one in which all is hung.
WALL_FACTOR = 8
IDLE_FACTOR = 2


class Watcher:
    """Looks for a text in several streams of bytes."""

    def __init__(self, text):
        self.text = os.fsencode(text) if text else None
        self.tails = {}
        self.found = False

    def feed(self, stream, data):
        if self.text is None or self.found:
            return
        seen = self.tails.get(stream, b"") + data
        self.found = self.text in seen
        self.tails[stream] = seen[-len(self.text):]


class Terminal:
    """This terminal in raw mode for the time of a `with`."""

    def __init__(self, wanted):
        self.fd = sys.stdin.fileno() if wanted and sys.stdin.isatty() else None
        self.saved = None

    def __enter__(self):
        if self.fd is not None:
            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
        return self

    def __exit__(self, *_):
        if self.saved is not None:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


class Session:
    """Drives a started machine until something ends the run."""

    def __init__(self, machine, options, log=None, linux=None, mark=None):
        self.machine = machine
        self.options = options
        self.files = (log, linux)
        self.mark = mark
        self.console = Console(mark)
        self.until = Watcher(options.until)
        self.prompt = Watcher(PROMPT.decode())
        self.greeting = b""         # the firmware's words, held back
        self.greeted = False
        self.typed = b""            # input held until there is a prompt
        self.escaped = False
        self.quit = False
        self.heard = time.monotonic()   # when a serial line spoke last
        self.last_words = None      # CPU time at which a dying machine stops
        self.started = time.monotonic()
        self.interactive = options.exec is None

    def run(self):
        """Returns the exit status."""
        fast_input = self.interactive and self._watch_stdin()
        with Terminal(fast_input):
            while (status := self._verdict()) is None:
                for source, data in self.machine.poll(0.25):
                    self._take(source, data)
        return status

    def _watch_stdin(self):
        try:
            self.machine.watch(sys.stdin)
        except (PermissionError, ValueError):   # a plain file is no stream
            self.typed = sys.stdin.buffer.read()
            return False
        return True

    def _take(self, source, data):
        if source is sys.stdin:
            self._keys(os.read(sys.stdin.fileno(), 4096))
            return
        self.heard = time.monotonic()
        if source == 1:
            self._linux(data)
            return
        self._keep(0, data)
        for kind, piece in self.console.feed(data):
            self.until.feed(kind, piece)
            if kind == "text":
                self.prompt.feed("text", piece)
                if self.interactive:
                    self._show(piece)
            else:
                out = sys.stdout if kind == "o" else sys.stderr
                out.buffer.write(piece)
                out.buffer.flush()
        self._type()

    def _keep(self, source, data):
        if self.files[source]:
            self.files[source].write(data)
            self.files[source].flush()

    def _linux(self, data):
        """COM2. The firmware writes there too, as long as there is one."""
        if self.console.code >= ENTER_STAGE:
            self._keep(1, data)
            self.until.feed("linux", data)

    def _show(self, text):
        """Console text goes to stdout, once it is ours."""
        if not self.greeted:
            self.greeting += text
            at = self.greeting.find(FIRST_WORDS)
            if at < 0:
                return
            self.greeted, text = True, self.greeting[at:]
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()

    def _keys(self, data):
        """Input from the user: Ctrl-A x ends the machine."""
        if not data:
            self.machine.unwatch(sys.stdin)
            return
        for key in data:
            if self.escaped:
                self.escaped = False
                self.quit = self.quit or key in b"xX"
                if key == ESCAPE:
                    self.typed += bytes([key])
            elif key == ESCAPE and sys.stdin.isatty():
                self.escaped = True
            else:
                self.typed += bytes([key])
        self._type()

    def _type(self):
        # The firmware would eat what is typed before we are there. This
        # prompt is the console's own: others show what somebody asked for.
        if self.typed and self.prompt.found:
            self.console.believed = False
            self.machine.send(self.typed)
            self.typed = b""

    def _verdict(self):
        """The exit status when the run is over, else None."""
        if self.until.found or self.quit:
            return 0
        cpu = self.machine.cpu_seconds()
        ended = not self.machine.running() and not self.machine.open_lines()
        if self.console.status is not None and (
                ended or self._grace_is_over(cpu)):
            return self.console.status
        if self.options.timeout and self._is_overdue(cpu):
            return TIMED_OUT
        if self.interactive and not self.options.until \
                and self.machine.was_reset():
            self._start_again()
            return None
        if self._fatal() and (ended or self._grace_is_over(cpu)):
            self._explain(self._fatal())
            return BOOT_FAILED
        return self._ended() if ended else None

    def _is_overdue(self, cpu):
        """Whether a limit is reached; then this was said. On a busy computer
        the emulator waits, and so do we: neither is idleness."""
        limit = self.options.timeout
        elapsed = time.monotonic() - self.started
        if cpu <= limit and elapsed <= IDLE_FACTOR * limit:
            return False
        busy, ours = self.machine.busy_seconds(), busy_seconds(os.getpid())
        idle = 0 if busy is None else elapsed - busy - ours
        if cpu <= limit and elapsed <= WALL_FACTOR * limit and \
                idle <= IDLE_FACTOR * limit:
            return False
        self._explain(f"not finished after {cpu:.0f} s of CPU time "
                      f"({elapsed:.0f} s elapsed, {max(idle, 0):.0f} s idle)")
        return True

    def _start_again(self):
        self.machine.restart()
        self.console = Console(self.mark)
        self.greeting, self.greeted = b"", False
        self.prompt = Watcher(PROMPT.decode())

    def _fatal(self):
        """What ends the run, if the console told of it. Somebody at a
        console sees for themselves, and may start Linux again."""
        if self.console.panic and not sys.stdin.isatty():
            return self.console.panic
        if self.machine.was_reset():
            return "the machine was reset"
        if self.console.failure and (not self.interactive
                                     or self.options.until):
            code, name, sentence = self.console.failure
            return f"boot failed in stage {code} {name}: {sentence}"
        return None

    def _grace_is_over(self, cpu):
        """A machine that is done may still say more: it gets some CPU time,
        but one that waits idly, as for a key, has said all."""
        if self.last_words is None:
            self.last_words = cpu + GRACE
        return cpu > self.last_words or \
            time.monotonic() > self.heard + SILENCE

    def _ended(self):
        """The verdict on a machine that ended by itself."""
        if self.options.exec is not None:
            self._explain("the machine ended before the command did")
            return BOOT_FAILED
        if self.options.until:
            self._explain(f"the machine ended without '{self.options.until}'")
            return BOOT_FAILED
        if self.machine.settings.no_serial:
            return 0                # what it has said, nobody here knows
        if not self.greeted:
            self._explain("the machine ended before Isthmus began")
        return 0 if self.greeted and not self.console.failure \
            and not self.console.panic else BOOT_FAILED

    def _explain(self, what):
        """Says what is known, and last of all what went wrong."""
        lines = []
        if not self.interactive or not self.greeted:
            text = [l for l in self.console.last_lines() if l.strip()]
            lines += ["isthmus: the end of its serial line:"]
            lines += ["  " + l for l in text[-15:]]
        log = self.machine.emulator_log()
        if not self.machine.running() and log:
            lines += ["isthmus: the emulator says:"]
            lines += ["  " + l for l in log.splitlines()[-8:]]
        stage = self.console.stage or "firmware (Isthmus has not begun)"
        lines += [f"isthmus: last stage: {stage}", f"isthmus: {what}"]
        end = "\r\n" if sys.stdin.isatty() else "\n"
        say(end.join(lines))


def open_output(path):
    """A file for --log or --linux-console, or None."""
    if path is None:
        return None
    try:
        return open(path, "wb")     # pylint: disable=consider-using-with
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
