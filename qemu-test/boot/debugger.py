# SPDX-License-Identifier: MIT
"""Bochs with its debugger in our hands: stops the machine and reads its
registers and physical memory from outside, whatever the software in it
thinks."""

import os
import re
import socket
import struct
import subprocess
import threading

from isthmus_lib import platforms
from isthmus_lib.machine import die_with_parent

PROMPT = re.compile(rb"<bochs:\d+> ")
PRESENT, WRITE, LARGE, NO_EXECUTE = 1, 2, 1 << 7, 1 << 63
ADDRESS = 0x000ffffffffff000


class Debugger:
    """A machine that stands still until it is told to run."""

    def __init__(self, folder, disk, settings):
        platform, _ = platforms.choose("bochs")
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        command = platform.command(
            folder, disk, settings, [s.getsockname()[1] for s in listeners])
        with open(os.path.join(folder, "rc"), "w", encoding="ascii") as f:
            f.write("\n")
        # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        for listener in listeners:
            listener.settimeout(30)
            line, _ = listener.accept()
            listener.close()
            threading.Thread(target=self._drain, args=(line,),
                             daemon=True).start()
        self.lock = disk + ".lock"
        self.text = b""
        self._answer()

    @staticmethod
    def _drain(line):
        try:
            while line.recv(65536):
                pass
        except OSError:
            pass                        # the machine is gone

    def _answer(self):
        while not (found := PROMPT.search(self.text)):
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise EOFError("the machine ended: "
                               + self.text[-500:].decode(errors="replace"))
            self.text += data
        answer, self.text = self.text[:found.start()], self.text[found.end():]
        return answer.decode(errors="replace")

    def ask(self, command):
        """One debugger command; returns what it printed."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def run_to_exit(self):
        """Runs to the next VM exit: the hypervisor's first instruction."""
        self.ask("vmexitbp")
        self.ask("c")
        self.ask("vmexitbp")

    def control_registers(self):
        """{"CR0": value, ...} of the processor that stopped."""
        return {name: int(value, 16) for name, value in re.findall(
            r"^(CR\d|EFER)=0x([0-9a-f]+)", self.ask("creg"), re.M)}

    def table(self, address):
        """The 512 entries of a page table."""
        text = self.ask(f"xp /512gx 0x{address:x}")
        words = re.findall(r"\t0x([0-9a-f]+)", text)
        return [int(w, 16) for w in words]

    def close(self):
        self.process.kill()
        self.process.wait()
        if os.path.exists(self.lock):   # it had no time to do so itself
            os.unlink(self.lock)


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
