# SPDX-License-Identifier: MIT
"""The disk of --disk: a file that is kept between runs, beside the boot disk,
which is made anew for each. The manifest names it, so host-bridge may write to
it."""

import os
import shutil
import stat
import subprocess

from isthmus_lib import arguments, volume
from isthmus_lib.common import Failure

MIB = 1 << 20
CYLINDER = 16 * 63 * 512        # Bochs likes whole ones; 8 KiB divide it
SIZE_DEFAULT = 256              # MiB
SERIAL = "isthmus"
BUSES = ("virtio", "nvme", "ahci", "ide")
# Where Bochs has a disk, by its name; the boot disk is ata0-master.
BOCHS = {"data": ("ata0-slave", []), "distro": (
    "ata1-master", ["ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15"]),
    "distro1": ("ata1-slave", [])}


class DataDisk:
    """Its file and how it is attached. `name`: of all that is the emulator's
    for it."""

    def __init__(self, path, bus, sector=512, bad=None, log=None, name="data",
                 serial=SERIAL):
        self.path = os.path.abspath(path)
        self.bus = bus
        self.sector = sector
        self.bad = bad
        self.log = log
        self.name = name
        self.serial = serial

    def _blocks(self):
        """What is below the device. Bad sectors are blkdebug's doing, the log
        blklogwrites'."""
        below = f"{self.name}-file"
        line = ["-blockdev", f"driver=file,discard=unmap,node-name={below},"
                "filename=" + self.path.replace(",", ",,")]
        if self.bad is not None:
            below = "data-bad"
            line += ["-blockdev", "driver=blkdebug,discard=unmap,node-name="
                     f"{below},image=data-file" + "".join(
                         f",inject-error.{i}.event=none,"
                         f"inject-error.{i}.sector={sector}"
                         for i, sector in enumerate(self.bad))]
        if self.log is not None:
            line += ["-blockdev", "driver=file,node-name=data-log-file,"
                     "filename=" + os.path.abspath(self.log)
                     .replace(",", ",,"), "-blockdev", "driver=blklogwrites,"
                     f"discard=unmap,node-name=data-log,file={below},"
                     "log=data-log-file"]
            below = "data-log"
        return line + ["-blockdev", "driver=raw,discard=unmap,node-name="
                       f"{self.name},file={below}"]

    def qemu(self, machine):
        """QEMU's arguments for it."""
        line = self._blocks()
        device = {"virtio": "virtio-blk-pci,disable-legacy=on,"
                  "iommu_platform=on", "nvme": "nvme", "ahci": "ide-hd,bus="
                  + ("ide.1" if machine == "q35" else "data-ahci.0"),
                  "ide": "ide-hd,bus=" + ("data-ide.0" if machine == "q35"
                                          else "ide.0,unit=1")}[self.bus]
        if self.bus == "ahci" and machine != "q35":
            line += ["-device", "ahci,id=data-ahci"]
        if self.bus == "ide" and machine == "q35":
            line += ["-device", "piix3-ide,id=data-ide"]
        if self.sector != 512:
            device += f",logical_block_size={self.sector}," \
                f"physical_block_size={self.sector}"
        return line + ["-device", f"{device},drive={self.name},"
                       f"id={self.name}-disk,serial={self.serial}"]

    def bochs(self, folder):
        """Bochs's lines for it. The link keeps its lock file in the folder."""
        link = os.path.join(folder, f"{self.name}.img")
        for path in (link, link + ".lock"):
            if os.path.lexists(path):
                os.unlink(path)
        os.symlink(self.path, link)
        place, before = BOCHS[self.name]
        return [*before, f"{place}: type=disk, path={link}, mode=flat" + (
            "" if self.sector == 512 else f", sect_size={self.sector}")]


def _bus(args, platform):
    """What it is attached to, and the manifest's word for it."""
    if platform.name.startswith("nested"):
        raise Failure(f"--disk: platform {platform.name} has none", 2)
    bochs = platform.name.startswith("bochs")
    bus = args.disk_bus or ("ide" if bochs else "virtio")
    if bochs and bus != "ide":
        raise Failure(f"--disk-bus {bus}: Bochs has only ide", 2)
    return bus, "ide1" if bochs else "serial:" + SERIAL


def _check_there(args):
    """What the file is that is there already."""
    if not stat.S_ISREG(os.stat(args.disk).st_mode):
        arguments.refuse("--disk", args.disk, "it is not a regular file")
    try:
        with open(args.disk, "r+b"):
            pass
    except OSError as error:
        arguments.refuse("--disk", args.disk, error.strerror)
    if os.path.getsize(args.disk) == 0:
        arguments.refuse("--disk", args.disk, "it is empty")
    if args.disk_size is not None and \
            os.path.getsize(args.disk) != _bytes(args.disk_size):
        raise Failure(f"--disk-size {args.disk_size}: {args.disk} is there "
                      f"already and has {os.path.getsize(args.disk)} bytes", 2)
    if args.disk_volume and args.share:
        raise Failure(f"--share {args.share}: the volume is on {args.disk}, "
                      "which is there already; a copy is made for a new one "
                      "only", 2)


def check(args, platform):
    """Refuses what is of no use; returns the disk and the manifest's word, or
    (None, None)."""
    if args.disk is None:
        for name in ("disk_size", "disk_bus", "disk_sector", "disk_bad",
                     "disk_log", "disk_volume", "disk_part"):
            if getattr(args, name) is not None:
                raise Failure(f"--{name.replace('_', '-')} is for the disk of "
                              "--disk", 2)
        return None, None
    bus, word = _bus(args, platform)
    if os.path.exists(args.disk):
        _check_there(args)
    elif args.disk_part is not None:
        raise Failure(f"--disk-part {args.disk_part}: {args.disk} is not "
                      "there, and would be made without parts", 2)
    if " " in (args.disk_part or ""):
        raise Failure(f"--disk-part {args.disk_part}: a name with a space "
                      "cannot be in the manifest", 2)
    if args.disk_volume and not shutil.which("mke2fs"):
        raise Failure("--disk-volume: there is no mke2fs", 2)
    sector = args.disk_sector or 512
    if sector != 512 and bus in ("ahci", "ide") and word != "ide1":
        raise Failure(f"--disk-sector {sector}: QEMU has it with virtio and "
                      "nvme only", 2)
    if args.disk_bad is not None and word == "ide1":
        raise Failure("--disk-bad: Bochs has no bad sectors", 2)
    if args.disk_log is not None:
        if word == "ide1":
            raise Failure("--disk-log: Bochs has none", 2)
        _new_log(args.disk_log)
    disk = DataDisk(args.disk, bus, sector, args.disk_bad, args.disk_log)
    return disk, word if args.disk_part is None else "label:" + args.disk_part


def _new_log(path):
    """QEMU wants it to be there, and begins at its start."""
    try:
        with open(path, "wb"):
            pass
    except OSError as error:
        arguments.refuse("--disk-log", path, error.strerror)


def _bytes(mib):
    """At least as many MiB, in whole cylinders."""
    return -(-mib * MIB // CYLINDER) * CYLINDER


def make(disk, mib, as_volume=False, share=None):
    """Makes the file when it is absent: holes only, or with a file system by
    mke2fs's own defaults but for its blocks, which begins as a copy of the folder `share`."""
    if os.path.exists(disk.path):
        return
    new = disk.path + ".new" if as_volume else disk.path
    try:
        with open(new, "xb") as f:
            f.truncate(_bytes(mib or SIZE_DEFAULT))
    except OSError as error:
        arguments.refuse("--disk", new, error.strerror)
    if as_volume:
        _make_volume(new, disk.sector, share)
        os.rename(new, disk.path)


def _make_volume(path, sector, share):
    """The name that counts is given when it is whole."""
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "isthmus"]
    if sector > 1024 or os.path.getsize(path) >= volume.LARGE_BLOCKS:
        command += ["-b", "4096"]
    if share:
        command += ["-d", share]
    done = subprocess.run(command + [path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        os.unlink(path)
        text = done.stdout.decode("utf-8", "replace").strip()
        raise Failure(f"--disk-volume: mke2fs failed: {text}", 2)
    if share:
        volume.hash_folders(path)
