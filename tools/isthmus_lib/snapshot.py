# SPDX-License-Identifier: MIT
"""`isthmus snapshot`: a machine on Bochs, held at a VM exit, in the form that
snapshot fuzzers load: memory, registers, VMCS. docs/debugging.md explains."""

import json
import os
import re
import struct
import subprocess

from isthmus_lib import bochs, image, scratch
from isthmus_lib.common import ROOT, Failure, run, say
from isthmus_lib.machine import die_with_parent

CPU = "corei7_haswell_4770"
MEMORY = 512                    # MiB; Bochs has all below 4 GiB in one piece
MEMORY_MAX = 3072
TICKS = 1 << 30                 # somewhere in Linux's start
PAGE = 4096
HEADER = 8192                   # of mem.dmp
AMD64, FULL = 0x8664, 1
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "tr", "ldtr")
# {key: where Bochs has it}.
REGISTERS = {
    **{name: (name.upper(),) for name in (
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "rip",
        *(f"r{i}" for i in range(8, 16)), "cr0", "cr2", "cr3", "cr4", "xcr0",
        "dr0", "dr1", "dr2", "dr3", "dr6", "dr7")},
    "rflags": ("EFLAGS",), "efer": ("MSR", "EFER"), "pat": ("MSR", "pat"),
    "apic_base": ("MSR", "apicbase"), "star": ("MSR", "star"),
    "lstar": ("MSR", "lstar"), "cstar": ("MSR", "cstar"),
    "sfmask": ("MSR", "fmask"), "tsc_aux": ("MSR", "tsc_aux"),
    "kernel_gs_base": ("MSR", "kernelgsbase"),
    "sysenter_cs": ("MSR", "sysenter_cs_msr"),
    "sysenter_esp": ("MSR", "sysenter_esp_msr"),
    "sysenter_eip": ("MSR", "sysenter_eip_msr"),
    "fpcw": ("FPU", "cwd"), "fpsw": ("FPU", "swd"), "fptw": ("FPU", "twd"),
    "fpop": ("FPU", "foo"), "mxcsr": ("SSE", "mxcsr"),
}


def add_parser(commands, options):
    """The command; `options` adds what decides what is booted."""
    parser = commands.add_parser(
        "snapshot", help="a machine on Bochs at a VM exit, for snapshot "
        "fuzzers", description="Boots a machine on Bochs, with VT-x, holds it "
        "at the first VM exit after some ticks (instructions), and writes into "
        "OUT: mem.dmp, regs.json, vmcs.bin, vmcs.json.")
    parser.add_argument("out", metavar="OUT", help="a folder that is made")
    parser.add_argument("--ticks", metavar="N", type=int, default=TICKS,
                        help=f"(default {TICKS}: in Linux's start)")
    parser.add_argument("--memory", metavar="MIB", type=int, default=MEMORY,
                        help=f"of the machine (default {MEMORY})")
    parser.add_argument("--state", metavar="DIR", help="start nothing: DIR is "
                        "a state that Bochs has saved before")
    options(parser)


def parse(text):
    """A file of Bochs's state: {name: number, text or what is within}."""
    top = within = {}
    outer = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(" = ")
        if value == "{":
            outer.append(within)
            within[name] = within = {}
        elif name == "}":
            within = outer.pop()
        elif value in ("true", "false"):
            within[name] = int(value == "true")
        else:
            number = re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", value)
            within[name] = int(value, 0) if number else value
    return top


def _segment(cpu, name):
    """One as a VMCS has it: type, S, DPL, P; AVL, L, D/B, G."""
    s = cpu[name.upper()]
    attr = s["type"] | s["segment"] << 4 | s["dpl"] << 5 | s["p"] << 7 | \
        s["avl"] << 12 | s.get("l", 0) << 13 | s["d_b"] << 14 | \
        s["granularity"] << 15
    return {"present": bool(s["valid"] & 1 and s["p"]),
            "selector": hex(s["selector"]), "base": hex(s["base"]),
            "limit": hex(s["limit_scaled"]), "attr": hex(attr)}


def registers(cpu):
    """regs.json of a CPU's state."""
    found = {}
    for key, where in REGISTERS.items():
        value = cpu
        for name in where:
            value = value[name]
        found[key] = hex(value)
    found["tsc"] = hex((cpu["icount"] + cpu["tsc_adjust"]) % (1 << 64))
    found["cr8"] = hex(cpu["local_apic"]["task_priority"] >> 4)
    found["mxcsr_mask"] = "0xffff"
    for name in SEGMENTS:
        found[name] = _segment(cpu, name)
    for name in ("gdtr", "idtr"):
        found[name] = {part: hex(cpu[name.upper()][part])
                       for part in ("base", "limit")}
    # st0 is the one on top
    found["fpst"] = [{part: hex(cpu["FPU"][f"st{i}"][part])
                      for part in ("fraction", "exp")} for i in range(8)]
    return found


def header(cr3, pages):
    """Of mem.dmp: a full dump as Windows writes it, of one piece of memory
    from 0 on. What is behind it is the memory as it is."""
    head = bytearray(b"PAGE".ljust(HEADER, b"\0"))
    head[4:8] = b"DU64"
    struct.pack_into("<Q", head, 0x10, cr3)
    struct.pack_into("<II", head, 0x30, AMD64, 1)
    struct.pack_into("<IIQQQ", head, 0x88, 1, 0, pages, 0, pages)
    struct.pack_into("<I", head, 0xf98, FULL)
    return bytes(head)


def _state(folder, name):
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return parse(f.read())[name]
    except (OSError, KeyError, IndexError) as error:
        raise Failure(f"{path}: there is no state of Bochs's", 2) from error


def convert(state, memory, out):
    """Of a state, with so many MiB, what fuzzers load."""
    cpu = _state(state, "cpu0")
    os.makedirs(out, exist_ok=True)
    pages = memory << 8
    with open(os.path.join(state, "memory.ram"), "rb") as ram, \
            open(os.path.join(out, "mem.dmp"), "wb") as dump:
        dump.write(header(cpu["CR3"], pages))
        # Bochs leaves out what was never touched
        for at in range(0, pages * PAGE, 1 << 20):
            data = ram.read(1 << 20)
            if data.strip(b"\0"):
                dump.seek(HEADER + at)
                dump.write(data)
        dump.truncate(HEADER + pages * PAGE)
        vmcs = cpu["VMX"]["vmcsptr"]
        page = b""
        if vmcs < pages * PAGE:
            ram.seek(vmcs)
            page = ram.read(PAGE)
    with open(os.path.join(out, "vmcs.bin"), "wb") as f:
        f.write(page)
    for name, what in (("regs", registers(cpu)), ("vmcs", cpu["VMX"])):
        with open(os.path.join(out, f"{name}.json"), "w",
                  encoding="ascii") as f:
            json.dump(what, f, indent=1)
            f.write("\n")


def _save(folder, args, options):
    """Boots, and has the state saved; where it is."""
    disk, state = os.path.join(folder, "disk.img"), os.path.join(folder, "state")
    library = os.path.join(folder, "save-state.so")
    os.mkdir(state)
    run(["gcc", "-shared", "-fPIC", "-O2", "-o", library,
         os.path.join(ROOT, "tools", "save-state.c")])
    image.build(disk, options, folder)
    command = bochs.start(folder, disk, CPU, 1, args.memory, [
        f"mode=file, dev={folder}/com{i}" for i in (1, 2)])
    with open(os.path.join(folder, "rc"), "w", encoding="ascii") as f:
        f.write(f"sb {args.ticks}\nc\nvmexitbp\nc\n"
                f'writemem "isthmus-save:{state}" 0 1\nquit\n')
    with open(os.path.join(folder, "emulator.txt"), "wb") as said:
        # pylint: disable=subprocess-popen-preexec-fn
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said,
                       stderr=said, cwd=folder, check=False,
                       env=dict(os.environ, LD_PRELOAD=library),
                       preexec_fn=die_with_parent)
    return state


def command(args, options):
    """`isthmus snapshot`."""
    if not 64 <= args.memory <= MEMORY_MAX or args.ticks < 1:
        raise Failure(f"--memory is 64 to {MEMORY_MAX}, --ticks 1 at least", 2)
    if args.state:
        convert(args.state, args.memory, args.out)
    else:
        if bochs.missing():
            raise Failure(bochs.missing(), 2)
        image.check(options)
        with scratch.large() as folder:
            convert(_save(folder.path, args, options), args.memory, args.out)
    say(f"{args.out}: {args.memory} MiB")
    return 0
