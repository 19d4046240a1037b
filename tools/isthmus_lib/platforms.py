# SPDX-License-Identifier: MIT
"""The machines Isthmus boots on: how each emulator is started.

A platform is one entry of PLATFORMS. Its `command` writes what the emulator
needs into a folder and returns the command line. The emulator connects its
two serial ports to TCP ports of ours on the loopback interface.
"""

import os
import re
import shutil

from isthmus_lib import debugging, qemu
from isthmus_lib.common import Failure

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
# After a reset OVMF hangs in Bochs 2.7. The one at time 0 is power-on.
BOCHS_RESET = r"(?m)^0*[1-9]\d*i\[SYS   \] bx_pc_system_c::Reset"
BOCHS_VGA = "/usr/share/bochs/VGABIOS-lgpl-latest"


class Settings:
    """The machine to make."""

    def __init__(self, cpu=None, smp=None, memory=None):
        self.cpu = cpu
        self.smp = smp or 1
        self.memory = memory or 1024    # MiB
        self.machine = None             # QEMU's machine type
        self.pflash = False             # QEMU's firmware in flash
        self.gdb = None                 # debugging.qemu_arguments()
        self.deterministic = False


def bochs_command(cpu):
    """A maker of command lines for Bochs with that CPU model by default."""
    def command(folder, disk, settings, ports):
        lines = [
            "config_interface: textconfig",
            'display_library: rfb, options="timeout=0"',
            f"cpu: model={settings.cpu or cpu}, count={settings.smp}, "
            "ips=50000000, reset_on_triple_fault=1, ignore_bad_msrs=1",
            f"memory: guest={settings.memory}, host={settings.memory}",
            f"romimage: file={FIRMWARE}, address=0xffe00000",
            f"vgaromimage: file={BOCHS_VGA}",
            "pci: enabled=1, chipset=i440fx",
            "ata0: enabled=1",
            f"ata0-master: type=disk, path={disk}, mode=flat",
            f"log: {folder}/bochs.log",
            "panic: action=fatal",
            "error: action=report",
            "info: action=ignore, pc_system=report",
            "debug: action=ignore",
        ]
        lines += [f"com{i + 1}: enabled=1, mode=socket-client, "
                  f"dev=127.0.0.1:{port}" for i, port in enumerate(ports)]
        for name, text in (("bochsrc", "\n".join(lines)), ("rc", "c")):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
                f.write(text + "\n")
        return debugging.bochs_prefix(folder, settings) + [
            "bochs", "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/rc"]
    return command


def _bochs_missing():
    for what in ("bochs", FIRMWARE, BOCHS_VGA):
        if not (os.path.exists(what) or shutil.which(what)):
            return f"{what} is not there (run tools/setup)"
    return None


class Platform:
    """missing() says why it does not work on this machine, or None. Where
    the firmware does not come back from a reset, `reset` is what the
    emulator's log says of one, and the tool starts the emulator anew."""

    def __init__(self, name, summary, missing, command, log, reset=None):
        self.name = name
        self.summary = summary
        self.missing = missing
        self.command = command
        self.log = log              # the emulator's own log, in the folder
        self.reset = reset and re.compile(reset)


# In order of preference for `auto`.
PLATFORMS = [
    Platform("qemu-kvm", "QEMU with nested virtualization", qemu.kvm_missing,
             qemu.kvm_command, "qemu.log"),
    Platform("qemu-tcg", "QEMU with AMD-V in software", qemu.tcg_missing,
             qemu.tcg_command, "qemu.log"),
    Platform("bochs", "Bochs with VT-x in software", _bochs_missing,
             bochs_command("corei7_haswell_4770"), "bochs.log",
             BOCHS_RESET),
    Platform("bochs-amd", "Bochs with AMD-V in software", _bochs_missing,
             bochs_command("ryzen"), "bochs.log", BOCHS_RESET),
]


def names():
    return ["auto"] + [p.name for p in PLATFORMS]


def choose(name):
    """The platform of that name; with `auto` the best one that works.
    Returns it and one line that says what was chosen and why."""
    reasons = []
    for platform in PLATFORMS:
        if name not in ("auto", platform.name):
            continue
        problem = platform.missing()
        if problem is None:
            why = "; ".join(reasons) or "the best one here"
            return platform, f"platform {platform.name}: " \
                f"{platform.summary} ({why})"
        reasons.append(f"{platform.name}: {problem}")
    raise Failure("no platform works here: " + "; ".join(reasons))
