# SPDX-License-Identifier: MIT
"""Writes cpio archives in the `newc` format, as Linux's initramfs takes them.

Owner is root, times are zero, inode numbers are made up: the archive of a
folder depends on names, modes and contents only.
[Linux Documentation/driver-api/early-userspace/buffer-format.rst]
"""

import os
import stat


class Archive:
    """An archive in memory."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        """One member; mode holds the file type too."""
        self.count += 1
        raw = os.fsencode(name) + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self.count, mode, 0, 0, links, 0, len(data), 0, 0,
                  device[0], device[1], len(raw), 0)
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        self.parts += [head, bytes(-len(head) % 4), data,
                       bytes(-len(data) % 4)]

    def add_tree(self, folder):
        """Everything below a folder, under its names there. Unlike in a
        file system, the folder itself is not a member: laid over another
        tree, it does not change the mode of the root."""
        for top, dirs, files in os.walk(folder):
            dirs.sort()
            for name in sorted(files + dirs):
                path = os.path.join(top, name)
                self._add_path(path, os.path.relpath(path, folder))

    def _add_path(self, path, name):
        info = os.lstat(path)
        data, device = b"", (0, 0)
        if stat.S_ISLNK(info.st_mode):
            data = os.fsencode(os.readlink(path))
        elif stat.S_ISREG(info.st_mode):
            with open(path, "rb") as f:
                data = f.read()
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            device = (os.major(info.st_rdev), os.minor(info.st_rdev))
        self.add(name, info.st_mode, data, device)

    def finish(self):
        """The whole archive, padded so that another can follow."""
        self.count = -1
        self.add("TRAILER!!!", 0)
        whole = b"".join(self.parts)
        return whole + bytes(-len(whole) % 512)
