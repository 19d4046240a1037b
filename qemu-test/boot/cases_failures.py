# SPDX-License-Identifier: MIT
"""Each failure of the boot: the machine says what, where and what to do, and
the tool names the stage."""

import os
import re

from runner import BOCHS, HERE, ROOT, case

EFI_FLAGS = ("-ffreestanding -fpic -fshort-wchar -fno-stack-protector "
             "-mno-red-zone -DGNU_EFI_USE_MS_ABI -Wall -Werror "
             "-I/usr/include/efi -I/usr/include/efi/x86_64").split()
ESP = "@@1048576"               # where the partition begins in the image


def fails(t, stage, sentence, *options):
    """The boot ends in that stage, and the serial line says `sentence`."""
    result = t.boot("--until", "stage 68", *options, timeout=100)
    t.check(result.status == 125, f"status {result.status}, expected 125\n"
            f"{result.err}")
    said = re.search(r"isthmus: FAILED stage (\d+) [^\n]*", result.serial)
    t.check(said is not None, "no failure on the serial line:\n"
            + result.serial[-2000:])
    t.check(int(said[1]) == stage, f"expected stage {stage}: {said[0]}")
    t.check(sentence in said[0], f"expected '{sentence}': {said[0]}")
    t.check(f"failed in stage {stage} " in result.err,
            f"the tool does not name the stage: {result.err}")
    return result


def image(t, *options):
    path = t.path("disk.img")
    t.tool([os.path.join(ROOT, "tools", "isthmus"), "image", path, *options])
    return path


def manifest(t, old, new):
    """The default manifest with a text replaced."""
    with open(os.path.join(ROOT, "boot", "isthmus.dts"),
              encoding="utf-8") as f:
        text = f.read()
    t.check(old in text, f"the manifest has no '{old}'")
    path = t.path("changed.dts")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    return path


@case("no-file", "a module that is not on the disk", later=BOCHS)
def no_file(t):
    disk = image(t)
    t.tool(["mdel", "-i", disk + ESP, "::isthmus/initrd"])
    fails(t, 13, "\\isthmus\\initrd: no such file", "--image", disk)


@case("no-manifest", "no manifest on the disk", later=BOCHS)
def no_manifest(t):
    disk = image(t)
    t.tool(["mdel", "-i", disk + ESP, "::isthmus/isthmus.dtb"])
    fails(t, 12, "isthmus.dtb: no such file", "--image", disk)


@case("bad-hash", "one bit of a module differs", later=BOCHS)
def bad_hash(t):
    disk = image(t)
    name, kernel = "::isthmus/kernel", t.path("kernel")
    t.tool(["mcopy", "-n", "-i", disk + ESP, name, kernel])
    with open(kernel, "r+b") as f:
        f.seek(100_000)
        byte = f.read(1)[0]
        f.seek(100_000)
        f.write(bytes([byte ^ 0x10]))
    t.tool(["mcopy", "-o", "-i", disk + ESP, kernel, name])
    fails(t, 13, "\\isthmus\\kernel: its SHA-256 is", "--image", disk)


@case("bad-property", "a manifest property that is unknown, or out of range",
      later=BOCHS)
def bad_property(t):
    fails(t, 12, '/partitions/linux: unknown property "vcpu"', "--manifest",
          manifest(t, "id = <1>;\n\t\t\tvcpus", "id = <1>;\n\t\t\tvcpu"))
    fails(t, 12, 'property "memory-mib"', "--manifest",
          manifest(t, "memory-mib = <384>", "memory-mib = <3>"))


@case("initrd-too-big", "an initramfs that Linux cannot unpack is refused",
      later=BOCHS)
def initrd_too_big(t):
    large = t.path("large")
    with open(large, "wb") as f:
        f.truncate(45 << 20)
    fails(t, 64, "MiB or more, for which Linux with 128 MiB has",
          "--overlay", t.overlay({"large": large}), "--manifest",
          manifest(t, "memory-mib = <384>", "memory-mib = <128>"))


@case("linux-says", "what Linux says of its failed start reaches the user",
      later=BOCHS)
def linux_says(t):
    own = os.path.join(ROOT, "build", "guest", "initrd.cpio")
    with open(own, "rb") as f:
        data = f.read()
    with open(t.path("broken.cpio"), "wb") as f:
        f.write(data + bytes(-len(data) % 4) + b"junk" * 100)
    for options, words in (
            (("--append", "rdinit=/none"), "Kernel panic - not syncing: VFS"),
            (("--initrd", t.path("broken.cpio")),
             "Initramfs unpacking failed")):
        result = t.boot("--exec", "echo came up", *options)
        t.check(result.status == 125 and result.out == "",
                f"{words}: status {result.status}: {result.out}")
        last = result.err.rstrip().splitlines()[-1]
        t.check("stage 68 agent ready: Linux says: " + words in last,
                f"the reason is not the last line: {result.err}")


@case("no-vtx", "a processor without VT-x",
      only=("bochs",), why="VT-x is on Bochs only")
def no_vtx(t):
    fails(t, 11, "no VT-x", "--cpu", "athlon64_venice")


@case("no-ept", "a processor without EPT",
      only=("bochs",), why="VT-x is on Bochs only", later=BOCHS)
def no_ept(t):
    fails(t, 11, "no EPT", "--cpu", "core2_penryn_t9600")


@case("no-unrestricted-guest", "a processor without unrestricted guest",
      only=("bochs",), why="VT-x is on Bochs only", later=BOCHS)
def no_unrestricted_guest(t):
    fails(t, 11, "no unrestricted guest", "--cpu", "corei5_lynnfield_750")


@case("no-svm", "a processor without AMD-V", only=("qemu-tcg",),
      why="AMD-V is on QEMU here")
def no_svm(t):
    fails(t, 11, "AMD-V", "--cpu", "EPYC-Rome,-monitor,-svm")


@case("no-npt", "AMD-V without nested paging", only=("qemu-tcg",),
      why="AMD-V is on QEMU here")
def no_npt(t):
    fails(t, 11, "nested paging", "--cpu", "EPYC-Rome,-monitor,-npt")


@case("no-xsaveopt", "a processor whose XSAVE QEMU cannot turn on",
      only=("qemu-tcg",), why="it is QEMU that cannot")
def no_xsaveopt(t):
    fails(t, 11, ",+xsaveopt", "--cpu", "Opteron_G5,+npt")


@case("little-memory", "a machine with too little memory", later=BOCHS)
def little_memory(t):
    fails(t, 15, "too little memory", "--memory", "192")


def firmware(t, name):
    """A boot disk whose loader is started by qemu-test/boot/efi/NAME.c."""
    disk = image(t)
    firmware_on(t, disk, name)
    return disk


def firmware_on(t, disk, name, *flags):
    """The same, for a disk that is there; more of the compiler's flags."""
    out = t.path(name)
    t.tool(["gcc", *EFI_FLAGS, *flags, "-c", os.path.join(HERE, "efi", name + ".c"),
            "-o", out + ".o"])
    t.tool(["ld", "-nostdlib", "-shared", "-Bsymbolic", "-znocombreloc",
            "--no-warn-rwx-segments", "--defsym=_entry=efi_main",
            "-T", "/usr/lib/elf_x86_64_efi.lds",
            "/usr/lib/crt0-efi-x86_64.o", out + ".o",
            "/usr/lib/libgnuefi.a", "-o", out + ".so"])
    sections = [w for s in (".text", ".sdata", ".data", ".rodata", ".dynamic",
                            ".dynsym", ".rel", ".rela", ".reloc")
                for w in ("-j", s)]
    t.tool(["objcopy", *sections, "--target", "efi-app-x86_64",
            "--subsystem=10", out + ".so", out + ".efi"])
    loader = "::EFI/BOOT/BOOTX64.EFI"
    t.tool(["mren", "-i", disk + ESP, loader, "REAL.EFI"])
    t.tool(["mcopy", "-i", disk + ESP, out + ".efi", loader])


@case("vtx-locked", "VT-x locked off by the firmware",
      only=("bochs",), why="VT-x is on Bochs only", later=BOCHS)
def vtx_locked(t):
    fails(t, 11, "locked off by the firmware", "--image", firmware(t, "lock"))


@case("firmware-hangs", "a firmware that does not come back: the loader says "
      "so, and its watchdog is off", only=("qemu-tcg",),
      why="20 seconds of the firmware's time take Bochs minutes")
def firmware_hangs(t):
    result = fails(t, 14, "nothing has happened for 20 s", "--image",
                   firmware(t, "hang"))
    t.check("watchdog off" in result.serial, "the watchdog is on")
