# SPDX-License-Identifier: MIT
"""An emulator with its debugger in our hands: stops the machine in the
hypervisor and reads its registers and physical memory from outside, whatever
the software in it thinks. Bochs by its own debugger, QEMU by its monitor and
its gdb stub."""

import os
import re
import select
import socket
import struct
import subprocess
import threading
import time

from isthmus_lib import platforms
from isthmus_lib.common import ROOT
from isthmus_lib.machine import busy_seconds, die_with_parent

HYPERVISOR = os.path.join(ROOT, "build", "hypervisor", "hypervisor.elf")
SILENCE = 600       # seconds that a machine may take to where it is to stop
PRESENT, WRITE, LARGE, NO_EXECUTE = 1, 2, 1 << 7, 1 << 63
ADDRESS = 0x000ffffffffff000
RESET = 0xfffffff0  # a processor's first instruction
CONTINUE = b"$c#63"  # to QEMU's stub
PANIC = b"PANIC in the hypervisor"


class Lost(Exception):
    """The machine does not come to where it is to stop."""


class Debugger:
    """A machine that stands still until it is told to run."""

    def __init__(self, platform, folder, disk, more=(), settings=None):
        """Starts it; `more` are words for the emulator's command line."""
        chosen, _ = platforms.choose(platform)
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        command = chosen.command(folder, disk, settings or
                                 platforms.Settings(), [s.getsockname()[1]
                                                        for s in listeners])
        with open(os.path.join(folder, "rc"), "w", encoding="ascii") as f:
            f.write("\n")               # Bochs: not "continue"
        # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            command + list(more), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        self.serial = bytearray()       # what the first line has said
        self.typed = None               # the first line itself
        for listener, text in zip(listeners, (self.serial, bytearray())):
            listener.settimeout(30)
            line, _ = listener.accept()
            listener.close()
            self.typed = self.typed or line
            threading.Thread(target=self._collect, args=(line, text),
                             daemon=True).start()
        self.lock = disk + ".lock"

    @staticmethod
    def _collect(line, text):
        try:
            while data := line.recv(65536):
                text += data
        except OSError:
            pass                        # the machine is gone

    def expect(self, pattern, seconds=SILENCE):
        """Waits until the first line has said it; returns the match."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, bytes(self.serial))):
            if time.monotonic() > end or self.process.poll() is not None:
                raise OSError(f"'{pattern.decode()}' does not come: " +
                              self.serial[-1500:].decode(errors="replace"))
            time.sleep(0.1)
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        if os.path.exists(self.lock):   # it had no time to do so itself
            os.unlink(self.lock)


class Dialogue:
    """Commands and answers over a pair of file descriptors."""

    def __init__(self, source, target, prompt):
        self.source = source
        self.target = target
        self.prompt = re.compile(prompt, re.S)
        self.text = b""

    def answer(self):
        """What comes up to the prompt."""
        while not (found := self.prompt.search(self.text)):
            if not select.select([self.source], [], [], SILENCE)[0]:
                raise OSError(f"the debugger says nothing for {SILENCE} s")
            data = os.read(self.source, 1 << 16)
            if not data:
                raise EOFError("the machine ended: "
                               + self.text[-500:].decode(errors="replace"))
            self.text += data
        answer, self.text = self.text[:found.end()], self.text[found.end():]
        return answer.decode(errors="replace")

    def waits(self, seconds):
        """Whether something comes within that time."""
        return bool(self.text or select.select([self.source], [], [],
                                               seconds)[0])

    def ask(self, command):
        """One command; returns what it printed."""
        os.write(self.target, command)
        return self.answer()


class Bochs(Debugger):
    """Bochs' internal debugger."""

    def __init__(self, folder, disk, platform="bochs"):
        # In 3.0 it is there on request only; 2.7 does not know the request.
        flags = subprocess.run(["bochs", "--help"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, check=False).stdout
        super().__init__(platform, folder, disk,
                         ["-debugger"] if b"-debugger" in flags else ())
        self.shell = Dialogue(self.process.stdout.fileno(),
                              self.process.stdin.fileno(), rb"<bochs:\d+> ")
        self.shell.answer()

    def run_into(self, _symbol):
        """Runs to the next VM exit: the hypervisor's first instruction."""
        for command in (b"vmexitbp\n", b"c\n", b"vmexitbp\n"):
            self.shell.ask(command)

    def control_registers(self):
        """{"CR0": value, ...} of the processor that stopped."""
        return {name: int(value, 16) for name, value in re.findall(
            r"^(CR\d|EFER)=0x([0-9a-f]+)", self.shell.ask(b"creg\n"), re.M)}

    def table(self, address):
        """The 512 entries of a page table."""
        text = self.shell.ask(f"xp /512gx 0x{address:x}\n".encode())
        return [int(w, 16) for w in re.findall(r"\t0x([0-9a-f]+)", text)]


class Qemu(Debugger):
    """QEMU: its gdb stub on standard input and output stops it, its monitor
    shows registers and physical memory."""

    def __init__(self, folder, disk, more=(), settings=None):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(30)
            super().__init__("qemu-tcg", folder, disk, [
                "-S", "-gdb", "stdio", "-monitor",
                f"tcp:127.0.0.1:{listener.getsockname()[1]}", *more], settings)
            self.line, _ = listener.accept()
        self.shell = Dialogue(self.line.fileno(), self.line.fileno(),
                              rb"\(qemu\) ")
        self.shell.answer()
        self.stub = Dialogue(self.process.stdout.fileno(),
                             self.process.stdin.fileno(), rb"\$[^#]*#..")

    def _answered(self, wanted):
        answer = self.stub.answer()
        os.write(self.stub.target, b"+")
        if not answer[answer.index("$") + 1:].startswith(wanted):
            raise OSError(f"QEMU's stub says {answer}, not {wanted}")

    def _told(self, packet):
        """A packet of the remote serial protocol, which it says OK to."""
        body = packet.encode()
        os.write(self.stub.target, b"$%s#%02x" % (body, sum(body) & 0xff))
        self._answered("OK")

    def run_into(self, symbol, program=HYPERVISOR, seconds=SILENCE):
        """Runs until the hypervisor is at its function `symbol`, or another
        program at its own: at that address, whoever is there. Lost: it has
        been reset, it panics or ends, or has not come there in so many seconds
        of CPU time, or twice that of idling."""
        names = subprocess.run(["nm", program], stdout=subprocess.PIPE,
                               check=True).stdout.decode()
        at, = re.findall(rf"^([0-9a-f]+) [tT] {symbol}$", names, re.M)
        places = [at]
        if self.instruction() != RESET:
            places.append(f"{RESET:x}")
        for place in places:
            self._told(f"Z0,{place},1")
        self.go()
        why = self._wait(seconds)
        if not why and self.instruction() == RESET:
            why = "the processor has been reset"
        if why or self.instruction() != int(at, 16):
            raise Lost(f"not in {symbol}: {why}; the first line last said: " +
                       self.serial[-800:].decode(errors="replace"))
        for place in places:
            self._told(f"z0,{place},1")

    def _wait(self, seconds):
        """Until it stops somewhere; returns why it does not."""
        pid, begun = self.process.pid, time.monotonic()
        busy = busy_seconds(pid)
        while not self.stub.waits(0.5):
            used = (busy_seconds(pid) or busy) - busy
            idle = time.monotonic() - begun - used
            if PANIC in self.serial:
                return "a panic"
            if used > seconds or idle > 2 * seconds:
                self.pause()
                return f"it is at {self.instruction():#x} after {used:.0f} s"
        try:
            self._answered("T05")
        except EOFError:
            return "the machine has ended"
        return None

    def instruction(self):
        """Where the first processor stands: a linear address."""
        text = self.shell.ask(b"info registers\n")
        base, = re.findall(r"^CS =[0-9a-f]{4} ([0-9a-f]+)", text, re.M)
        offset, = re.findall(r"\b[RE]IP=([0-9a-f]+)", text)
        return int(base, 16) + int(offset, 16)

    def pause(self):
        """Stops a machine that runs."""
        os.write(self.stub.target, b"\x03")
        self._answered("T02")

    def poke(self, address, data):
        """Writes to physical memory, or to a device's registers."""
        self._told("Qqemu.PhyMemMode:1")
        self._told(f"M{address:x},{len(data):x}:{data.hex()}")
        self._told("Qqemu.PhyMemMode:0")

    def go(self):
        """Runs on."""
        os.write(self.stub.target, CONTINUE)

    def control_registers(self):
        """{"CR0": value, ...} of the first processor."""
        return {name: int(value, 16) for name, value in re.findall(
            r"\b(CR\d|EFER)=([0-9a-f]+)",
            self.shell.ask(b"info registers\n"))}

    def table(self, address):
        """The 512 entries of a page table."""
        text = self.shell.ask(f"xp /512gx 0x{address:x}\n".encode())
        rows = re.findall(r"^[0-9a-f]+:((?: 0x[0-9a-f]+)+)", text, re.M)
        return [int(word, 16) for row in rows for word in row.split()]

    def word(self, address):
        """64 bits of memory, or two registers of a device."""
        text = self.shell.ask(f"xp /2wx 0x{address:x}\n".encode())
        low, high = re.search(r": 0x([0-9a-f]+) 0x([0-9a-f]+)", text).groups()
        return int(high + low, 16)

    def save(self, path, size):
        """That much of its memory, from address 0 on, into a file."""
        self.shell.ask(f"pmemsave 0 {size} \"{path}\"\n".encode())

    def close(self):
        self.line.close()
        super().close()


def leaves(machine, root, level=4, base=0, write=True, execute=True):
    """Every mapping below a page table: (virtual address, size, physical
    address, writable, executable)."""
    for i, entry in enumerate(machine.table(root)):
        if not entry & PRESENT:
            continue
        size = 4096 << 9 * (level - 1)
        address = base + i * size
        if level == 4 and i >= 256:
            address |= 0xffff000000000000
        may_write = write and bool(entry & WRITE)
        may_execute = execute and not entry & NO_EXECUTE
        if level == 1 or (level < 4 and entry & LARGE):
            yield (address, size, entry & ADDRESS & -size, may_write,
                   may_execute)
        else:
            yield from leaves(machine, entry & ADDRESS, level - 1, address,
                              may_write, may_execute)


def image_segments(path):
    """(virtual address, size, flags) of an ELF file's loadable segments."""
    with open(path, "rb") as f:
        data = f.read()
    at, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, flags, _, address, _, _, length, _ = struct.unpack_from(
            "<IIQQQQQQ", data, at + i * size)
        if kind == 1:
            yield address, length, flags
