# SPDX-License-Identifier: MIT
"""A machine's memory as its debugger saved it: what of it must not change
whatever devices do, found by the tables that are in it."""

import mmap
import re
import struct
import subprocess

from debugger import ADDRESS, LARGE, PRESENT, WRITE, image_segments

PAGE = 4096
# Owners of pages, as hypervisor/include/hv.h has them.
OWNER_HYPERVISOR, OWNER_HOST = 2, 4
# Registers of QEMU's units, and their words: [AMD-Vi "IOMMU MMIO Registers"],
# [VT-d "Register Descriptions"].
REGISTERS = {"amd": (0xfed80000,), "intel": (0xfed90020, 0xfed900b8)}
DEVICES = 0x10000
USED = 1 << 5 | 1 << 6          # a processor sets these in tables of its own
PROCESSOR = " page tables"      # how their kinds end


def _symbols(program):
    """{name: address} of a program's, without what link-time optimization
    says behind a name."""
    text = subprocess.run(["nm", program], stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    return {name: int(at, 16) for at, name in
            re.findall(r"^([0-9a-f]+) \w (\S+?)(?:\.lto_priv\.\d+)?$", text,
                       re.M)}


def _offset(program, member):
    """Where a member of a structure lies."""
    kind, name = member.split(".")
    text = subprocess.run(
        ["gdb", "-batch", "-nx", "-ex",
         f"print/d (long)&((struct {kind} *)0)->{name}", program],
        stdout=subprocess.PIPE, check=True).stdout.decode()
    return int(re.search(r"= (\d+)", text)[1])


class Snapshot:
    """The file of a machine's memory from address 0 on; `root`: of the
    page tables of the hypervisor, `program`; `unit`: the words at
    REGISTERS."""

    def __init__(self, path, program, root, iommu, unit):
        with open(path, "rb") as f:
            self.memory = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.root, self.iommu, self.unit = root & ADDRESS, iommu, unit
        self.program = program
        names = _symbols(program)
        self.owners = self.physical(self.word(self.physical(names["owner"])))
        host = self.word(self.physical(names["partitions"]))
        self.host = self.word(self.physical(
            host + _offset(program, "partition.gpm_root"))) & ADDRESS
        box, size = (self.word(self.physical(
            names["boot"] + _offset(program, "boot_info." + member)))
            for member in ("box", "box_size"))
        self.box = range(box, box + size)       # the hypervisor writes there

    def close(self):
        self.memory.close()

    def table(self, address):
        return struct.unpack_from("<512Q", self.memory, address)

    def word(self, address):
        return struct.unpack_from("<Q", self.memory, address)[0]

    def physical(self, virtual):
        """Where the hypervisor finds it."""
        at = self.root
        for level in (4, 3, 2, 1):
            entry = self.word(at + (virtual >> 3 + 9 * level & 511) * 8)
            at = entry & ADDRESS
            size = 1 << 3 + 9 * level
            if level == 1 or entry & LARGE:
                return (at & -size) + (virtual & size - 1)
        raise AssertionError

    def owner(self, page):
        """Whose a page is, by its number."""
        return self.memory[self.owners + page]

    def _tables(self, root, levels, present=PRESENT, large=LARGE):
        yield root
        for entry in self.table(root) if levels > 1 else ():
            if entry & present and not entry & large:
                yield from self._tables(entry & ADDRESS, levels - 1, present,
                                        large)

    def _amd(self):
        """Device table, page tables, interrupt tables."""
        base = self.unit[0] & ADDRESS
        yield from range(base, base + DEVICES * 32, PAGE)
        roots = set()
        for word, _, third, _ in struct.iter_unpack(
                "<4Q", self.memory[base:base + DEVICES * 32]):
            roots.add((word & ADDRESS, word >> 9 & 7))
            if third & ADDRESS:
                yield third & ADDRESS
        for root, levels in roots:
            yield from self._tables(root, levels, large=0)

    def _intel(self):
        """Root table, context tables, page tables, the interrupt table."""
        root, remap = (word & ADDRESS for word in self.unit)
        yield from (root, remap)
        for entry in self.table(root)[::2]:
            if entry & PRESENT:
                yield entry & ADDRESS
                context = self.table(entry & ADDRESS)
                for low, high in zip(context[::2], context[1::2]):
                    if low & PRESENT:
                        yield from self._tables(low & ADDRESS, (high & 7) + 2,
                                                present=3, large=0)

    def protected(self):
        """{address of a page: what it is}, of all that never changes while
        nobody is given or loses anything."""
        found = {}
        for address, length, flags in image_segments(self.program):
            if not flags & WRITE:
                for at in range(address, address + length, PAGE):
                    found[self.physical(at)] = "the hypervisor's program"
        pages = len(self.memory) // PAGE
        for what, kind in (
                (self._tables(self.root, 4), "the hypervisor's" + PROCESSOR),
                (self._tables(self.host, 4), "the host partition's" + PROCESSOR),
                (range(self.owners & -PAGE, self.owners + pages, PAGE),
                 "owners of pages"),
                (self._amd() if self.iommu == "amd" else self._intel(),
                 "the IOMMU's tables")):
            found.update((at, kind) for at in what)
        return found


def _same(kind, before, after):
    """Two contents of a page."""
    if before == after or not kind.endswith(PROCESSOR):
        return before == after
    return all((a ^ b) & ~USED == 0 for a, b in
               zip(*(struct.unpack("<512Q", page) for page in (before, after))))


def changed(before, after):
    """What of two snapshots differs and must not: all that is protected, and
    every page that is neither the hypervisor's nor the host partition's, nor
    of the black box.
    Returns sentences, how many pages are protected, and how many are others
    that must not change."""
    wrong, foreign = [], 0
    protected = before.protected()
    if after.protected() != protected:
        wrong.append("there are other tables")
    for at in range(0, len(before.memory), PAGE):
        kind = protected.get(at)
        if not kind:
            owner = before.owner(at // PAGE)
            if owner in (OWNER_HYPERVISOR, OWNER_HOST) or at in before.box:
                continue
            foreign += 1
            kind = f"a page of owner {owner}"
        if not _same(kind, before.memory[at:at + PAGE],
                     after.memory[at:at + PAGE]):
            wrong.append(f"{at:#x}, {kind}")
    return wrong, len(protected), foreign
