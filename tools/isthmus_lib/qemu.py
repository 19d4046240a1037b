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
NESTED = {"kvm_intel": "+vmx", "kvm_amd": "+svm"}


def _firmware(folder, settings):
    if not settings.pflash:
        return ["-bios", FIRMWARE]
    variables = os.path.join(folder, "vars.fd")
    shutil.copyfile(PFLASH_VARS, variables)
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={PFLASH}",
            "-drive", f"if=pflash,format=raw,file={variables}"]


def _common(folder, disk, settings, ports):
    machine = settings.machine or MACHINES[0]
    if machine not in MACHINES:
        raise Failure(f"--machine {machine}: known are "
                      + ", ".join(MACHINES), 2)
    line = [QEMU, "-M", machine, "-m", str(settings.memory),
            "-smp", str(settings.smp), "-display", "none", "-nodefaults",
            "-vga", "std", "-drive", f"file={disk},format=raw,if=ide"]
    line += _firmware(folder, settings)
    for port in ports:
        line += ["-serial", f"tcp:127.0.0.1:{port}"]
    return line + debugging.qemu_arguments(settings)


def tcg_command(folder, disk, settings, ports):
    """Emulation: one thread when time is counted in instructions."""
    one = settings.deterministic or settings.smp == 1
    return _common(folder, disk, settings, ports) + [
        "-accel", "tcg,thread=" + ("single" if one else "multi"),
        "-cpu", settings.cpu or TCG_CPU]


def _nested():
    """The CPU flag of this computer's KVM, or why there is none."""
    for module, flag in NESTED.items():
        path = f"/sys/module/{module}/parameters/nested"
        if os.path.exists(path):
            with open(path, encoding="ascii") as f:
                if f.read().strip() in ("1", "Y", "y"):
                    return flag, None
            return None, f"nested virtualization is off ({module}.nested=1)"
    return None, "no kvm_intel or kvm_amd module with nested virtualization"


def kvm_command(folder, disk, settings, ports):
    """KVM: the computer's own processor, its virtualization passed on."""
    flag, _ = _nested()
    return _common(folder, disk, settings, ports) + [
        "-accel", "kvm", "-cpu", settings.cpu or f"host,{flag},+invtsc"]


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
    return _nested()[1] or tcg_missing()
