# SPDX-License-Identifier: MIT
"""PCI: what the host partition has, and what it has not."""

import os
import re

import debugger
import snapshot
from cases_failures import firmware
from runner import BOCHS, QEMU, ROOT, case
from isthmus_lib import platforms

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
      "memory by name", only=(*BOCHS, *QEMU), why="its machine is QEMU's")
def pci(t):
    t.need(PROBE)
    qemu = t.platform in QEMU
    console = t.console("--manifest", MANIFEST, *(
        ("--device", "edu,dma_mask=0xffffffff", "--iommu", "none")
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
                    "edu,dma_mask=0xffffffff,bus=root"),
          "amd": ("edu,dma_mask=0xffffffff",)}
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
      "either vendor's IOMMU", only=QEMU, why="others have no IOMMU")
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


# What storm.c says of QEMU's NVMe controller, whose every access of memory is
# one more that the IOMMU has blocked.
STORM = {"storm-other": 0, "storm-master": 0, "storm-on": 0, "storm-able": 1,
         "storm-silent": 0, "storm-leaked": 0, "storm-forged": 0,
         "storm-canary": 1, "storm-able-still": 1, "storm-off": 0}
STORM_MEMORY = 512              # MiB
FEW, MANY = 5000, 100000


def storm_in(t, machine, iommu):
    """Lets the machine go through it; returns the sentences on what has changed
    meanwhile, and how many pages must not."""
    machine.run_into("svm_enter")
    root = machine.control_registers()["CR3"]
    saved = []
    for function in ("storm_begins", "storm_ends"):
        machine.run_into(function, PROBE)
        path = t.path(function)
        machine.save(path, STORM_MEMORY << 20)
        unit = [machine.word(at) for at in snapshot.REGISTERS[iommu]]
        saved.append(snapshot.Snapshot(path, root, iommu, unit))
        os.unlink(path)
    found = snapshot.changed(*saved)
    for one in saved:
        one.close()
    return found


def storm(t, iommu, unit, count):
    """That many accesses and messages, under one IOMMU."""
    disk = t.path("disk.img")
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", "--manifest",
            MANIFEST, disk])
    settings = platforms.Settings(memory=STORM_MEMORY)
    settings.iommu = iommu
    machine = debugger.Qemu(t.folder, disk, (
        "-no-reboot",           # what a forged message may lead to
        "-drive", "if=none,id=storm,driver=null-co,size=16M",
        "-device", f"nvme,drive=storm,serial={count}"), settings)
    try:
        wrong, protected, foreign = storm_in(t, machine, iommu)
        machine.go()
        machine.expect(rb"PROBE end")
        machine.expect(rb"isthmus: stage 68 ")
        machine.typed.sendall(b"status\r")
        machine.expect(rb"Linux agent: ")
        serial = bytes(machine.serial).decode(errors="replace")
    finally:
        machine.close()
        os.unlink(disk)
        with open(t.path("serial.txt"), "wb") as f:
            f.write(machine.serial)
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
