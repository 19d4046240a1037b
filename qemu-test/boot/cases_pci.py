# SPDX-License-Identifier: MIT
"""PCI: what the host partition has, and what it has not."""

import contextlib
import os
import re
import time

import debugger
import snapshot
from cases_failures import firmware
from cases_isolated import make
from runner import BOCHS, QEMU, ROOT, Failed, case
from isthmus_lib import mutants, platforms

PROBE = "build/host-bridge/host-bridge-probe.elf"
MANIFEST = "qemu-test/pci/probe.dts"
LOUD = "isthmus: NO IOMMU: a driver of a device that reads or writes memory"
# What probe.c says on any machine, and of QEMU's device edu.
EVERYWHERE = {"port-address": 1, "port-data": 1, "port-data8": 1,
              "foreign-reached": 0, "functions": 1}
EDU = {"edu-claim": 0, "edu-bar": 0, "edu-no-bar": 1, "edu-id": 0xed,
       "edu-live": 1, "edu-irq": 0, "edu-no-irq": 1, "edu-message-off": 0,
       "edu-dma-off": 0, "edu-master": 0, "edu-message-on": 1,
       "edu-dma-on": 256, "edu-irq-off": 0, "edu-master-off": 0,
       "edu-dma-off-again": 0, "edu-reset": 1}
DISKS = {"qemu": "8086:2922 AHCI controller +driver ",
         "bochs": "8086:7010 IDE controller +driver "}


@case("pci", "its own functions are listed, others not reached; messages and "
      "memory by name", only=(*BOCHS, *QEMU), why="its machine is QEMU's",
      later=BOCHS)
def pci(t):
    t.need(PROBE)
    qemu = t.platform in QEMU
    console = t.console("--manifest", MANIFEST, *(
        ("--device", "edu,dma_mask=0x1ffffffff", "--iommu", "none")
        if qemu else ()))
    console.expect("PROBE end")
    console.expect("isthmus: stage 62 ")
    found = {name: int(value) for name, value in
             re.findall(r"PROBE (\S+) (-?\d+)", console.seen)}
    wanted = {**EVERYWHERE, **EDU} if qemu else EVERYWHERE
    t.check(found == wanted, f"the probe found {found}")
    said = console.run("pci")
    t.check(re.search(DISKS["qemu" if qemu else "bochs"], said),
            f"the boot disk's controller is missing in {said!r}")
    # how much of it is free is the drivers' matter
    t.check(re.search(r"DMA pool: 32768 KiB, \d+ of them free; no IOMMU: a "
                      "bus master can reach all memory", said),
            f"another pool: {said!r}")
    t.check(not qemu or re.search(r"1234:11e8 other +driver edu; "
                                  r"interrupts: \d+ possible", said),
            f"edu is missing in {said!r}")
    t.check("host bridge" not in said and len(re.findall(
        r"^ +\w{4}:\w\w:\w\w\.\d ", said, re.M)) == 2, f"more: {said!r}")
    t.check(LOUD in console.run("log"), "nothing says that there is no IOMMU")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# What it says besides of an edu behind an IOMMU.
HOSTILE = {"hostile-master": 0, "hostile-read": 0, "hostile-interrupts": 0,
           "hostile-canary": 1, "hostile-off": 0}


# An edu behind a root port, whose requests pass that as they are; to QEMU's
# AMD-Vi they would be the host bridge's (docs/platforms.md). And a disk
# controller behind a bridge to conventional PCI.
EDU_AT = {"intel": ("pcie-root-port,id=root,chassis=1",
                    "edu,dma_mask=0x1ffffffff,bus=root"),
          "amd": ("edu,dma_mask=0x1ffffffff",)}
BEHIND = ("pcie-pci-bridge,id=bridge", "lsi53c895a,bus=bridge,addr=1")


def behind(t, iommu, unit):
    """The same machine with an IOMMU."""
    console = t.console("--manifest", MANIFEST, "--iommu", iommu, *(
        word for device in EDU_AT[iommu] + BEHIND
        for word in ("--device", device)))
    console.expect("PROBE end")
    console.expect("isthmus: stage 62 ")
    found = {name: int(value) for name, value in
             re.findall(r"PROBE (\S+) (-?\d+)", console.seen)}
    first, size = found.pop("pool-first"), found.pop("pool-bytes")
    t.check(first <= found.pop("edu-page") < first + size, "no page of it")
    silent = found.pop("hostile-unblocked")
    # QEMU's AMD-Vi blocks by an empty entry, and logs nothing of it
    t.check(silent == 0 or iommu == "amd", f"{silent} were not reported")
    t.check(found == {**EVERYWHERE, **EDU, **HOSTILE},
            f"{iommu}: the probe found {found}")
    # what an IOMMU would take for the bridge is nobody's
    t.check(re.search(r"behind a bridge to conventional PCI are nobody's, as an "
                      r"IOMMU cannot tell them apart: 1, the first 0x\w08 "
                      r"behind 0x\w+\s", console.seen), f"{iommu}: it is told "
            "of no function behind a bridge")
    said = console.run("pci")
    edu, = re.findall(r"^ +(\S+) 1234:11e8 other", said, re.M)
    t.check(edu.startswith("0000:00:") == (iommu == "amd") and
            "1000:0012" not in said, f"{iommu}: pci says {said!r}")
    log, status = console.run("log"), console.run("status")
    t.check(f"isthmus: IOMMU 0: {unit} at 0x" in log
            and "reach nothing and interrupt nobody" in log
            and "NO " not in log, f"{iommu}: {log!r}")
    reach = re.findall(r"of partition (\w+) may (.*), at physical", log)
    t.check(reach and set(reach) == {("host", f"write {first:#x} to "
                                      f"{first + size - 1:#x}")},
            f"{iommu}: tables allow {reach}")
    t.check(silent or re.search(rf"IOMMU: {edu} of partition host tried to \S+ 0x",
                                log), f"{iommu}: who was it? {log!r}")
    t.check(re.search(rf"IOMMU 0: {unit} at 0x\w+, memory and interrupts "
                      r"checked, \d+ accesses blocked", status),
            f"{iommu}: {status!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("iommu", "an enemy's device reaches its pool and nothing else, with "
      "either vendor's IOMMU", only=(*QEMU, "nested-amd"),
      why="others have no IOMMU")
def iommu(t):
    t.need(PROBE)
    behind(t, "amd", "AMD-Vi")
    behind(t, "intel", "VT-d")


@case("iommu-left-on", "an IOMMU that the firmware has left on is taken over",
      only=QEMU, why="others have no IOMMU")
def iommu_left_on(t):
    disk = firmware(t, "iommu")
    for iommu, base in (("amd", "0xfed80000"), ("intel", "0xfed90000")):
        result = t.boot("--image", disk, "--iommu", iommu, "--until",
                        "isthmus: stage 68 ")
        t.check(result.status == 0, f"{iommu}: status {result.status}\n"
                f"{result.err}")
        t.check(f"isthmus: firmware has left the IOMMU at {base} on" in
                result.serial and "IOMMU 0: " in result.serial and
                "does not answer" not in result.serial,
                f"{iommu}: {result.serial!r}")


# Registers of edu [QEMU "EDU device"], its buffer, and the command by which it
# writes to memory.
EDU_SOURCE, EDU_TARGET, EDU_COUNT, EDU_COMMAND = 0x80, 0x88, 0x90, 0x98
EDU_BUFFER, EDU_START, EDU_WRITES = 0x40000, 1, 2
BUS_MASTER, MEMORY = 4, 2       # of a function's command register
# Registers of AMD-Vi, the length of its log, one of its events: [AMD-Vi "Event
# Log"]
EVENTS, EVENT_HEAD, EVENT_TAIL = 0x10, 0x2010, 0x2018
EVENT_COUNT, IO_PAGE_FAULT, EVENT_WRITE = 256, 2 << 60, 1 << 53


def quad(value):
    return value.to_bytes(8, "little")


class Edu:
    """QEMU's edu at the debugger's hands."""

    def __init__(self, machine):
        self.machine = machine
        found = re.search(r"Bus +(\d+), device +(\d+), function +(\d+):[^:]*:"
                          r"[^:]*1234:11e8.*?BAR0: [^\n]* at 0x([0-9a-f]+)",
                          machine.shell.ask(b"info pci\n"), re.S)
        bus, device, function = (int(n) for n in found.groups()[:3])
        self.name = f"0000:{bus:02x}:{device:02x}.{function}"
        self.number = bus << 8 | device << 3 | function
        self.bar = int(found[4], 16)

    def set_going(self):
        """Makes it a bus master, whatever the software in the machine says."""
        ecam = re.search(r"([0-9a-f]{16})-[0-9a-f]{16} [^\n]*pcie-mmcfg",
                         self.machine.shell.ask(b"info mtree\n"))[1]
        self.machine.poke(int(ecam, 16) + (self.number << 12) + 4,
                          bytes([BUS_MASTER | MEMORY, 0]))

    def write(self, bus):
        """Lets it write the first bytes of its buffer there. In 100 ms."""
        for register, value in ((EDU_SOURCE, EDU_BUFFER), (EDU_TARGET, bus),
                                (EDU_COUNT, 256),
                                (EDU_COMMAND, EDU_START | EDU_WRITES)):
            self.machine.poke(self.bar + register, quad(value))

    def writes(self):
        return self.machine.word(self.bar + EDU_COMMAND) & EDU_START


def asked(machine, command):
    """What the console says to it."""
    before = len(machine.serial)
    machine.typed.sendall(command + b"\r")
    answer = re.compile(command + rb"\s*\r?\n(.*?)isthmus> ", re.S)
    end = time.monotonic() + debugger.SILENCE
    while not (found := answer.search(machine.serial, before)):
        if time.monotonic() > end:
            raise debugger.Lost(f"no answer to {command}")
        time.sleep(0.1)
    return found[1].decode(errors="replace")


def blocked(machine):
    """How many accesses the first IOMMU has."""
    return int(re.search(r"(\d+) accesses blocked",
                         asked(machine, b"status"))[1])


def reaches(t, machine, edu, program, bus, physical):
    """edu is to write to this bus address: has what lies there changed?"""
    machine.pause()
    machine.run_into("svm_enter", program)
    before = machine.table(physical)
    edu.write(bus)
    machine.go()
    time.sleep(0.3)
    machine.pause()
    while edu.writes():
        machine.go()
        time.sleep(0.1)
        machine.pause()
    after = machine.table(physical)
    machine.go()
    return [word & ~snapshot.USED for word in before] != \
        [word & ~snapshot.USED for word in after]


def play_log(machine, edu, count):
    """Adds events to AMD's log, as QEMU's unit never does
    (docs/platforms.md)."""
    unit = snapshot.REGISTERS["amd"][0]
    machine.pause()
    base = machine.word(unit + EVENTS) & debugger.ADDRESS
    tail = machine.word(unit + EVENT_TAIL)
    for n in range(count):
        machine.poke(base + tail, quad(IO_PAGE_FAULT | EVENT_WRITE | edu.number)
                     + quad(0x123456000 + n * 4096))
        tail = (tail + 16) % (EVENT_COUNT * 16)
    machine.poke(unit + EVENT_TAIL, quad(tail))
    machine.go()
    return tail


def taken_away(t, machine, iommu, program):
    """What edu's driver has had, and the tables of the processor."""
    machine.go()
    machine.expect(rb"PROBE end")
    machine.expect(rb"isthmus: stage 68 ")
    page, = re.findall(rb"PROBE edu-page (\d+)", machine.serial)
    page = int(page) & -4096
    first, physical = re.search(
        r"of partition host may write 0x([0-9a-f]+) to \w+, at physical "
        r"0x([0-9a-f]+)", asked(machine, b"log")).groups()
    machine.pause()
    machine.run_into("svm_enter", program)
    root = machine.control_registers()["CR3"] & debugger.ADDRESS
    edu = Edu(machine)
    edu.set_going()
    machine.go()
    before = blocked(machine)
    for what, bus, at in (
            ("a page that it had", page,
             page - int(first, 16) + int(physical, 16)),
            ("the hypervisor's page tables", root, root)):
        t.check(not reaches(t, machine, edu, program, bus, at),
                f"{iommu}: {what}, {bus:#x}, can be written by {edu.name}, "
                "which is nobody's")
    told = blocked(machine) - before
    t.check(told == (0 if iommu == "amd" else 2), f"{iommu}: {told} accesses "
            "were reported")
    return edu, root


def image(t, program):
    """A boot disk with the probe, on that hypervisor."""
    disk, manifest = t.path("disk.img"), t.path("probe.dts")
    with open(manifest, "w", encoding="ascii") as f:
        f.write(f'/include/ "{ROOT}/{MANIFEST}"\n/ {{ modules {{ hypervisor '
                f'{{ file = "{program}"; }}; }}; }};\n')
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", "--manifest",
            manifest, disk])
    return disk


PROBED_MIB = 512


@contextlib.contextmanager
def probed(t, iommu, program, *devices):
    """A machine with the probe, that hypervisor and those devices, stopped at its
    beginning."""
    disk = image(t, program)
    settings = platforms.Settings(memory=PROBED_MIB)
    settings.iommu = iommu
    # a forged message may lead to a reset
    machine = debugger.Qemu(t.folder, disk, ("-no-reboot", *devices), settings)
    try:
        yield machine
    except debugger.Lost as lost:
        t.check(False, f"{iommu}: {lost}")
    finally:
        machine.close()
        os.unlink(disk)
        with open(t.path("serial.txt"), "wb") as f:
            f.write(machine.serial)


def taken(t, iommu, program=debugger.HYPERVISOR):
    """A device that is nobody's any more."""
    with probed(t, iommu, program, "-device",
                "edu,dma_mask=0x1ffffffff") as machine:
        edu, address = taken_away(t, machine, iommu, program)
        if iommu == "amd":
            address = 0x123456000
            before = blocked(machine)
            for count in (1, EVENT_COUNT - 1):
                tail = play_log(machine, edu, count)
                before += count
                asks = iter(range(1, count + 20))  # not all are told at once
                while blocked(machine) < before and next(asks, None):
                    time.sleep(0.1)
                told = blocked(machine)
                t.check(told == before, f"of {before} events {told} are told")
            head = machine.word(snapshot.REGISTERS["amd"][0] + EVENT_HEAD)
            t.check(head == tail, f"the log's head is {head:#x}, not {tail:#x}")
        said = asked(machine, b"log")
        t.check(f"IOMMU: {edu.name} of nobody tried to write {address:#x} "
                in said, f"{iommu}: who was it? {said[-2000:]!r}")


@case("iommu-taken", "a device that was taken away, and made a bus master "
      "behind everybody's back, reaches nothing; what a unit reports is told",
      only=QEMU, why="others have no IOMMU")
def iommu_taken(t):
    t.need(PROBE, debugger.HYPERVISOR)
    taken(t, "intel")
    taken(t, "amd")


# What storm.c says of QEMU's NVMe controller, whose every access of memory is
# one more that the IOMMU has blocked.
STORM = {"storm-other": 0, "storm-master": 0, "storm-on": 0, "storm-able": 1,
         "storm-silent": 0, "storm-leaked": 0, "storm-forged": 0,
         "storm-canary": 1, "storm-able-still": 1, "storm-off": 0}
FEW, MANY = 5000, 100000


def storm_in(t, machine, iommu, program, seconds):
    """Lets the machine go through it, for so many seconds at most; returns the
    sentences on what has changed meanwhile, and how many pages must not."""
    machine.run_into("svm_enter", program)
    root = machine.control_registers()["CR3"]
    saved = []
    for function in ("storm_begins", "storm_ends"):
        machine.run_into(function, PROBE, seconds)
        path = t.path(function)
        machine.save(path, PROBED_MIB << 20)
        unit = [machine.word(at) for at in snapshot.REGISTERS[iommu]]
        saved.append(snapshot.Snapshot(path, program, root, iommu, unit))
        os.unlink(path)
    found = snapshot.changed(*saved)
    for one in saved:
        one.close()
    return found


def storm(t, iommu, unit, count, program=debugger.HYPERVISOR):
    """That many accesses and messages, under one IOMMU and hypervisor."""
    with probed(t, iommu, program,
                "-drive", "if=none,id=storm,driver=null-co,size=16M",
                "-device", f"nvme,drive=storm,serial={count}") as machine:
        wrong, protected, foreign = storm_in(t, machine, iommu, program,
                                             40 + count // 200)
        machine.go()
        machine.expect(rb"PROBE end")
        machine.expect(rb"isthmus: stage 68 ")
        machine.typed.sendall(b"status\r")
        machine.expect(rb"Linux agent: ")
        serial = bytes(machine.serial).decode(errors="replace")
    found = {name: int(value) for name, value in
             re.findall(r"PROBE (storm-\S+) (-?\d+)", serial)}
    accesses = found.pop("storm-accesses", 0)
    messages = found.pop("storm-messages", 0)
    t.check(accesses + messages == count, f"{iommu}: of {count} there were "
            f"{accesses} and {messages}: {found}")
    t.check(not wrong, f"{iommu}: {len(wrong)} pages have changed: "
            + "; ".join(wrong[:8]))
    t.check(protected > 100 and foreign > 10000, f"{iommu}: only {protected} "
            f"and {foreign} pages have been looked at")
    # QEMU's AMD-Vi logs nothing: docs/platforms.md
    silent = found["storm-silent"] if iommu == "amd" else 0
    t.check(found == {**STORM, "storm-silent": silent}, f"{iommu}: {found}")
    blocked = re.search(rf"IOMMU 0: {unit} at 0x\w+, memory and interrupts "
                        r"checked, (\d+) accesses blocked", serial)
    # of messages newer ones of QEMU's units report some
    t.check(blocked and accesses - silent <= int(blocked[1]) <=
            accesses + messages, f"{iommu}: of {accesses} accesses and "
            f"{messages} messages status says {blocked and blocked[0]}")
    t.note += f"; {unit}: {accesses} accesses, {messages} messages, " \
        f"{blocked[1]} blocked, {protected} and {foreign} pages the same"


@case("iommu-storm", "what an enemy's device tries changes nothing, and is "
      "counted, with either vendor's IOMMU", only=QEMU,
      why="others have no IOMMU")
def iommu_storm(t):
    t.need(PROBE, debugger.HYPERVISOR)
    count = MANY if os.environ.get("TEST_ALL") else FEW
    storm(t, "intel", "VT-d", count)
    storm(t, "amd", "AMD-Vi", count)


# Names in qemu-test/mutants/iommu.list, the file, the vendor, who finds it, and
# as what.
NO_REMAPPING, TOO_MUCH = "no interrupt remapping", "a page too much"
MUTANTS = (
    (NO_REMAPPING, "vtd", "vtd", storm, "the processor has been reset"),
    (NO_REMAPPING, "amdvi", "amdvi", storm, "the processor has been reset"),
    (TOO_MUCH, "iommu_domain", "vtd", storm, "1 pages have changed"),
    (TOO_MUCH, "iommu_domain", "amdvi", storm, "1 pages have changed"),
    ("no IOTLB flush", "vtd", "vtd", taken, "a page that it had"),
    ("no flush of pages", "amdvi", "amdvi", taken, "a page that it had"))
VENDORS = {"vtd": ("intel", "VT-d", FEW), "amdvi": ("amd", "AMD-Vi", FEW)}


@case("iommu-mutants", "hypervisors whose IOMMUs are not set up as they must be "
      "are found out, each by name", only=QEMU, why="others have no IOMMU",
      later=QEMU)
def iommu_mutants(t):
    t.need(PROBE)
    for name, file, vendor, look, sentence in MUTANTS:
        mutant = t.path("mutant.elf")
        named = mutants.named(ROOT, f"hypervisor/iommu/{file}.c", name)
        make(f"iommu/{file}.c", "\n".join(named.old), "\n".join(named.new),
             mutant)
        words = VENDORS[vendor] if look is storm else VENDORS[vendor][:1]
        try:
            look(t, *words, program=mutant)
            found = "nothing"
        except Failed as failure:
            found = str(failure)
        t.check(sentence in found, f"{vendor}, {name}: found {found}")
