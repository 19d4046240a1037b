# SPDX-License-Identifier: MIT
"""Machines that are reset and start again, with what they say in a file: for the
black box, docs/black-box.md. `isthmus boot` ends with the first reset."""

import os
import re
import subprocess
import time

from isthmus_lib import bochs, machine, qemu
from qmp import Qmp

LIMITS = {"qemu-tcg": 200}  # CPU seconds of one machine
OTHERS = 600
VECTOR = 16             # bytes, where the processor begins
JUMP = 0xe9             # near, with 16 bits, in its last bytes but one
BOCHS_CPUS = {"bochs": "corei7_haswell_4770", "bochs-amd": "ryzen"}
MEMORY = 512            # MiB


def resetting_firmware():
    """OVMF for Bochs 2.7, whose reset of the PIIX4 forgets one register,
    PMREGMISC: its bit says that the ports of the ACPI timer are set up, which
    they are no more, and OVMF waits for a timer that is not there. It is
    cleared before the firmware's first instruction, with what a processor has in
    real mode after a reset: EAX 0. [PIIX4 "PMREGMISC"; SDM3 "First Instruction
    Executed"]"""
    clear = bytes.fromhex("66b8800b0080"    # mov eax, bus 0, 1.3, register 80
                          "baf80c" "66ef"   # out to 0xcf8
                          "bafc0c" "30c0" "ee"  # 0 to 0xcfc
                          "6631c0")         # xor eax, eax
    with open(bochs.FIRMWARE, "rb") as f:
        data = bytearray(f.read())
    last = len(data) - 0x10000              # the first CS
    free = max(re.finditer(rb"\xff{64,}", data[last:-VECTOR]),
               key=lambda m: len(m[0]), default=None)
    if free is None or data[-4] != JUMP:
        raise ValueError("another firmware than is known: "
                         f"{data[-VECTOR:].hex()}")
    at = free.end() - 48
    then = 0xffff + int.from_bytes(data[-3:-1], "little")

    def distance(to, end):
        return ((to - end) & 0xffff).to_bytes(2, "little")

    code = clear + bytes([JUMP]) + distance(then, at + len(clear) + 3)
    data[last + at:last + at + len(code)] = code
    data[-3:-1] = distance(at, 0xffff)
    return data


class Box:
    """A machine that may be reset, with its serial line in a file; `options`
    are QEMU's."""

    def __init__(self, t, disk, *options, smp=1):
        self.t = t
        t.runs += 1
        self.serial = t.path(f"box-{t.runs}.log")
        self.monitor = t.path("qmp")
        self.disk = disk
        self.limit = LIMITS.get(t.platform, OTHERS)
        self.began = time.monotonic()
        make = self._qemu if t.platform in LIMITS else self._bochs
        # pylint: disable=subprocess-popen-preexec-fn,consider-using-with
        self.process = subprocess.Popen(
            make(smp, options), preexec_fn=machine.die_with_parent,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        # Bochs' debugger stops at each triple fault
        self.process.stdin.write(b"c\n" * 10)
        self.process.stdin.flush()

    def _qemu(self, smp, options):
        return [qemu.QEMU, "-M", "q35", "-m", str(MEMORY), "-smp", str(smp),
                "-display", "none", "-nodefaults", "-vga", "std", "-drive",
                f"file={self.disk},format=raw,if=ide", "-bios", qemu.FIRMWARE,
                "-serial", f"file:{self.serial}", "-accel", "tcg", "-cpu",
                qemu.TCG_CPU, "-global", "ICH9-LPC.noreboot=false",
                "-qmp", f"unix:{self.monitor},server=on,wait=off", *options]

    def _bochs(self, smp, options):
        self.t.check(not options, f"Bochs has none of {options}")
        firmware = self.t.path("firmware.fd")
        with open(firmware, "wb") as f:
            f.write(resetting_firmware())
        return bochs.start(self.t.folder, self.disk,
                           BOCHS_CPUS[self.t.platform], smp, MEMORY,
                           [f"mode=file, dev={self.serial}"],
                           firmware=firmware)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        if os.path.exists(self.disk + ".lock"):     # Bochs' own
            os.unlink(self.disk + ".lock")

    def said(self):
        try:
            with open(self.serial, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait(self, pattern):
        """Until the line has it; what it was."""
        while not (found := re.search(pattern, self.said())):
            self.t.check(
                self.process.poll() is None and self.used() < self.limit,
                f"expected '{pattern}':\n{self.said()[-2000:]}")
            time.sleep(0.1)
        return found

    def used(self):
        """CPU seconds; half of those that pass, if it idles, but for those in
        which there was no processor for it."""
        with open(f"/proc/{self.process.pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
        ran = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        waited = machine.busy_seconds(self.process.pid) - ran
        return max(ran, (time.monotonic() - self.began - waited) / 2)

    def ask(self, command, **arguments):
        """QEMU's monitor."""
        monitor = Qmp(self.monitor)
        monitor.run(command, **arguments)
        monitor.close()

    def reset(self):
        self.ask("system_reset")
