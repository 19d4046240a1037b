# SPDX-License-Identifier: MIT
"""What a Debian's start costs in a partition, and without a hypervisor: the
same root, kernel and processor, in instructions until a user's shell."""

import os
import re
import shutil
import subprocess
import threading

from isthmus_lib import cpio, mmdebstrap
from isthmus_lib.common import BUILD
from isthmus_lib.debian import release
from isthmus_lib.machine import die_with_parent
from runner import HERE, QEMU, case
from cases_distro import BUSYBOX, debian

CPU = "EPYC-Rome,-monitor"
# As `isthmus boot --deterministic` with a disk, which takes its time.
COUNTED = ("-icount", "shift=0,sleep=on", "-rtc", "base=2024-01-01,clock=vm",
           "-seed", "42")
LIMIT = 1.5
PATIENCE = 1800         # seconds of a machine without a hypervisor
WAITED = 2_000_000_000  # idle ticks; this computer's disk is in them
SPENT = r"spent (\d+), idle (\d+)"
LINUX = os.path.join(BUILD, "deps", "linux")
LINUX_BUILD = os.path.join(BUILD, "deps", "linux-build")
# Our kernel has no driver for a disk but the channel's: it is given Linux's
# own for virtio, in four modules.
SOURCES = ("lib/sg_pool.c", "block/blk-mq-virtio.c",
           "drivers/block/virtio_blk.c",
           *(f"drivers/virtio/virtio{name}" for name in (
               ".c", "_anchor.c", "_ring.c", "_pci_common.c",
               "_pci_common.h", "_pci_modern.c", "_pci_modern_dev.c")))
MODULES = {"sg_pool": "", "virtio_core":
           "virtio virtio_anchor virtio_ring blk-mq-virtio "
           "virtio_pci_modern_dev",
           "virtio_pci": "virtio_pci_modern virtio_pci_common",
           "virtio_blk": ""}
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/spent
/bin/busybox umount /proc
for m in %s; do /bin/busybox insmod /$m.ko; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
""" % " ".join(MODULES)
# As a command from outside waits until the system runs, and is a user's. Who
# waits is root, for only he is sure to hear of it.
LOOK = "systemctl is-system-running"
SERVICE = f"""[Service]
ExecStart=/bin/sh -c '{LOOK} --wait; exec runuser -l anna -c spent'
StandardOutput=file:/dev/ttyS0
"""


def modules(t):
    """The kernel's own driver for virtio's disks, for that kernel."""
    folder = t.path("modules")
    os.makedirs(folder)
    for name in SOURCES:
        shutil.copy(os.path.join(LINUX, name), folder)
    path = os.path.join(folder, "blk-mq-virtio.c")
    with open(path, encoding="ascii") as f:
        text = f.read().replace('#include "blk-mq.h"\n', "")
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    with open(os.path.join(folder, "sg_pool.c"), "a", encoding="ascii") as f:
        f.write('MODULE_LICENSE("GPL");\n')
    with open(os.path.join(folder, "Kbuild"), "w", encoding="ascii") as f:
        f.write("ccflags-y := -DCONFIG_VIRTIO_ANCHOR=1 -DCONFIG_SG_POOL=1 "
                "-include linux/module.h\n")
        for module, parts in MODULES.items():
            f.write(f"obj-m += {module}.o\n")
            if parts:
                f.write(f"{module}-y := " + " ".join(
                    f"{part}.o" for part in parts.split()) + "\n")
    t.tool(["make", "-s", "-C", os.path.join(LINUX_BUILD, "build"),
            f"M={folder}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"])
    return folder


def initrd(t):
    """The way to a root on /dev/vda."""
    folder, archive = modules(t), cpio.Archive()
    for name in ("bin", "dev", "proc", "root"):
        archive.add(name, 0o40755)
    archive.add("dev/console", 0o20600, device=(5, 1))
    for name, path in (("bin/busybox", BUSYBOX),
                       ("spent", t.path("spent")), *(
            (f"{m}.ko", f"{folder}/{m}.ko") for m in MODULES)):
        if name.endswith(".ko"):
            t.tool(["strip", "--strip-debug", path])
        with open(path, "rb") as f:
            archive.add(name, 0o100755, f.read())
    archive.add("init", 0o100755, INIT.encode())
    with open(t.path("initrd"), "wb") as f:
        f.write(archive.finish())
    return t.path("initrd")


def plain(t, kernel, pattern, *more):
    """A machine of QEMU's with that kernel and nothing else; what it says on
    its serial line, and the match in that."""
    # pylint: disable=subprocess-popen-preexec-fn
    command = ["qemu-system-x86_64", "-M", "q35", "-cpu", CPU, "-m", "384",
               "-display", "none", "-nodefaults", "-no-reboot", "-serial",
               "stdio", "-kernel", kernel, *COUNTED, *more]
    said, found = "", None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=die_with_parent) as process:
        end = threading.Timer(PATIENCE, process.kill)
        end.start()
        for line in process.stdout:
            said += line
            found = re.search(pattern, said, re.S)
            if found:
                break
        end.cancel()
        process.kill()
    t.check(found, f"{kernel}: no {pattern}: {said[-1000:]!r}")
    return found


def firmware(t):
    """The ticks before a kernel's first one."""
    t.tool(["gcc", "-c", "-o", t.path("f.o"),
            os.path.join(HERE, "guest", "firmware.S")])
    t.tool(["objcopy", "-O", "binary", "-j", ".text", t.path("f.o"),
            t.path("f")])
    return int(plain(t, t.path("f"), r"\b([0-9a-f]{16})\n")[1], 16)


def put(t, image, files):
    """Writes {path: (local file, mode)} into an ext4."""
    commands = t.path("debugfs")
    with open(commands, "w", encoding="ascii") as f:
        for path, (source, mode) in files.items():
            f.write(f"write {source} {path}\n"
                    f"set_inode_field {path} mode 0{mode:o}\n")
        f.write("symlink /etc/systemd/system/multi-user.target.wants/"
                "spent.service /etc/systemd/system/spent.service\n")
    t.tool(["debugfs", "-w", "-f", commands, image])


def without(t, image):
    """Instructions until a shell without a hypervisor."""
    copy = t.path("copy.img")
    t.tool(["cp", "--sparse=always", image, copy])
    with open(t.path("service"), "w", encoding="ascii") as f:
        f.write(SERVICE)
    put(t, copy, {"/etc/systemd/system/spent.service":
                  (t.path("service"), 0o100644)})
    before = firmware(t)
    found = plain(t, os.path.join(LINUX_BUILD, "bzImage"),
                  f"{SPENT}.*{SPENT}\r?\n", "-initrd", initrd(t), "-drive",
                  f"if=none,id=d,format=raw,file={copy},discard=unmap",
                  "-device", "virtio-blk-pci,drive=d,disable-legacy=on",
                  "-append", "console=ttyS0 quiet tsc=reliable")
    early, idle, all_of_it, all_idle = map(int, found.groups())
    t.note += f" (without: firmware {before / 1e6:.0f} M, its kernel " \
        f"{(early - idle - before) / 1e6:.0f} M, idle {all_idle / 1e6:.0f} M)"
    return all_of_it - all_idle - before


def within(t, image):
    """Instructions until a shell in a partition, from Linux's entry on. What
    was idle before Linux's agent is not taken off."""
    options = "--cpu", CPU, "--deterministic"
    found = re.search(SPENT, t.exec(
        "/bin/spent", *options, "--overlay", t.overlay({
            "bin/spent": t.path("spent")}), timeout=600).out)
    agent, early = map(int, found.groups())
    name = os.path.basename(os.path.dirname(image))
    said = t.exec(f"{LOOK}; spent", *options, "--distro", name,
                  timeout=600).out
    found = re.search("^running\n" + SPENT, said, re.M)
    t.check(found, f"it does not run: {said!r}")
    waited = int(found[2]) - early
    t.check(waited < WAITED, f"something waited at its start: {waited} ticks")
    t.note += f" (within: its kernel and agent {agent / 1e6:.0f} M, idle " \
        f"{early / 1e6:.0f} M before the agent, " \
        f"{int(found[2]) / 1e6:.0f} M until the shell)"
    return int(found[1]) - int(found[2]) + early


def measure(t):
    debian(t, {c: n for n, c in mmdebstrap.RELEASES.items()}[release()])
    image = t.path("data/isthmus/distros/debian/disk.img")
    t.guest_program("spent")
    t.tool(["debugfs", "-w", "-R", f"write {t.path('spent')} "
            "/usr/local/bin/spent", image])
    t.tool(["debugfs", "-w", "-R", "set_inode_field /usr/local/bin/spent mode "
            "0100755", image])
    alone = without(t, image)
    ours = within(t, image)
    t.note += f" ({ours / 1e6:,.0f} M instructions, {alone / 1e6:,.0f} M " \
        f"without: {ours / alone:.2f} times as many)"
    t.check(ours <= LIMIT * alone, f"it costs more than {LIMIT} times as much")


@case("distro-cost", "from Linux's entry to a user's shell in a Debian, beside"
      " the same root and kernel without a hypervisor", only=QEMU,
      why="its instructions are counted", later=QEMU)
def distro_cost(t):
    try:
        measure(t)
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)
