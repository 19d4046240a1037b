# SPDX-License-Identifier: MIT
"""Inodes and blocks of an empty ext4 file system, which has no checksums: they
are taken from the first free ones on, for nothing in it was ever freed.

[Linux "Documentation/filesystems/ext4"]
"""

import os
import re
import struct

from isthmus_lib import ext4
from isthmus_lib.common import Failure

BLOCK = 4096
INODE = 256
ROOT, LOST_FOUND, FIRST_INODE = 2, 11, 12
EXTENT_MAX = 32768              # blocks of one


class Blocks:
    """The groups with their bitmaps; blocks and inodes are taken from the
    first free ones on."""

    def __init__(self, file):
        self.fd = file.fileno()
        sb = os.pread(self.fd, 1024, 1024)
        self.per_group, = struct.unpack_from("<I", sb, 32)
        self.inodes, = struct.unpack_from("<I", sb, 40)
        low, = struct.unpack_from("<I", sb, 4)
        high, = struct.unpack_from("<I", sb, 0x150)
        self.wide = struct.unpack_from("<I", sb, 96)[0] & ext4.INCOMPAT_64BIT
        self.desc = struct.unpack_from("<H", sb, 254)[0] if self.wide else 32
        self.count = low | (high << 32 if self.wide else 0)
        self.groups = -(-self.count // self.per_group)
        self.table = bytearray(os.pread(self.fd, self.groups * self.desc,
                                        BLOCK))
        self.taken, self.folders = {}, {}   # of a group: runs; how many
        self.freed = self._give_back(file.name)
        self.free = self._free_runs()
        self.run = next(self.free)
        self.next_inode = FIRST_INODE

    def _field(self, group, low, high, put=None):
        """A number of a group's descriptor, in two halves; `put` writes it."""
        shape = "<I" if low < 12 else "<H"
        at, bits = group * self.desc, struct.calcsize(shape) * 8
        if put is not None:
            struct.pack_into(shape, self.table, at + low,
                             put & (1 << bits) - 1)
            if self.wide:
                struct.pack_into(shape, self.table, at + high, put >> bits)
        value, = struct.unpack_from(shape, self.table, at + low)
        if self.wide:
            value |= struct.unpack_from(shape, self.table,
                                        at + high)[0] << bits
        return value

    def _bitmap(self, group):
        return int.from_bytes(os.pread(
            self.fd, BLOCK, self._field(group, 0, 32) * BLOCK), "little")

    def _give_back(self, path):
        """The blocks that mke2fs has given to its two folders, which are
        written anew, are free. Returns how many."""
        volume, freed = ext4.Volume(path), 0
        for number in (ROOT, LOST_FOUND):
            for _, n, where in volume.extents(volume.inode(number).block):
                group, at = divmod(where, self.per_group)
                self._put_bitmap(group, self._bitmap(group)
                                 & ~((1 << n) - 1 << at))
                self._field(group, 12, 44, self._field(group, 12, 44) + n)
                freed += n
        volume.close()
        return freed

    def _put_bitmap(self, group, bits):
        os.pwrite(self.fd, bits.to_bytes(BLOCK, "little"),
                  self._field(group, 0, 32) * BLOCK)

    def _free_runs(self):
        for group in range(self.groups):
            size = min(self.per_group, self.count - group * self.per_group)
            bits = bin(self._bitmap(group))[:1:-1].ljust(size, "0")[:size]
            for found in re.finditer("0+", bits):
                yield group, found.start(), found.end() - found.start()

    def take(self, count):
        """[(first, how many)] of so many blocks."""
        got = []
        while count:
            group, start, size = self.run
            if not size:
                try:
                    self.run = next(self.free)
                except StopIteration:
                    raise Failure("the image is too small for its files "
                                  "(--size)") from None
                continue
            n = min(count, size, EXTENT_MAX)
            self.taken.setdefault(group, []).append((start, n))
            got.append((group * self.per_group + start, n))
            self.run = group, start + n, size - n
            count -= n
        return got

    def inode(self, folder):
        number = self.next_inode
        self.next_inode += 1
        if number > self.inodes * self.groups:
            raise Failure("the image has too few inodes for its files "
                          "(--size)")
        group = (number - 1) // self.inodes
        if folder:
            self.folders[group] = self.folders.get(group, 0) + 1
        return number

    def write_inode(self, number, raw):
        group, index = divmod(number - 1, self.inodes)
        os.pwrite(self.fd, raw, self._field(group, 8, 40) * BLOCK
                  + index * INODE)

    def _mark_inodes(self, group):
        """Those taken are a group's first ones."""
        n = min(self.next_inode - 1 - group * self.inodes, self.inodes)
        where = self._field(group, 4, 36) * BLOCK
        bits = int.from_bytes(os.pread(self.fd, BLOCK, where), "little")
        os.pwrite(self.fd, (bits | (1 << n) - 1).to_bytes(BLOCK, "little"),
                  where)
        self._field(group, 14, 46, self.inodes - n)

    def close(self):
        """Writes bitmaps, descriptors and the sums of all."""
        blocks = 0
        for group, runs in self.taken.items():
            bits = self._bitmap(group)
            for start, n in runs:
                bits |= (1 << n) - 1 << start
                blocks += n
            self._put_bitmap(group, bits)
            self._field(group, 12, 44, self._field(group, 12, 44)
                        - sum(n for _, n in runs))
        for group in range((self.next_inode - 2) // self.inodes + 1):
            self._mark_inodes(group)
            self._field(group, 16, 48, self._field(group, 16, 48)
                        + self.folders.get(group, 0))
        os.pwrite(self.fd, self.table, BLOCK)
        sb = bytearray(os.pread(self.fd, 1024, 1024))
        low, = struct.unpack_from("<I", sb, 12)
        high, = struct.unpack_from("<I", sb, 0x158)
        free = (low | high << 32) + self.freed - blocks
        struct.pack_into("<I", sb, 12, free & 0xffffffff)
        struct.pack_into("<I", sb, 0x158, free >> 32)
        struct.pack_into("<I", sb, 16, self.inodes * self.groups
                         - self.next_inode + 1)
        os.pwrite(self.fd, sb, 1024)
