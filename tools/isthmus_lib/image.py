# SPDX-License-Identifier: MIT
"""Builds boot disks: an MBR with one FAT partition of type EF (the EFI
system partition), filled by mtools without mounting anything; or a GPT with
that, one for the volume and one for a distribution. The same bytes on a USB
stick boot a real machine."""

import os
import secrets
import struct

from isthmus_lib import arguments, cpio, devicetree, gpt, manifest, volume
from isthmus_lib.common import BUILD, Failure, run

LOADER = os.path.join(BUILD, "boot", "BOOTX64.EFI")
SECTOR = 512
MIB = 1 << 20
FIRST_SECTOR = 2048             # 1 MiB, as every partitioning tool aligns
CYLINDER = 16 * 63              # sectors: emulators like whole cylinders
PRINTABLE = frozenset(map(chr, range(32, 127)))
EXEC_MAX = 4000                 # characters a manifest string may have
EXEC_FILE = ".isthmus-exec"
EXEC_SHOWN = "/run/isthmus/exec"    # the same, in every root
BOOT, VOLUME = "isthmus-boot", "isthmus-volume"     # their names in a GPT
DISTRO = os.path.join(BUILD, "guest", "initrd-distro.cpio")
VCPUS_MAX = 8                   # of a partition: boot/manifest_decode.c
BZIMAGE = (0x1fe, b"\x55\xaa"), (0x202, b"HdrS")
ELF = b"\x7fELF"                 # what is in it host-bridge looks at


class Options:
    """What a boot disk depends on; None or False: the manifest decides."""

    manifest = kernel = initrd = append = overlay = share = exec = None
    smp = mark = linux_disk = disks = volume_disk = volume_mib = None
    sandbox = control_key = samples = linux_memory = None
    # Of each (name, the manifest's word for its disk, who one is or None).
    distros = ()
    distro_images = ()              # they are on the boot disk, copies of these

    def __init__(self, **values):
        for key, value in values.items():
            if not hasattr(Options, key):
                raise TypeError(key)
            setattr(self, key, value)


def _exec_through_file(options, extra):
    """A command the manifest cannot hold goes into a file of Linux's."""
    command = options.exec
    if command is None or (len(command) <= EXEC_MAX and command
                           and PRINTABLE.issuperset(command)):
        return
    extra.add(EXEC_FILE, 0o100644, os.fsencode(command) + b"\n")
    options.exec = f". {EXEC_SHOWN}"


def _initrd(path, options, scratch):
    """The initrd module: the given one and what is laid over it."""
    extra = cpio.Archive()
    if options.overlay:
        extra.add_tree(options.overlay)
    _exec_through_file(options, extra)
    # What only distributions need other boots do not pay for.
    below = [path] + ([DISTRO] if options.distros else [])
    if len(below) == 1 and not extra.count:
        return path
    joined = os.path.join(scratch, "initrd")
    with open(joined, "wb") as out:
        for archive in below:
            with open(archive, "rb") as f:
                data = f.read()
            # Linux looks for a further archive at a multiple of 4 bytes.
            out.write(data + bytes(-len(data) % 4))
        if extra.count:
            out.write(extra.finish())
    return joined


def _without_symbols(name, path, scratch):
    """Debugging information is most of an ELF module. Nobody needs it on the
    disk, and the loader would read and hash it."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return path
    stripped = os.path.join(scratch, name + ".stripped")
    run(["strip", "-o", stripped, path])
    return stripped


def _modules(tree, options, scratch):
    own = {}
    if options.kernel:
        own["kernel"] = options.kernel
    base = options.initrd or manifest.MODULE_FILES["initrd"]
    if tree.find("modules/initrd") is not None:
        if not os.path.exists(base):
            raise Failure(f"the initrd {base} is not there", 2)
        own["initrd"] = _initrd(base, options, scratch)
    if tree.find("modules/volume") is not None:
        own["volume"] = os.path.join(scratch, "volume")
        # With the volume on a disk it is not used, and stays empty.
        volume.make(own["volume"], None if options.volume_disk
                    else options.share, scratch)
    return {name: _without_symbols(name, path, scratch)
            for name, path in manifest.module_files(tree, own).items()}


def _write_mbr(disk, sectors):
    """One partition of type EF. CHS fields say "use LBA"."""
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0xef,
                        b"\xfe\xff\xff", FIRST_SECTOR, sectors)
    with open(disk, "r+b") as f:
        f.seek(440)
        f.write(struct.pack("<IH", 0x68747369, 0))
        f.write(entry + bytes(48) + b"\x55\xaa")


def _distro_part(number):
    return f"isthmus-distro{number or ''}"


def _parts(boot, options):
    """(type, first sector, sectors, name) of each: the first of `boot`
    sectors."""
    parts = [(gpt.EFI_SYSTEM, FIRST_SECTOR, boot, BOOT)]
    sizes = [(VOLUME, options.volume_mib * MIB)] if options.volume_mib else []
    sizes += [(_distro_part(i), os.path.getsize(path))
              for i, path in enumerate(options.distro_images)]
    for name, size in sizes:
        end = parts[-1][1] + parts[-1][2]
        parts.append((gpt.LINUX, -(-end // gpt.ALIGN) * gpt.ALIGN,
                      -(-size // SECTOR), name))
    return parts


def _write_gpt(disk, parts, options, seed):
    """The volume is as mke2fs makes one by itself. As many more sectors as
    whole cylinders take are left."""
    end = parts[-1][1] + parts[-1][2] + gpt.LAST
    sectors = -(-end // CYLINDER) * CYLINDER
    with open(disk, "r+b") as f:
        f.truncate(sectors * SECTOR)
    gpt.write(disk, sectors, parts, seed)
    at = {name: first * SECTOR for _, first, _, name in parts}
    if VOLUME in at:
        _make_volume(disk, at[VOLUME], options.volume_mib, options.share)
    for i, path in enumerate(options.distro_images):
        run(["dd", "if=" + path, "of=" + disk, "bs=1M",
             f"seek={at[_distro_part(i)] // MIB}", "conv=sparse,notrunc",
             "status=none"])


def _make_volume(disk, at, mib, share):
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "isthmus",
         *(["-b", "4096"] if mib * MIB >= volume.LARGE_BLOCKS else []),
         *(["-d", share] if share else []), "-E", f"nodiscard,offset={at}",
         disk, f"{mib}M"])
    if share:
        volume.hash_folders(f"{disk}?offset={at}")


def write_disk(disk, files, options=None, seed=""):
    """Makes a disk whose EFI system partition holds {path: local file}, and
    what else the options want on it."""
    content = sum(-(-os.path.getsize(p) // 4096) * 4096
                  for p in files.values())
    sectors = (content + content // 16 + 4 * MIB) // SECTOR + FIRST_SECTOR
    sectors = -(-sectors // CYLINDER) * CYLINDER
    with open(disk, "wb") as f:
        f.truncate(sectors * SECTOR)
    parts = _parts(sectors - FIRST_SECTOR, options or Options())
    if len(parts) > 1:
        _write_gpt(disk, parts, options, seed)
    else:
        _write_mbr(disk, sectors - FIRST_SECTOR)
    run(["mkfs.fat", "--invariant", "-n", "ISTHMUS", "--offset",
         str(FIRST_SECTOR), disk, str((sectors - FIRST_SECTOR) // 2)])
    env = dict(os.environ, MTOOLS_SKIP_CHECK="1")
    where = f"{disk}@@{FIRST_SECTOR * SECTOR}"
    folders = set()
    for path in map(os.path.dirname, files):
        while path:
            folders.add(path)
            path = os.path.dirname(path)
    run(["mmd", "-i", where, *("::" + f for f in sorted(folders))], env=env)
    for path, local in sorted(files.items()):
        run(["mcopy", "-i", where, local, "::" + path], env=env)


def _check_kernel(path):
    with open(path, "rb") as f:
        head = f.read(1024)
    if not head.startswith(ELF) and \
            any(not head.startswith(magic, at) for at, magic in BZIMAGE):
        arguments.refuse("--kernel", path, "it is no bzImage, and no ELF file")


def check(options):
    """Refuses options that name nothing of use, before anything is made."""
    for option in ("manifest", "kernel", "initrd"):
        if getattr(options, option) is not None:
            arguments.check_file("--" + option, getattr(options, option))
    for option in ("overlay", "share"):
        if getattr(options, option) is not None:
            arguments.check_folder("--" + option, getattr(options, option))
    if options.kernel is not None:
        _check_kernel(options.kernel)
    if not options.manifest and (options.smp or 0) > VCPUS_MAX:
        raise Failure(f"--smp {options.smp}: Linux has {VCPUS_MAX} CPUs at "
                      "most; with more, use --manifest", 2)


def build(disk, options, scratch):
    """Builds the boot disk for these options at the path `disk`."""
    if not os.path.exists(LOADER):
        raise Failure(f"{LOADER} is not there (run `make all`)", 2)
    tree = manifest.compile_source(options.manifest or manifest.DEFAULT)
    seed = secrets.token_hex(16)        # two such disks are told apart
    if options.volume_mib:
        options.volume_disk = f"id:{gpt.part_id(seed, VOLUME)}"
    if options.distro_images:
        options.distros = [
            (name, f"id:{gpt.part_id(seed, _distro_part(i))}", user)
            for i, (name, _, user) in enumerate(options.distros)]
    modules = _modules(tree, options, scratch)
    manifest.fill_in(tree, modules, options)
    blob = os.path.join(scratch, "isthmus.dtb")
    with open(blob, "wb") as f:
        f.write(devicetree.flatten(tree))
    files = {"EFI/BOOT/BOOTX64.EFI": LOADER, "isthmus/isthmus.dtb": blob}
    for name, path in modules.items():
        place = tree.find(f"modules/{name}").text("path")
        files[place.strip("\\").replace("\\", "/")] = path
    write_disk(disk, files, options, seed)
