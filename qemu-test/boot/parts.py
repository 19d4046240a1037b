# SPDX-License-Identifier: MIT
"""Disk images with a GPT, for tests."""

import hashlib
import os

from isthmus_lib import gpt

MIB = 1 << 20
CYLINDER = 16 * 63 * gpt.SECTOR     # Bochs likes whole ones


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
        gpt.write(path, size // gpt.SECTOR,
                  [(gpt.LINUX, first // gpt.SECTOR, count // gpt.SECTOR, name)
                   for name, (first, count) in self.parts.items()], path)

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
