# SPDX-License-Identifier: MIT
"""The doctor: a program of its own in the place of the loader, which tests the
machine and leaves a report."""

import schema
from cases_failures import ESP, firmware_on
from runner import BOCHS, TOOL, case

TRIAL = ("virt", "virt-on", "virt-entered", "virt-exits", "virt-long",
         "virt-refused", "virt-left")


def examine(t, name, *options, status):
    """The report of a machine, which must be as its schema says; it stays in
    NAME.json."""
    path = t.path(name + ".json")
    result = t.boot("--doctor", path, *options, timeout=60)
    t.check(result.status == status,
            f"status {result.status}, expected {status}\n{result.out[-3000:]}"
            f"{result.err[-2000:]}")
    with open(path, encoding="utf-8") as f:
        report = schema.read(f.read())
    wrong = schema.problems(report, schema.load("doctor"))
    t.check(not wrong, f"not as the schema says: {wrong[:5]}")
    return report, result


def by_id(report):
    return {item["id"]: item for item in report["checks"]}


@case("doctor", "two CPUs are tested and found good; each enters a guest",
      only=("bochs", "qemu-tcg", "bochs-amd"),
      why="the stick is of a machine within the machine")
def doctor(t):
    report, _ = examine(t, "good", "--smp", "2", status=0)
    found = by_id(report)
    t.check(len(found) >= 60, f"{len(found)} checks")
    t.check(report["counts"]["failure"] == 0, f"failures: {report['counts']}")
    t.check(report["machine"]["cpus"] == 2 == len(report["cpus"]),
            f"CPUs: {report['machine']}")
    for name in TRIAL:
        t.check(found[name]["verdict"] == "ok", f"{name}: {found[name]}")
    rule = "GUEST_RFLAGS is 0x0, must be 1 in bits" \
        if t.platform == "bochs" else "the ASID is 0"
    t.check(rule in found["virt-refused"]["found"],
            f"the refusal is not explained: {found['virt-refused']}")
    timer = "ok" if t.platform == "bochs" else "not there"
    t.check(found["virt-timer"]["verdict"] == timer,
            f"virt-timer: {found['virt-timer']}")
    counts = report["counts"]
    t.note = f" ({counts['ok']} ok, {counts['warning']} warnings)"


@case("doctor-off", "no AMD-V: the failure and its advice; the name of a "
      "second report", only=("qemu-tcg",), why="VT-x is locked in "
      "doctor-locked")
def doctor_off(t):
    off, result = examine(t, "off", "--cpu", "EPYC-Rome,-monitor,-svm", status=1)
    found = by_id(off)
    t.check(found["virt"]["verdict"] == "failure", f"virt: {found['virt']}")
    t.check("SVM Mode" in found["virt"]["advice"], f"advice: {found['virt']}")
    t.check("FAILURE virt: " in result.serial, result.serial[-2000:])
    t.check(found["virt-on"]["verdict"] == "not there", "there was a trial")
    disk = t.path("stick.img")
    t.tool([TOOL, "doctor", disk])
    t.tool(["mmd", "-i", disk + ESP, "::isthmus"])
    t.tool(["mcopy", "-i", disk + ESP, t.path("off.json"),
            "::isthmus/doctor.json"])
    result = t.boot("--image", disk, "--until", "doctor: finished", timeout=60)
    t.check(result.status == 0 and
            "the report is \\isthmus\\doctor-1.json" in result.serial,
            f"status {result.status}: {result.serial[-2000:]}")


@case("doctor-locked", "VT-x locked off by the firmware: the failure and its "
      "advice", only=("bochs",), why="VT-x is on Bochs", later=BOCHS)
def doctor_locked(t):
    disk = t.path("stick.img")
    t.tool([TOOL, "doctor", disk])
    firmware_on(t, disk, "lock")
    result = t.boot("--image", disk, "--until", "doctor: finished",
                    timeout=100)
    t.check(result.status == 0, f"status {result.status}: {result.err}")
    t.check("FAILURE vmx-unlocked: " in result.serial,
            f"no such failure: {result.serial[-3000:]}")
    t.check("Turn \"Intel Virtualization Technology\" on" in result.serial,
            f"no advice: {result.serial[-3000:]}")


@case("doctor-vtd", "a machine with VT-d, a network card, USB, and 4 CPUs",
      only=("qemu-tcg",), why="QEMU has these", later=("qemu-tcg",))
def doctor_vtd(t):
    report, _ = examine(t, "vtd", "--smp", "4", "--iommu", "intel", "--nic",
                        "e1000e", "--device", "qemu-xhci", status=0)
    found = by_id(report)
    for name in ("iommu", "iommu-units", "iommu-queue", "iommu-levels",
                 "iommu-interrupts", "pci-network", "pci-usb", "tsc-same"):
        t.check(found[name]["verdict"] == "ok", f"{name}: {found[name]}")
