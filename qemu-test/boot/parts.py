# SPDX-License-Identifier: MIT
"""Disk images with a GPT, for tests. [UEFI 2.10 "GUID Partition Table (GPT)
Disk Layout"]"""

import hashlib
import os
import struct
import uuid
import zlib

SECTOR = 512
MIB = 1 << 20
CYLINDER = 16 * 63 * SECTOR     # Bochs likes whole ones
ENTRIES, ENTRY = 128, 128
TABLE = ENTRIES * ENTRY // SECTOR
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


class Parts:
    """An image: its parts by name, (first byte, length)."""

    def __init__(self, path, contents):
        """Makes it of files: {name of the part: path}."""
        self.path = path
        self.parts = {}
        end = MIB
        for name, source in contents.items():
            size = os.path.getsize(source)
            self.parts[name] = end, size
            end += -(-size // MIB) * MIB
        size = -(-(end + MIB) // CYLINDER) * CYLINDER
        with open(path, "wb") as f:
            f.truncate(size)
            for name, source in contents.items():
                f.seek(self.parts[name][0])
                with open(source, "rb") as data:
                    f.write(data.read())
            self._tables(f, size // SECTOR)

    def _tables(self, f, sectors):
        table = b"".join(
            LINUX.bytes_le + uuid.uuid4().bytes_le + struct.pack(
                "<QQQ", first // SECTOR, (first + size - 1) // SECTOR, 0)
            + name.encode("utf-16-le").ljust(72, b"\0")
            for name, (first, size) in self.parts.items())
        table = table.ljust(ENTRIES * ENTRY, b"\0")
        disk, last = uuid.uuid4(), sectors - 1
        f.seek(0)
        f.write(b"\0" * 446 + struct.pack(
            "<BBBBBBBBII", 0, 0, 2, 0, 0xee, 255, 255, 255, 1, last)
            + b"\0" * 48 + b"\x55\xaa")
        for here, other, entries in ((1, last, 2), (last, 1, last - TABLE)):
            head = struct.pack(
                "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, here,
                other, 2 + TABLE, last - TABLE - 1, disk.bytes_le, entries,
                ENTRIES, ENTRY, zlib.crc32(table))
            head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
            f.seek(here * SECTOR)
            f.write(head)
            f.seek(entries * SECTOR)
            f.write(table)

    def take(self, name, target):
        """Writes a part's content to a file."""
        first, size = self.parts[name]
        with open(self.path, "rb") as f, open(target, "wb") as out:
            f.seek(first)
            out.write(f.read(size))

    def besides(self, name):
        """A hash of all that is not that part."""
        first, size = self.parts[name]
        with open(self.path, "rb") as f:
            found = hashlib.sha256(f.read(first))
            f.seek(first + size)
            found.update(f.read())
        return found.hexdigest()
