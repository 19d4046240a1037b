# SPDX-License-Identifier: MIT
"""Writes a tar archive of an ext4 file system in a file (ext4.py), with
owners, modes, times, extended attributes, ACLs, links, holes and devices, as
POSIX's pax format and GNU tar have them. Nothing is mounted."""

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile

from isthmus_lib import ext4
from isthmus_lib.common import Failure

COMPRESSED = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open,
              ".xz": lzma.open}
TYPES = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE,
         stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE,
         stat.S_IFBLK: tarfile.BLKTYPE, stat.S_IFIFO: tarfile.FIFOTYPE}
ACL_WORDS = {1: "user:", 2: "user:", 4: "group:", 8: "group:", 16: "mask:",
             32: "other:"}
ACLS = {"system.posix_acl_access": "SCHILY.acl.access",
        "system.posix_acl_default": "SCHILY.acl.default"}


def _acl_text(value):
    """An ACL in words, of Linux's attribute."""
    return ",".join(
        ACL_WORDS[tag] + (str(who) if tag in (ext4.ACL_USER, ext4.ACL_GROUP)
                          else "")
        + ":" + "".join("rwx"[i] if perm & 4 >> i else "-" for i in range(3))
        for tag, perm, who in struct.iter_unpack("<HHI", value[4:]))


class _Writer:
    def __init__(self, volume, out, step):
        self.volume, self.out, self.step = volume, out, step
        self.names = {}             # of files with several links, by number
        self.left_out = self.done = 0

    def folder(self, inode, path):
        for name, number in sorted(self.volume.entries(inode)):
            if path or name != b"lost+found":
                self.one(number, path + name)

    def one(self, number, path):
        inode = self.volume.inode(number)
        kind = stat.S_IFMT(inode.mode)
        if kind not in TYPES:           # a socket, of a program that ended
            self.left_out += 1
            return
        info = self._info(inode, path)
        if number in self.names:
            info.type, info.linkname = tarfile.LNKTYPE, self.names[number]
            self._head(info)
            return
        if inode.links > 1 and kind != stat.S_IFDIR:
            self.names[number] = info.name
        if kind == stat.S_IFREG:
            self._file(inode, info)
            return
        if kind == stat.S_IFLNK:
            info.linkname = os.fsdecode(self.volume.link(inode))
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            info.devmajor = os.major(inode.device())
            info.devminor = os.minor(inode.device())
        self._head(info)
        if kind == stat.S_IFDIR:
            self.folder(inode, path + b"/")

    def _info(self, inode, path):
        info = tarfile.TarInfo(os.fsdecode(path) or ".")
        info.type = TYPES[stat.S_IFMT(inode.mode)]
        info.mode = stat.S_IMODE(inode.mode)
        info.uid, info.gid = inode.uid, inode.gid
        seconds, rest = divmod(inode.mtime, 1_000_000_000)
        info.mtime = seconds
        if seconds < 0:                 # POSIX's sign is the whole number's
            seconds, rest = divmod(-inode.mtime, 1_000_000_000)
            info.pax_headers["mtime"] = f"-{seconds}.{rest:09}"
        elif rest:
            info.pax_headers["mtime"] = f"{seconds}.{rest:09}"
        for name, value in self.volume.xattrs(inode).items():
            name = os.fsdecode(name)
            if name in ACLS:
                info.pax_headers[ACLS[name]] = _acl_text(value)
            else:
                info.pax_headers[f"SCHILY.xattr.{name}"] = value.decode(
                    "utf-8", "surrogateescape")
        return info

    def _head(self, info):
        self.out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8",
                                  "surrogateescape"))

    def _file(self, inode, info):
        """With holes: GNU's "PAX Format, Version 1.0", where a map comes
        before the content."""
        pieces = list(self._runs(inode))
        data, start = sum(n for _, n in pieces), b""
        if data != inode.size:
            pairs = [*pieces, (inode.size, 0)]
            start = f"{len(pairs)}\n".encode() + b"".join(
                b"%d\n%d\n" % pair for pair in pairs)
            start += bytes(-len(start) % tarfile.BLOCKSIZE)
            info.pax_headers.update({
                "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                "GNU.sparse.name": info.name,
                "GNU.sparse.realsize": str(inode.size)})
            folder, name = os.path.split(info.name)
            info.name = os.path.join(folder, "GNUSparseFile.0", name)
        info.size = len(start) + data
        self._head(info)
        self.out.write(start)
        for _, piece in self.volume.pieces(inode):
            self.out.write(piece)
            self.done += len(piece)
            self.step(self.done)
        self.out.write(bytes(-info.size % tarfile.BLOCKSIZE))

    def _runs(self, inode):
        """(offset, bytes) of what is no hole."""
        size = self.volume.size
        for first, count, _ in self.volume.extents(inode.block):
            at, end = first * size, min((first + count) * size, inode.size)
            if at < end:
                yield at, end - at

    def whole(self):
        root = self.volume.inode(ext4.ROOT)
        self._head(self._info(root, b""))
        self.folder(root, b"")
        self.out.write(bytes(2 * tarfile.BLOCKSIZE))
        return self.left_out


def check(name):
    """Refuses a name that promises what is not done."""
    if name.endswith((".zst", ".Z", ".lz", ".lzma", ".zip")):
        raise Failure(f"{name}: archives are written plain, or as "
                      + ", ".join(COMPRESSED), 2)


def write(image, path, name, step=lambda done: None):
    """Writes the archive of the file system in the file `image` to `path`,
    compressed as the end of `name` says. Returns how many sockets are left
    out."""
    volume = ext4.Volume(image)
    try:
        way = COMPRESSED.get(os.path.splitext(name)[1], open)
        with way(path, "wb") as out:
            return _Writer(volume, out, step).whole()
    finally:
        volume.close()
