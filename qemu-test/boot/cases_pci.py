# SPDX-License-Identifier: MIT
"""PCI: what the host partition has, and what it has not."""

import re

from cases_failures import firmware
from runner import BOCHS, QEMU, case

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


def behind(t, iommu, unit):
    """The same machine with an IOMMU."""
    console = t.console("--manifest", MANIFEST, "--iommu", iommu,
                        "--device", "edu,dma_mask=0xffffffff")
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
    log, status = console.run("log"), console.run("status")
    t.check(f"isthmus: IOMMU 0: {unit} at 0x" in log
            and "reach nothing and interrupt nobody" in log
            and "NO " not in log, f"{iommu}: {log!r}")
    reach = re.findall(r"of partition (\w+) may (.*), at physical", log)
    t.check(reach and set(reach) == {("host", f"write {first:#x} to "
                                      f"{first + size - 1:#x}")},
            f"{iommu}: tables allow {reach}")
    t.check(silent or re.search(r"IOMMU: 0000:00:..\.0 of partition host tried to \S+ "
                      r"0x", log), f"{iommu}: who was it? {log!r}")
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
