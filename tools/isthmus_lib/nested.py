# SPDX-License-Identifier: MIT
"""QEMU with KVM and nested virtualization, for computers that have none: the
computer around it is emulated too.

  level 0  this computer's emulator: QEMU (AMD-V) or Bochs (VT-x)
  level 1  Debian's kernel with KVM, nested; from an initramfs made here
  level 2  this computer's QEMU, as on platform qemu-kvm: Isthmus
  level 3  the partitions, by KVM's nested SVM or VMX

Level 1 has one CPU; level 2's serial lines are its second and third serial
port. Its own console is the first one, and goes to level1.log.
"""

import glob
import lzma
import os
import re
import shutil
import stat

from isthmus_lib import bochs, cpio, image, qemu
from isthmus_lib.common import BUILD, ROOT, Failure, run

KERNEL = os.path.join(BUILD, "deps", "nested-kernel")
QEMU = os.path.join(BUILD, "deps", "nested-qemu")
INIT = os.path.join(ROOT, "tools", "nested-init.c")
LOG = "level1.log"
LINES = ("/dev/ttyS1", "/dev/ttyS2")    # level 2's, in level 1
PROGRAM = f"/usr/bin/{qemu.QEMU}"       # in level 1
ROMS = ("kvmvapic.bin", "vgabios-stdvga.bin")
APPEND = "console=ttyS0 panic=-1 loglevel=5 printk.devkmsg=on mitigations=off"
INTEL_CPU = "corei7_haswell_4770"       # level 1's, on Bochs
MORE_MIB = 768                  # level 1's memory besides level 2's
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def _module(name):
    """Content of a kernel module of level 1."""
    for path in glob.glob(f"{KERNEL}/modules/**/{name}.ko*", recursive=True):
        opener = lzma.open if path.endswith(".xz") else open
        with opener(path, "rb") as f:
            return f.read()
    raise Failure(f"{KERNEL} has no module {name}")


def modules(name, found=None):
    """{name: content} of the module and, before it, what it depends on."""
    found = {} if found is None else found
    data = _module(name)
    depends = DEPENDS.search(data)
    for other in depends[1].decode().split(",") if depends else ():
        if other and other not in found:
            modules(other, found)
    found[name] = data
    return found


def _libraries(program):
    """What a program is linked with, its loader too."""
    return re.findall(r"(?:=> |^\t)(/\S+) \(0x", run(["ldd", program]), re.M)


class _Files:
    """An initramfs in the making: adds the folders that a file is in."""

    def __init__(self):
        self.archive = cpio.Archive()
        self.folders = set()

    def _folder(self, name):
        if name and name not in self.folders:
            self._folder(os.path.dirname(name))
            self.folders.add(name)
            self.archive.add(name, stat.S_IFDIR | 0o755)

    def add(self, name, data, mode=0o100644):
        name = name.lstrip("/")
        self._folder(os.path.dirname(name))
        self.archive.add(name, mode, data)

    def copy(self, source, name=None):
        """A file of this computer, as a rule under its own name."""
        with open(source, "rb") as f:
            self.add(name or source, f.read(), os.stat(source).st_mode)


def _program(files):
    """Level 2's QEMU: this computer's, with its libraries and what it loads
    into a machine."""
    files.copy(shutil.which(qemu.QEMU), PROGRAM)
    for library in _libraries(shutil.which(qemu.QEMU)):
        files.copy(library)
    for name in ROMS:
        for folder in ("/usr/share/qemu", "/usr/share/seabios"):
            if os.path.exists(f"{folder}/{name}"):
                files.copy(f"{folder}/{name}", f"/usr/share/qemu/{name}")
    files.copy(qemu.FIRMWARE)


def _initramfs(path, vendor, folder, disk, settings):
    """Writes level 1's files; returns the end of its command line."""
    init = os.path.join(folder, "init")
    run(["musl-gcc", "-std=gnu11", "-Os", "-static", "-s", "-idirafter",
         "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu",
         "-o", init, INIT])
    files = _Files()
    files.copy(init, "/init")
    _program(files)
    if settings.pflash:
        files.copy(qemu.PFLASH)
        files.copy(qemu.PFLASH_VARS, "/vars.fd")
    files.copy(disk, "/disk.img")
    line = qemu.kvm_inside("/vars.fd", "/disk.img", settings, LINES)
    files.add("/level2", "\0".join([PROGRAM, *line[1:], ""]).encode())
    words = []
    for name, data in modules(f"kvm-{vendor}").items():
        files.add(f"/modules/{name}.ko", data)
        words.append(f"{name}.ko")
    with open(path, "wb") as f:
        f.write(files.archive.finish())
    return " ".join([APPEND, "--", *words]) + ":nested=1"


def amd_command(folder, disk, settings, ports):
    """Level 0 is QEMU, which gets kernel and initramfs by itself."""
    initrd = os.path.join(folder, "level1.cpio")
    append = _initramfs(initrd, "amd", folder, disk, settings)
    line = [f"{QEMU}/{qemu.QEMU}", "-L", f"{QEMU}/share",
            "-L", "/usr/share/seabios", "-M", "q35", "-accel",
            "tcg,thread=single", "-cpu", qemu.TCG_CPU,
            "-m", str(settings.memory + MORE_MIB), "-nodefaults",
            "-display", "none", "-no-reboot", "-kernel", f"{KERNEL}/vmlinuz",
            "-initrd", initrd, "-append", append,
            "-serial", f"file:{folder}/{LOG}"]
    for port in ports:
        line += ["-serial", f"tcp:127.0.0.1:{port}"]
    return line


def intel_command(folder, disk, settings, ports):
    """Level 0 is Bochs, which boots a disk: the firmware's shell starts the
    kernel, which is an EFI program too."""
    initrd, start, boot = (os.path.join(folder, n) for n in
                           ("level1.cpio", "startup.nsh", "level1.img"))
    append = _initramfs(initrd, "intel", folder, disk, settings)
    with open(start, "w", encoding="ascii") as f:
        f.write("fs0:\\level1\\kernel.efi initrd=\\level1\\initrd "
                f"{append}\r\n")
    image.write_disk(boot, {"level1/kernel.efi": f"{KERNEL}/vmlinuz",
                            "level1/initrd": initrd, "startup.nsh": start})
    os.unlink(initrd)
    return bochs.start(folder, boot, INTEL_CPU, 1, settings.memory + MORE_MIB,
                       [f"mode=file, dev={folder}/{LOG}",
                        *bochs.sockets(ports)])


def _missing(*dependencies):
    for name in dependencies:
        if not os.path.isdir(name):
            return f"{name} is not there (run tools/deps " \
                   f"{os.path.basename(name)})"
    return qemu.tcg_missing()


def amd_missing():
    """Why it does not work here, or None."""
    return _missing(KERNEL, QEMU)


def intel_missing():
    """Why it does not work here, or None."""
    return _missing(KERNEL) or bochs.missing()
