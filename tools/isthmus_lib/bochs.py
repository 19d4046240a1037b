# SPDX-License-Identifier: MIT
"""Bochs: its configuration and command line. docs/platforms.md explains."""

import os
import shutil
import socket

from isthmus_lib import debugging
from isthmus_lib.common import Failure

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
VGA = "/usr/share/bochs/VGABIOS-lgpl-latest"
# After a reset OVMF hangs in Bochs 2.7, whose reset forgets a register of the
# PIIX4 (qemu-test/boot/boxes.py). The one at time 0 is power-on.
RESET = r"(?m)^0*[1-9]\d*i\[SYS   \] bx_pc_system_c::Reset"
LOG = "bochs.log"
NICS = ("e1000",)
NIC_MAC = "52:54:00:69:73:01"
FORWARDS = 2                    # Bochs has room for five, one a protocol


def _free(port):
    """Bochs tells nobody but its log that it could not have a port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
    except OSError as error:
        raise Failure(f"--forward {port}: "
                      + os.strerror(error.errno)) from error


def network(folder, forward):
    """The card, on a network of Bochs's own; `forward`: what leads in."""
    rules = ["# slirp config"]
    for here, there in forward:
        _free(here)
        rules += [f"hostfwd = {how}:127.0.0.1:{here}-:{there}"
                  for how in ("tcp", "udp")]
    with open(f"{folder}/slirp", "w", encoding="ascii") as f:
        f.write("\n".join(rules) + "\n")
    return ["plugin_ctrl: e1000=1",
            f"e1000: card=0, enabled=1, mac={NIC_MAC}, ethmod=slirp, "
            f"script={folder}/slirp"]


def start(folder, disk, cpu, smp, memory, lines, disks=(), card=(),
          serial=("com1", "com2"), firmware=FIRMWARE):
    """Writes the configuration; returns the command. `lines`: the serial
    ports, as Bochs names what they are connected to; `disks`: besides the boot
    disk; `card`: network()'s; `serial`: where the ports are."""
    config = [
        "config_interface: textconfig",
        'display_library: rfb, options="timeout=0"',
        f"cpu: model={cpu}, count={smp}, "
        "ips=50000000, reset_on_triple_fault=1, ignore_bad_msrs=1",
        f"memory: guest={memory}, host={memory}",
        # up to the end of the first 4 GiB, be it 2 MiB or 4
        f"romimage: file={firmware}, address="
        f"{(1 << 32) - os.path.getsize(firmware):#x}",
        f"vgaromimage: file={VGA}",
        "pci: enabled=1, chipset=i440fx",
        "ata0: enabled=1",
        f"ata0-master: type=disk, path={disk}, mode=flat",
        f"log: {folder}/{LOG}",
        "panic: action=fatal",
        "error: action=report",
        "info: action=ignore, pc_system=report",
        "debug: action=ignore",
    ]
    for more in disks:
        config += more.bochs(folder)
    config += card
    config += [f"{port}: enabled=1, {where}"
               for port, where in zip(serial, lines)]
    if "com1" not in serial:    # without a word it is there
        config += ["com1: enabled=0"]
    for name, text in (("bochsrc", "\n".join(config)), ("rc", "c")):
        with open(f"{folder}/{name}", "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write(text + "\n")
    return ["bochs", "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/rc"]


def sockets(ports):
    """Serial ports that connect to TCP ports of ours."""
    return [f"mode=socket-client, dev=127.0.0.1:{port}" for port in ports]


def command(cpu):
    """A maker of command lines with that CPU model by default."""
    def make(folder, disk, settings, ports):
        card = network(folder, settings.forward) if settings.nic else ()
        return debugging.bochs_prefix(folder, settings) + start(
            folder, disk, settings.cpu or cpu, settings.smp, settings.memory,
            sockets(ports), settings.more_disks(), card, settings.serial)
    return make


def missing():
    """Why it does not work here, or None."""
    for what in ("bochs", FIRMWARE, VGA):
        if not (os.path.exists(what) or shutil.which(what)):
            return f"{what} is not there (run tools/setup)"
    return None
