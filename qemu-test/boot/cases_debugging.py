# SPDX-License-Identifier: MIT
"""Debugging as docs/debugging.md describes it."""

import os
import subprocess
import tempfile
import time

from runner import QEMU, ROOT, case

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
