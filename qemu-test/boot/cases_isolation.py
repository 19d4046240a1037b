# SPDX-License-Identifier: MIT
"""The hypervisor keeps itself and the partitions apart."""

import os
import re
import time

import debugger
from runner import BOCHS, NESTED, PROMPT, QEMU, ROOT, case

CR0_WP = 1 << 16
CR4_MCE = 1 << 6
EFER_NXE = 1 << 11
PAYLOAD = "build/guest/payload.bzImage"
# MSRs the payload tries that a guest may read: platform id, microcode,
# SYSENTER_EIP, IA32_MISC_ENABLE, TSC_DEADLINE, EFER, kvmclock's two. Of these
# some take any value, for nothing (microcode, IA32_MISC_ENABLE) or as a date.
READABLE = {0x17, 0x8b, 0x176, 0x1a0, 0x6e0, 0xc0000080, 0x4b564d02,
            0x4b564d06}
ANY_VALUE = {0x8b, 0x1a0, 0x6e0}
HARMLESS = {"invd", "wbinvd", "cr8"}
# What QEMU's TCG takes and no processor would: a SYSENTER_EIP that is no
# address (it is the guest's own). And 10.0, up to where it was mended (group 9:
# what it does not know there does nothing), which the computer around KVM has.
TCG_TAKES = {name: [("msr-write", 0x176, "ok")] for name in QEMU}
TCG_TAKES["nested-amd"] = [("msr-write", 0x176, "ok")] + [
    (name, None, "ok") for name in ("vmxon", "vmclear", "vmptrld", "vmptrst")]


def _overlap(a, b):
    return a[2] < b[2] + b[1] and b[2] < a[2] + a[1]


@case("wx", "no page of the hypervisor's is writable and executable",
      only=(*BOCHS, *QEMU), why="the debugger would stop level 1")
def wx(t):
    t.need(debugger.HYPERVISOR)
    disk = t.path("disk.img")
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", disk])
    machine = debugger.Qemu(t.folder, disk) if t.platform in QEMU \
        else debugger.Bochs(t.folder, disk, t.platform)
    try:
        machine.run_into("svm_enter")
        registers = machine.control_registers()
        found = list(debugger.leaves(machine,
                                     registers["CR3"] & debugger.ADDRESS))
    finally:
        machine.close()
        os.unlink(disk)
    with open(t.path("mappings.txt"), "w", encoding="ascii") as f:
        for address, size, physical, write, execute in found:
            f.write(f"{address:016x} {size:10x} -> {physical:012x} "
                    f"{'w' if write else '-'}{'x' if execute else '-'}\n")
    t.check(registers["CR0"] & CR0_WP, "CR0.WP is off")
    t.check(registers["EFER"] & EFER_NXE, "EFER.NXE is off")
    code = [m for m in found if m[4]]
    t.check(code, "nothing is executable: these are not its tables")
    both = [hex(m[0]) for m in code if m[3]]
    t.check(not both, f"writable and executable: {both}")
    # Nor may a second mapping of the same memory be writable.
    alias = [(hex(w[0]), hex(c[0])) for c in code for w in found
             if w[3] and _overlap(w, c)]
    t.check(not alias, f"code is writable through other addresses: {alias}")
    for address, length, flags in debugger.image_segments(debugger.HYPERVISOR):
        for m in found:
            if address < m[0] + m[1] and m[0] < address + length:
                t.check(m[3] == bool(flags & 2) and m[4] == bool(flags & 1),
                        f"{m[0]:#x} is mapped otherwise than its segment")


def _attempts(text):
    """[(name, detail or None, result)] of the payload's lines."""
    lines = re.findall(r"PAYLOAD ([a-z][\w-]*?)-?(0x[0-9a-f]+)? "
                       r"((?:ok|#|vector).*)", text)
    return [(name, int(detail, 16) if detail else None, result.strip())
            for name, detail, result in lines]


def _wrong(name, detail, result):
    """Whether an attempt had another answer than DESIGN.md gives it."""
    if name == "port-in":
        return result != "ok 0xff"
    if name == "port-in32":
        return result != "ok 0xffffffff"
    if name == "port-out":
        return result != "ok"
    if name == "msr-read":
        return result.startswith("ok") and detail not in READABLE \
            and not 0x800 <= detail < 0x840
    if name == "msr-write":
        return result == "ok" and detail not in ANY_VALUE
    if name in ("hypercall-info", "hypercall-own-id"):
        return result not in ("ok", "ok 0x1")
    if name == "hypercall-cpl3":
        return result != "#UD"
    if name in ("read", "channel-generation"):
        return not result.startswith("ok")
    if name.startswith("release"):
        return result != ("ok 0xffffffffffffffff" if name == "release-bad"
                          else "ok 0x0")
    if name.startswith("hypercall"):
        return not (result == "ok 0x0" and detail in (7, 9, 10, 13)
                    or result.startswith("ok 0xfffffff"))
    return not (result in ("#UD", "#GP") or
                name in HARMLESS and result == "ok")


@case("payload", "instructions, ports, MSRs, hypercalls a guest must not have")
def payload(t):
    t.need(PAYLOAD)
    result = t.boot("--kernel", PAYLOAD, "--append", "isthmus.test=all",
                    "--until", "PAYLOAD end")
    t.check(result.status == 0, f"status {result.status}: {result.err}")
    attempts = _attempts(result.linux)
    t.check(len(attempts) > 150, f"only {len(attempts)} attempts reported")
    wrong = [a for a in attempts
             if _wrong(*a) and a not in TCG_TAKES.get(t.platform, ())]
    t.check(not wrong, "\n".join(map(str, wrong)))


@case("once", "an interrupt is delivered once, whatever ends the guest's run "
      "meanwhile", only=("bochs", *QEMU), why="Bochs' AMD-V has no exit for an "
      "interrupt from a guest that was entered with interrupts off",
      later=QEMU)
def once(t):
    t.need(PAYLOAD)
    result = t.boot("--kernel", PAYLOAD, "--append", "isthmus.test=once",
                    "--until", "PAYLOAD end", "--deterministic")
    t.check(result.status == 0, f"status {result.status}: {result.err}")
    said = _attempts(result.linux)
    t.check(said == [("once-again", None, "ok 0x0"),
                     ("once-more", None, "ok 0x0"),
                     ("once-ticks", None, "ok 0x1000")], f"{said}")


QUICK_CRASHES = 3               # then host-bridge leaves Linux down


def killed(t, reason, attempts):
    """Each attempt ends Linux's partition for that reason, no other harm.
    attempts: (name, detail that is told), a life of the partition for each; as
    often as the host partition starts it again, behind the last comes the first
    once more."""
    t.need(PAYLOAD)
    console = t.console("--kernel", PAYLOAD, "--append", "isthmus.test="
                        + ",".join(name for name, _ in attempts))
    lives = -(-len(attempts) // QUICK_CRASHES) * QUICK_CRASHES
    for life in range(lives):
        name, detail = attempts[life % len(attempts)]
        found = console.expect(r"Linux crashed: ([^,]*), at [0-9a-f]+, detail "
                               r"([0-9a-f]+)\W")
        t.check(found[1] == reason, f"{name}: for another reason: {found[0]}")
        t.check(detail is None or int(found[2], 16) == detail,
                f"{name}: expected detail {detail or 0:#x}: {found[0]}")
        if life % QUICK_CRASHES < QUICK_CRASHES - 1:
            continue
        console.expect("it stays down until")
        console.expect(re.escape(PROMPT))
        t.check(console.state("host") == "running" and
                console.state() != "running", "not as it should be after that")
        if life < lives - 1:
            console.send("linux start")
    said = console.run("log")
    t.check("partition linux stopped" in said, "no line of it in the log")
    console.send("poweroff")
    # Powered off as asked, but Linux never came up.
    status = console.finish()
    t.check(status == 125, f"the tool ended with status {status}")


FOREIGN = "access to memory it does not have"


@case("foreign-memory", "reading, writing, executing memory it does not have; "
      "the state table and the peer's section are read-only")
def foreign_memory(t):
    # Where the machine has the hypervisor's and the host's pages, just after
    # the partition's memory, and the interrupt controllers. Then the channel.
    killed(t, FOREIGN, (("read:3f000000", 0x3f000000),
                        ("write:18000000", 0x18000000),
                        ("exec:20000000", 0x20000000),
                        ("write:fec00000", 0xfec00000),
                        ("write-state", 0xe4000000),
                        ("write-peer", 0xe4001000),
                        ("exec-channel", 0xe4001000)))


@case("triple-fault", "a triple fault ends that partition only, as does giving "
      "back what it stands on",
      only=("bochs", *QEMU, *NESTED), why="Bochs' AMD-V resets the machine: it lacks "
      "the shutdown intercept")
def triple_fault(t):
    killed(t, "triple fault", (("triple-fault", None),
                               ("release-self", None)))


def busy(t, *attempts):
    """The host partition keeps its share beside hostile ones, a life each."""
    t.need(PAYLOAD)
    console = t.console("--kernel", PAYLOAD, "--append",
                        "isthmus.test=" + ",".join(attempts))
    for attempt in attempts:
        console.expect("isthmus: stage 66 ")
        while f"PAYLOAD start {attempt}\n" not in console.run("linux log"):
            pass                        # the machine's limit is the loop's
        for _ in range(5):
            t.check(console.state() == "running", "linux is not running")
        console.run(f"mkdir /{attempt}")
        t.check(attempt in console.run("ls /"), "the volume does not work")
        console.run("linux stop")
        t.check(console.state() == "stopped", "linux was not stopped")
        if attempt != attempts[-1]:
            console.send("linux start")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("hog", "cli; jmp $ and an exit storm do not keep the processor",
      only=("bochs", *QEMU, *NESTED), why="Bochs' AMD-V has no exit for an interrupt "
      "from a guest that was entered with interrupts off")
def hog(t):
    busy(t, "spin", "exit-storm", "halt")


@case("traps", "a user's single steps, alignment checks, odd prefixes end "
      "nothing")
def traps(t):
    overlay = t.overlay({"bin/traps": t.guest_program("traps")})
    models = [()]
    if t.platform == "qemu-tcg":
        # Lengths of instructions come from our own table, and x87 pointers
        # must be cleared.
        models.append(("--cpu",
                       "EPYC-Rome,-monitor,-nrip-save,-xsaveerptr"))
    for model in models:
        result = t.exec("traps && echo Linux goes on", "--overlay", overlay,
                        *model)
        t.check(re.match(r"all passed, (1000|0) bus errors\nLinux goes on\n",
                         result.out), f"Linux said {result.out!r}")


# MCi_STATUS: valid, uncorrected, enabled, with an address, context corrupt.
MC_FATAL = 0xb600000000000150
MCG_STATUS = 0x7                # RIPV, EIPV, MCIP


@case("machine-check", "a machine check in the hypervisor is a panic with the "
      "bank", only=("qemu-tcg",), why="QEMU's monitor can raise one")
def machine_check(t):
    t.need(debugger.HYPERVISOR)
    disk = t.path("disk.img")
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", disk])
    machine = debugger.Qemu(t.folder, disk)
    try:
        machine.run_into("svm_enter")
        registers = machine.control_registers()
        said = machine.shell.ask(f"mce 0 1 {MC_FATAL:#x} {MCG_STATUS:#x} "
                                 "0x12345000 0\n".encode())
        machine.go()
        end = time.monotonic() + 60
        while b"RSP" not in machine.serial and time.monotonic() < end:
            time.sleep(0.1)
        serial = machine.serial.decode(errors="replace")
    finally:
        machine.close()
        os.unlink(disk)
    t.check(registers["CR4"] & CR4_MCE, "CR4.MCE is off in the hypervisor")
    found = re.search(r"PANIC in the hypervisor: machine check in the "
                      r"hypervisor: .*: bank 1 status 0x([0-9a-f]+) address "
                      r"0x12345000", serial)
    t.check(found, f"no panic that tells it: {said} {serial[-1500:]}")
    t.check(int(found[1], 16) == MC_FATAL, f"another status: {found[0]}")
