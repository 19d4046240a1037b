# SPDX-License-Identifier: MIT
"""The one defect of QEMU's emulation that nested-amd needs out of its way.

When an AMD-V guest with virtual interrupts writes CR8, the emulation raises
its virtual interrupt (target/i386/tcg, as of 10.0) without holding QEMU's
"big lock", and tcg_handle_interrupt() asserts that it is held. OVMF's first
timer interrupts at level 2 end the emulator so. With one thread that runs
the processor nothing is at stake, so in a private copy the question is
answered with yes.
"""

import re
import struct

from isthmus_lib.common import run

ASSERTING, ASKED = "tcg_handle_interrupt", "bql_locked"
REACH = 64                      # bytes in which the question comes
CALL = 0xe8                     # CALL rel32, five bytes
YES = b"\xb0\x01\x90\x90\x90"   # MOV AL,1; NOP; NOP; NOP


def _symbols(path):
    """{name: address} of a program's dynamic symbols."""
    return {name: int(value, 16) for value, name in re.findall(
        r"^([0-9a-f]+) \w (\w+)", run(["nm", "-D", path]), re.M)}


def _file_offset(image, address):
    """Where an address of an ELF program lies in its file."""
    start, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for at in range(start, start + size * count, size):
        kind, _, offset, virtual, _, length = \
            struct.unpack_from("<IIQQQQ", image, at)
        if kind == 1 and virtual <= address < virtual + length:
            return offset + address - virtual
    return None


def answer_yes(path):
    """Changes the program at `path`. False: it is not the code expected
    here, and stays as it is."""
    symbols = _symbols(path)
    if ASSERTING not in symbols or ASKED not in symbols:
        return False
    with open(path, "r+b") as f:
        image = f.read()
        begin = _file_offset(image, symbols[ASSERTING])
        for at in range(begin, begin + REACH):
            target = symbols[ASSERTING] + at - begin + len(YES) \
                + struct.unpack_from("<i", image, at + 1)[0]
            if image[at] == CALL and target == symbols[ASKED]:
                f.seek(at)
                f.write(YES)
                return True
    return False
