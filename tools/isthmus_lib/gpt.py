# SPDX-License-Identifier: MIT
"""Partition tables of disks that we make: GPT, of 512-byte sectors.

[UEFI 2.10 "GUID Partition Table (GPT) Disk Layout"]
"""

import binascii
import struct
import uuid

SECTOR = 512
ALIGN = 2048                    # sectors: 1 MiB
ENTRIES, ENTRY = 128, 128       # as all have them
TABLE = ENTRIES * ENTRY // SECTOR
LAST = TABLE + 1                # sectors at the end: entries, header
EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


def _crc(data):
    return binascii.crc32(data) & 0xffffffff


def _header(here, other, table, sectors, disk, entries):
    def head(crc):
        return struct.pack("<8sIIII4Q16sQIII", b"EFI PART", 0x10000, 92, crc,
                           0, here, other, 2 + TABLE, sectors - LAST - 1,
                           disk.bytes_le, table, ENTRIES, ENTRY,
                           _crc(entries))
    return head(_crc(head(0))).ljust(SECTOR, b"\0")


def part_id(seed, name):
    """The GUID of the part of that name."""
    return uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, seed), name)


def write(path, sectors, parts, seed):
    """Writes the table of a disk file of that many sectors. parts: (type, first
    sector, sectors, name) of each. The same seed gives the same GUIDs."""
    disk = uuid.uuid5(uuid.NAMESPACE_URL, seed)
    entries = b"".join(
        struct.pack("<16s16sQQQ72s", kind.bytes_le,
                    part_id(seed, name).bytes_le, first,
                    first + count - 1, 0, name.encode("utf-16-le"))
        for kind, first, count, name in parts).ljust(ENTRIES * ENTRY, b"\0")
    protective = struct.pack("<B3sB3sII", 0, b"\0\x02\0", 0xee,
                             b"\xff\xff\xff", 1, min(sectors - 1, 0xffffffff))
    with open(path, "r+b") as f:
        f.write(bytes(446) + protective + bytes(48) + b"\x55\xaa")
        f.write(_header(1, sectors - 1, 2, sectors, disk, entries) + entries)
        f.seek((sectors - LAST) * SECTOR)
        f.write(entries + _header(sectors - 1, 1, sectors - LAST, sectors,
                                  disk, entries))
