# SPDX-License-Identifier: MIT
"""The machines Isthmus boots on: how each emulator is started.

A platform is one entry of PLATFORMS. Its `command` writes what the emulator
needs into a folder and returns the command line. The emulator connects its
two serial ports to TCP ports of ours on the loopback interface.
"""

import re

from isthmus_lib import bochs, nested, qemu
from isthmus_lib.common import Failure


NICS = tuple(sorted(qemu.NICS))
SERIAL = ("com1", "com2")       # the console's line, and Linux's


class Settings:
    """The machine to make."""

    def __init__(self, cpu=None, smp=None, memory=None):
        self.cpu = cpu
        self.smp = smp or 1
        self.memory = memory or 1024    # MiB
        self.machine = None             # QEMU's machine type
        self.disk = None                # how QEMU attaches the boot disk
        self.devices = []               # QEMU's, besides
        self.iommu = None               # which IOMMU QEMU's machine has
        self.data = None                # datadisk.DataDisk
        self.distros = []               # likewise
        self.nic = None                 # a network card, of NICS
        self.wire = None                # (listen or connect, port) of its cable
        self.forward = []               # (port here, port of the machine)
        self.serve = []                 # (port here, port of its network)
        self.pflash = False             # QEMU's firmware in flash
        self.gdb = None                 # debugging.qemu_arguments()
        self.qmp = None                 # likewise
        self.deterministic = False
        self.no_serial = False          # QEMU: without serial ports
        self.serial = SERIAL            # where the two lines are
        self.acpi_tables = []           # QEMU's, besides: files
        self.window = False             # QEMU: the screen in a window here

    def more_disks(self):
        """Besides the boot disk."""
        return [d for d in (self.data, *self.distros) if d]


class Platform:
    """missing() says why it does not work on this machine, or None. Where
    the firmware does not come back from a reset, `reset` is what the
    emulator's log says of one, and the tool starts the emulator anew. One
    that is not `auto` is taken only when it is named."""

    def __init__(self, name, summary, missing, command, log, reset=None,
                 auto=True):
        self.name = name
        self.summary = summary
        self.missing = missing
        self.command = command
        self.log = log              # the emulator's own log, in the folder
        self.reset = reset and re.compile(reset)
        self.auto = auto


# In order of preference for `auto`.
PLATFORMS = [
    Platform("qemu-kvm", "QEMU with nested virtualization", qemu.kvm_missing,
             qemu.kvm_command, "qemu.log"),
    Platform("qemu-tcg", "QEMU with AMD-V in software", qemu.tcg_missing,
             qemu.tcg_command, "qemu.log"),
    Platform("bochs", "Bochs with VT-x in software", bochs.missing,
             bochs.command("corei7_haswell_4770"), bochs.LOG, bochs.RESET),
    Platform("bochs-amd", "Bochs with AMD-V in software", bochs.missing,
             bochs.command("ryzen"), bochs.LOG, bochs.RESET),
    Platform("nested-amd", "QEMU with KVM and nested AMD-V, on an emulated "
             "computer", nested.amd_missing, nested.amd_command, nested.LOG,
             auto=False),
    Platform("nested-intel", "QEMU with KVM and nested VT-x, on an emulated "
             "computer", nested.intel_missing, nested.intel_command,
             nested.LOG, auto=False),
]


def names():
    return ["auto"] + [p.name for p in PLATFORMS]


def check_nic(platform, nic):
    """Returns the network card to have, or None; refuses one that the
    platform has not. "auto" is the best it has."""
    if nic in (None, "none"):
        return None
    if nic == "auto":
        nic = "e1000" if platform.name.startswith("bochs") else "virtio"
    if platform.name.startswith("nested"):
        raise Failure(f"--nic {nic}: platform {platform.name} has none", 2)
    if platform.name.startswith("bochs") and nic not in bochs.NICS:
        raise Failure(f"--nic {nic}: Bochs has only "
                      + ", ".join(bochs.NICS), 2)
    return nic


def _need_nic(option, platform, args, emulators=("QEMU",)):
    if args.nic in (None, "none") or not any(
            name.lower() in platform.name for name in emulators):
        raise Failure(f"{option}: it takes a network card (--nic), and "
                      + " or ".join(emulators), 2)


def check_wire(platform, args):
    """Returns the cable of the network card, or None."""
    if args.wire:
        _need_nic("--wire", platform, args)
    return args.wire


def check_forward(platform, args):
    """Returns the ports that lead into the machine, and out of it."""
    for option, emulators in (("forward", ("QEMU", "Bochs")),
                              ("serve", ("QEMU",))):
        if getattr(args, option):
            _need_nic(f"--{option}", platform, args, emulators)
        if getattr(args, option) and args.wire:
            raise Failure(f"--{option}: a cable (--wire) has no ports", 2)
    if "bochs" in platform.name and len(args.forward) > bochs.FORWARDS:
        raise Failure(f"--forward: Bochs has at most {bochs.FORWARDS}", 2)
    return args.forward, args.serve


def check_serial(platform, where):
    """Returns where the serial lines are; refuses what the platform has not."""
    where = tuple(where or SERIAL)
    if where != SERIAL and (
            platform.name.startswith("nested") or len(set(where)) < len(where)
            or ("pci" in where and platform.log != "qemu.log")):
        raise Failure(f"--serial {','.join(where)}: two lines at one place, or "
                      f"platform {platform.name} has none there", 2)
    return where


def missing(name):
    """Why the platform of that name does not work here, or None."""
    platform, = [p for p in PLATFORMS if p.name == name]
    return platform.missing()


def choose(name):
    """The platform of that name; with `auto` the best one that works.
    Returns it and one line that says what was chosen and why."""
    reasons = []
    for platform in PLATFORMS:
        if name != platform.name and (name != "auto" or not platform.auto):
            continue
        problem = platform.missing()
        if problem is None:
            why = "; ".join(reasons) or "the best one here"
            return platform, f"platform {platform.name}: " \
                f"{platform.summary} ({why})"
        reasons.append(f"{platform.name}: {problem}")
    raise Failure("no platform works here: " + "; ".join(reasons))
