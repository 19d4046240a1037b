# SPDX-License-Identifier: MIT
"""`isthmus decode`: reads a log and says after each line what its numbers
mean, in the manuals' words. A line is looked at for pairs of a name and a
value ("EXIT_REASON 0x80000021", "exitcode 0x400"), for the sentences that
the hypervisor and host-bridge print at a crash, for exit-trace lines, and
for addresses of the hypervisor's image."""

import os
import re
import shutil
import subprocess

from isthmus_lib import decode_svm as svm
from isthmus_lib import decode_vmx as vmx
from isthmus_lib import decode_x86 as x86
from isthmus_lib.common import BUILD

PAIR = re.compile(r"\b([A-Za-z][A-Za-z0-9_]*)(?:[ =]|: | is )"
                  r"(0x[0-9a-fA-F]+|\d+)\b")
STOPPED = re.compile(r"partition (\S+) stopped: reason (\d+) detail "
                     r"(0x[0-9a-f]+) at RIP (0x[0-9a-f]+)")
TRAP = re.compile(r"PANIC in the hypervisor: exception (\d+) error "
                  r"(?:0x)?([0-9a-f]+) at (?:0x)?([0-9a-f]+), CR2 "
                  r"(?:0x)?([0-9a-f]+)")
BRIDGE_CRASH = re.compile(r"host-bridge crashed: .*\(vector (\d+), error "
                          r"([0-9a-f]+)\) at ([0-9a-f]+), address ([0-9a-f]+)")
BRIDGE_TRACE = re.compile(r"calls \(addr2line [^)]*\):((?: [0-9a-f]+)+)")
TRACE = re.compile(r"^T[0-9a-f]+\.[0-9a-f]+ ([a-z-]+) (.*)$")
TRACE_REG = re.compile(r"\breg=([0-9a-f]+)")
TRACE_GPA = re.compile(r"\bgpa=([0-9a-f]+)")
TRACE_EXC = re.compile(r"\b(?:exception|vector)=([0-9a-f]+)")
HV_ADDRESS = re.compile(r"\b(?:0x)?(ffffffff80[0-9a-f]{6})\b")

# hypervisor/include/abi/hypercall.h, enum hc_reason; what `detail` is.
REASONS = {
    1: ("TRIPLE_FAULT: the partition's processor shut down", None),
    2: ("GPM_FAULT: it touched memory it does not have", "gpa"),
    3: ("ENTRY_FAILED: the processor refused its state", "exit"),
    4: ("UNKNOWN_EXIT: an exit nobody answers", "exit"),
    5: ("NO_MEMORY: its cap or the page pool is exhausted", "gpa"),
    6: ("HOST_REQUEST: the host partition stopped it", None),
    7: ("BAD_INSTRUCTION: a device access by an instruction that is not "
        "decoded", "gpa"),
    8: ("MACHINE_CHECK: the processor or the memory failed; detail is "
        "MCi_STATUS", None),
}

REGISTERS = {"CR0": x86.CR0, "CR4": x86.CR4, "EFER": x86.EFER,
             "IA32_EFER": x86.EFER, "RFLAGS": x86.RFLAGS, "DR6": x86.DR6}


class Symbols:
    """Addresses to function, file and line of the images in build/, as far
    as they are there."""

    def __init__(self, folder=BUILD):
        self.images = {
            "hypervisor": os.path.join(folder, "hypervisor",
                                       "hypervisor.elf"),
            "host-bridge": os.path.join(folder, "host-bridge",
                                        "host-bridge.elf"),
        }

    def name(self, image, address):
        """"function at file:line", or None."""
        path = self.images[image]
        if not os.path.exists(path) or not shutil.which("addr2line"):
            return None
        said = subprocess.run(
            ["addr2line", "-f", "-s", "-e", path, hex(address)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        function, _, place = said.stdout.decode().strip().partition("\n")
        if not place or function == "??":
            return None
        return f"{function} at {place.split(' ')[0]}"


class Decoder:
    """Keeps what the lines before said: a qualification means nothing
    without its reason."""

    def __init__(self, symbols=None):
        self.symbols = symbols or Symbols()
        self.reason = None          # last VMCS EXIT_REASON
        self.exitcode = None        # last VMCB exitcode

    def _pair(self, name, value):
        """The meaning of one named value, or None."""
        plain = name.upper()
        if plain.startswith("GUEST_") and plain[6:] in REGISTERS:
            plain = plain[6:]
        if plain in REGISTERS:
            return x86.bits(value, REGISTERS[plain])
        if plain == "EXIT_REASON":
            self.reason = value
        if plain == "EXITCODE":
            self.exitcode = value
        if plain == "EXIT_QUALIFICATION":
            return vmx.qualification(value, self.reason)
        if plain == "GUEST_PHYSICAL_ADDRESS" and \
                (self.reason or 0) & 0xffff not in (48, 49):
            return None             # left from an earlier exit
        if plain == "EXITINFO1":
            return svm.info1(value, self.exitcode)
        if plain == "EXITINFO2":
            return svm.info2(value, self.exitcode)
        known = vmx.FIELDS.get(plain) or svm.FIELDS.get(plain)
        return known(value) if known else None

    def _stopped(self, found):
        reason = int(found[2])
        text, kind = REASONS.get(reason, (f"reason {reason} (unknown)", None))
        yield f"reason {reason}: {text}"
        detail = int(found[3], 16)
        if kind == "gpa":
            yield f"detail: guest-physical address, {x86.place(detail)}"
        elif kind == "exit":
            yield f"detail: on VT-x {vmx.reason(detail)}; on AMD-V " \
                f"{svm.code(detail)}"

    def _where(self, image, address):
        name = self.symbols.name(image, address)
        return f"{address:x}: {name}" if name else None

    def _trap(self, vector, error, cr2):
        yield x86.exception(vector)
        if vector == 14:
            yield f"error {error:#x}: {x86.page_fault(error)}, at {cr2:#x}"
        elif error:
            yield f"error {error:#x}: selector index {error >> 3}" + (
                ", in the IDT" if error & 2 else "")

    @staticmethod
    def _trace(found):
        if reg := TRACE_REG.search(found[2]):
            number = int(reg[1], 16)
            if found[1].startswith("msr"):
                yield f"reg: {x86.MSRS.get(number, 'an MSR not named here')}"
        if gpa := TRACE_GPA.search(found[2]):
            yield f"gpa: {x86.place(int(gpa[1], 16))}"
        for number in TRACE_EXC.findall(found[2]):
            yield x86.exception(int(number, 16))

    def _sentences(self, line):
        """Lines of a fixed form."""
        if found := STOPPED.search(line):
            yield from self._stopped(found)
        if found := TRAP.search(line):
            yield from self._trap(int(found[1]), int(found[2], 16),
                                  int(found[4], 16))
        if found := BRIDGE_CRASH.search(line):
            yield from self._trap(int(found[1]), int(found[2], 16),
                                  int(found[4], 16))
            yield self._where("host-bridge", int(found[3], 16))
        if found := BRIDGE_TRACE.search(line):
            for word in found[1].split():
                yield self._where("host-bridge", int(word, 16))
        if found := TRACE.match(line):
            yield from self._trace(found)

    def explain(self, line):
        """What one line means: a list of texts."""
        texts = [t for t in self._sentences(line) if t]
        for name, value in PAIR.findall(line):
            meaning = self._pair(name, int(value, 0))
            if meaning:
                texts.append(f"{name}: {meaning}")
        for address in dict.fromkeys(HV_ADDRESS.findall(line)):
            where = self._where("hypervisor", int(address, 16))
            if where:
                texts.append(where)
        return texts


def decode(lines, out, symbols=None):
    """Copies lines to out, each followed by its meaning."""
    decoder = Decoder(symbols)
    for line in lines:
        line = line.rstrip("\r\n")
        out.write(line + "\n")
        for text in decoder.explain(line):
            out.write(f"      = {text}\n")
