# SPDX-License-Identifier: MIT
"""Kernels of others as partitions: ELF files, by multiboot and by PVH."""

import os
import re

from runner import BOCHS, ROOT, case

MANIFEST = """
/include/ "{default}"
/ {
	partitions {
		linux {
			memory-mib = <64>;
			memory-min-mib = <48>;
			bootargs = "kernel one  two";
		};
	};
};
"""
MODULE = b"a module\n" * 1000
# EAX; CR0 with ET; CR4; CS; DS; EFER. Of EFLAGS, behind them, IF, TF, DF and
# VM are 0.
BEGUN = {"multiboot": "2badb002 11 0 8 18 0", "pvh": "0 11 0 8 18 0"}
FLAGS_OFF = 1 << 8 | 1 << 9 | 1 << 10 | 1 << 17
# Flags: memory, command line, modules, map, loader. The first eight bytes where
# the ACPI tables are to be.
TOLD = {"multiboot": "multiboot 24d 27c fc00 isthmus",
        "pvh": "pvh 336ec578 1 2052545020445352"}


def _lines(t, kind, manifest, module):
    program = f"build/guest/kernel32-{kind}.elf"
    t.need(program)
    result = t.boot("--manifest", manifest, "--kernel", program, "--initrd",
                    module, "--until", "KERNEL32 end")
    t.check(result.status == 0, f"{kind}: {result.status}: {result.err}")
    return [line.strip() for line in re.findall(
        r"KERNEL32 ([^\r\n]*)", result.linux)]


@case("kernels", "ELF kernels are started by multiboot and by PVH, and told "
      "what there is", later=BOCHS)
def kernels(t):
    manifest, module = t.path("kernels.dts"), t.path("module")
    with open(manifest, "w", encoding="ascii") as f:
        f.write(MANIFEST.replace("{default}", os.path.join(
            ROOT, "boot", "isthmus.dts")))
    with open(module, "wb") as f:
        f.write(MODULE)
    for kind, told in TOLD.items():
        lines = _lines(t, kind, manifest, module)
        begun, _, flags = lines[0].removeprefix("start ").rpartition(" ")
        t.check(begun == BEGUN[kind], f"{kind}: {lines[0]}")
        t.check(not int(flags, 16) & FLAGS_OFF, f"{kind}: EFLAGS {flags}")
        t.check(lines[1:] == [
            "bss is zero, far away", told, "command kernel one  two",
            "memory 0 9f000 1", "memory a0000 100000 2",
            "memory 100000 4000000 1",
            f"module {len(MODULE):x} {sum(MODULE):x}", "end"],
            f"{kind}: {lines}")
    # One that is broken: told why, and nothing is started.
    broken = t.path("broken.elf")
    with open("build/guest/kernel32-pvh.elf", "rb") as f:
        data = f.read()
    with open(broken, "wb") as f:
        f.write(data.replace(b"Xen\0", b"Xem\0"))
    result = t.boot("--kernel", broken, "--until", "nor a PVH entry")
    t.check("FAILED stage 64" in result.serial, f"{result.serial[-300:]!r}")
