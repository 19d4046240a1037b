# SPDX-License-Identifier: MIT
"""QEMU's command lines: emulation (AMD-V only), and KVM with nested
virtualization of either vendor. docs/platforms.md explains each flag."""

import os
import shutil

from isthmus_lib import debugging
from isthmus_lib.common import Failure

QEMU = "qemu-system-x86_64"
FIRMWARE = "/usr/share/ovmf/OVMF.fd"            # for -bios
PFLASH = "/usr/share/OVMF/OVMF_CODE_4M.fd"
PFLASH_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
MACHINES = ("q35", "pc")
# MWAIT is of no use to a guest here, and TCG's faults with some operands.
TCG_CPU = "EPYC-Rome,-monitor"
# The processor as it is, its invariant TSC too, which QEMU hides from a machine
# that could be moved to another computer.
KVM_CPU = "host,migratable=no"


# How the boot disk is attached; ide is AHCI on q35.
DISKS = {"ide": ["if=ide"], "virtio": ["if=virtio"],
         "nvme": ["if=none,id=boot", "-device", "nvme,drive=boot,serial=1"]}
# The IOMMU, which must come before the devices behind it.
IOMMUS = {"none": [], "intel": ["-device", "intel-iommu,intremap=on"],
          "amd": ["-device", "amd-iommu,intremap=on"]}

# Network cards, without the firmware's own drivers in their ROMs. The first asks
# the IOMMU for its addresses, as hardware does.
NICS = {"virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on",
        "e1000": "e1000", "e1000e": "e1000e"}
# By the end of a cable that the card is at; on QEMU's own network the first.
NIC_MACS = {"listen": "52:54:00:69:73:01", "connect": "52:54:00:69:73:02",
            "tap": "52:54:00:69:73:01"}
SERVED = "10.0.2.100"           # on QEMU's network, for --serve


def _firmware(variables, settings):
    if not settings.pflash:
        return ["-bios", FIRMWARE]
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={PFLASH}",
            "-drive", f"if=pflash,format=raw,file={variables}"]


def _ports(settings):
    """What leads into the machine from QEMU's own network, and out of it."""
    return "".join(f",hostfwd={how}:127.0.0.1:{here}-:{there}"
                   for here, there in settings.forward
                   for how in ("tcp", "udp")) + \
        "".join(f",guestfwd=tcp:{SERVED}:{there}-tcp:127.0.0.1:{here}"
                for here, there in settings.serve)


def _network(settings):
    """The card, and what it is joined to."""
    end, where = settings.wire or ("listen", None)
    if end == "tap":
        joined = f"tap,id=net,ifname={where},script=no,downscript=no"
    elif where:
        joined = f"socket,id=net,{end}=127.0.0.1:{where}"
    else:
        joined = "user,id=net" + _ports(settings)
    return ["-netdev", joined, "-device", f"{NICS[settings.nic]},netdev=net,"
            f"mac={NIC_MACS[end]},romfile="]


# PCs have four places for serial ports, in this order.
COMS = ("com1", "com2", "com3", "com4")


def serial_port(where, number, line):
    """A port there: a device, and what it is connected to."""
    device = "pci-serial" if where == "pci" else \
        f"isa-serial,index={COMS.index(where)}"
    host, port = line.rpartition("tcp:")[2].rsplit(":", 1)
    return ["-chardev", f"socket,id=serial{number},host={host},port={port}",
            "-device", f"{device},chardev=serial{number}"]


def _machine(variables, disk, settings, lines, iommu):
    """What emulation and KVM have in common. `lines`: the serial ports, as
    QEMU names what they are connected to; `iommu`: the default on q35."""
    machine = settings.machine or MACHINES[0]
    if machine not in MACHINES:
        raise Failure(f"--machine {machine}: known are "
                      + ", ".join(MACHINES), 2)
    bus, *device = DISKS[settings.disk or "ide"]
    line = [QEMU, "-M", machine, "-m", str(settings.memory),
            "-smp", str(settings.smp), "-nodefaults",
            *([] if settings.window else ["-display", "none"]),
            *IOMMUS[settings.iommu or (iommu if machine == "q35" else "none")],
            "-vga", "std", "-drive", f"file={disk},format=raw,{bus}", *device]
    for more in settings.more_disks():
        line += more.qemu(machine)
    if settings.nic:
        line += _network(settings)
    line += _firmware(variables, settings)
    for number, to in enumerate(lines):
        line += ["-serial", to] if settings.serial == COMS[:2] else \
            serial_port(settings.serial[number], number, to)
    for table in settings.acpi_tables:
        line += ["-acpitable", f"file={table}"]
    for more in settings.devices:
        line += ["-device", more]
    return line + debugging.qemu_arguments(settings)


def _here(folder, disk, settings, ports, iommu):
    """The machine with its files in `folder`, its serial ports ours."""
    variables = os.path.join(folder, "vars.fd")
    if settings.pflash:
        shutil.copyfile(PFLASH_VARS, variables)
    return _machine(variables, disk, settings,
                    [f"tcp:127.0.0.1:{port}" for port in ports], iommu)


def tcg_command(folder, disk, settings, ports):
    """Emulation: one thread when time is counted in instructions."""
    one = settings.deterministic or settings.smp == 1
    return _here(folder, disk, settings, ports, "amd") + [
        "-accel", "tcg,thread=" + ("single" if one else "multi"),
        "-cpu", settings.cpu or TCG_CPU]


def _nested():
    """Why this computer's KVM has no nested virtualization, or None."""
    for module in ("kvm_intel", "kvm_amd"):
        path = f"/sys/module/{module}/parameters/nested"
        if os.path.exists(path):
            with open(path, encoding="ascii") as f:
                if f.read().strip() in ("1", "Y", "y"):
                    return None
            return f"nested virtualization is off ({module}.nested=1)"
    return "no kvm_intel or kvm_amd module with nested virtualization"


def _kvm(settings):
    """KVM's own I/O APIC knows nothing of interrupts that are remapped, so with
    an IOMMU QEMU has it."""
    line = ["-accel", "kvm", "-cpu", settings.cpu or KVM_CPU]
    if settings.iommu not in (None, "none"):
        line += ["-machine", "kernel-irqchip=split"]
    return line


def kvm_command(folder, disk, settings, ports):
    """KVM: the computer's own processor, its virtualization passed on."""
    return _here(folder, disk, settings, ports, "none") + _kvm(settings)


def kvm_inside(variables, disk, settings, lines):
    """The same machine, with the paths that another one has it at."""
    return _machine(variables, disk, settings, lines, "none") + _kvm(settings)


def tcg_missing():
    """Why emulation does not work here, or None."""
    for what in (QEMU, FIRMWARE):
        if not (os.path.exists(what) or shutil.which(what)):
            return f"{what} is not there (run tools/setup)"
    return None


def kvm_missing():
    """Why KVM does not work here, or None."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is not there, or not ours to use"
    return _nested() or tcg_missing()
