# SPDX-License-Identifier: MIT
"""Debugging as docs/debugging.md describes it."""

import json
import os
import struct
import subprocess
import tempfile
import time

from debugger import ADDRESS, LARGE, PRESENT
from isthmus_lib.snapshot import HEADER, PAGE
from runner import QEMU, ROOT, TOOL, case

SESSION = """\
connect {stub}
to-hypervisor
to-partition
partitions
hbreak partition_start
continue
delete
thbreak svm_enter
continue
guest-regs 0 0
exits 0 0
log-tail 200
with-host-bridge
thbreak loop_step
continue
detach
"""
# What must be seen, in this order.
SEEN = ("hv_start (", "at the hypervisor's entry", "sched_loop (",
        "0 host: state 1", "1 linux: state 0", "partition_start (",
        "svm_enter ()", "rax = 0x", " hypercall\n", "isthmus: stage",
        "loop_step (")


@case("gdb", "isthmus boot --gdb, its script, symbols of both programs",
      only=QEMU, why="QEMU has the stub")
def gdb(t):
    with tempfile.TemporaryDirectory() as folder:   # a socket's path is short
        _session(t, os.path.join(folder, "stub"))


def _session(t, stub):
    script = t.path("session")
    with open(script, "w", encoding="ascii") as f:
        f.write(SESSION.format(stub=stub))
    console = t.console("--gdb", "unix:" + stub)
    console.expect("the machine waits for gdb")
    while not os.path.exists(stub):     # QEMU has still to make it
        t.check(console.process.poll() is None, "QEMU did not start")
        time.sleep(0.1)
    said = subprocess.run(
        ["gdb", "-batch", "-nx", "-x", "tools/gdb/isthmus.gdb", "-x", script],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=300, check=False).stdout.decode()
    with open(t.path("gdb.txt"), "w", encoding="utf-8") as f:
        f.write(said)
    at = 0
    for words in SEEN:
        at = said.find(words, at)
        t.check(at >= 0, f"gdb did not show '{words}':\n{said[-3000:]}")
    console.ready()                 # and the machine goes on
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def _at(dump, root, address):
    """16 bytes of the memory in a snapshot, by its page tables."""
    table, size = root, 1 << 48
    while True:
        size >>= 9
        index = address // size % 512
        entry = struct.unpack_from(
            "<Q", dump, HEADER + (table & ADDRESS) + 8 * index)[0]
        if not entry & PRESENT:
            return b""
        if size == PAGE or entry & LARGE:
            where = HEADER + (entry & ADDRESS & -size) + address % size
            return dump[where:where + 16]
        table = entry


@case("snapshot", "isthmus snapshot: memory, registers and VMCS at a VM exit",
      only=("bochs",), why="it is Bochs that saves them", later=("bochs",))
def snapshot(t):
    out = t.path("snapshot")
    subprocess.run([TOOL, "snapshot", out], cwd=ROOT, check=True, timeout=900,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "regs.json"), encoding="ascii") as f:
        regs = json.load(f)
    with open(os.path.join(out, "vmcs.json"), encoding="ascii") as f:
        vmcs = json.load(f)
    with open(os.path.join(out, "mem.dmp"), "rb") as f:
        dump = f.read()
    host = vmcs["VMCS_CACHE"]["HOST_STATE"]
    t.check(vmcs["in_vmx"] and not vmcs["in_vmx_guest"], f"{vmcs}")
    rip, cr3 = int(regs["rip"], 16), int(regs["cr3"], 16)
    t.check((rip, cr3) == (host["RIP"], host["CR3"]), f"{regs}\n{host}")
    # What is there is what the hypervisor's file has there.
    code = subprocess.run(
        ["objdump", "-s", f"--start-address={rip:#x}",
         f"--stop-address={rip + 16:#x}", "build/hypervisor/hypervisor.elf"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    said = _at(dump, cr3, rip).hex()
    t.check(said and said in "".join(code.split()), f"{said}: {code}")
    vmcs_page = dump[HEADER + vmcs["vmcsptr"]:][:PAGE]
    with open(os.path.join(out, "vmcs.bin"), "rb") as f:
        t.check(f.read() == vmcs_page and any(vmcs_page), "not the VMCS")
