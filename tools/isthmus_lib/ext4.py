# SPDX-License-Identifier: MIT
"""Reads an ext4 file system in a file, to copy all that is in it into a folder
with owners, modes, times, extended attributes, links and holes. Its journal
must have been replayed.

[Linux "Documentation/filesystems/ext4"]
"""

import os
import shutil
import stat
import struct
import subprocess

from isthmus_lib.common import Failure

ROOT = 2
INCOMPAT_64BIT = 0x80
# filetype, needs recovery (checked apart), extents, 64bit, flex_bg, csum_seed
INCOMPAT_KNOWN = 0x02 | 0x04 | 0x40 | INCOMPAT_64BIT | 0x200 | 0x2000
INCOMPAT_RECOVER = 0x04
EXTENTS = 0x80000
EXTENT_MAGIC, XATTR_MAGIC = 0xf30a, 0xea020000
UNWRITTEN = 32768               # added to an extent's length
# Prefixes of extended attributes' names by their index.
PREFIXES = {1: "user.", 2: "system.posix_acl_access",
            3: "system.posix_acl_default", 4: "trusted.", 6: "security.",
            7: "system."}
ACL_USER, ACL_GROUP = 2, 8      # entries that have an id
PIECE = 1 << 20


def _time(seconds, extra):
    """ns since 1970; the extra word has two more bits of the seconds."""
    seconds += (extra & 3) << 32
    return seconds * 1_000_000_000 + (extra >> 2)


def _acl(value):
    """An ACL as the xattr has it, of one as the disk has it."""
    out, at = struct.pack("<I", 2), 4
    while at < len(value):
        tag, perm = struct.unpack_from("<HH", value, at)
        at += 4
        owner = 0xffffffff
        if tag in (ACL_USER, ACL_GROUP):
            owner, = struct.unpack_from("<I", value, at)
            at += 4
        out += struct.pack("<HHI", tag, perm, owner)
    return out


class Inode:
    """What is known of a file."""

    def __init__(self, raw):
        (self.mode, uid, size, atime, ctime, mtime, _, gid, self.links, _,
         self.flags) = struct.unpack_from("<HHIiiiIHHII", raw)
        self.block = raw[40:100]
        acl, high = struct.unpack_from("<II", raw, 104)
        _, acl_high, uid_high, gid_high = struct.unpack_from("<HHHH", raw, 116)
        self.uid, self.gid = uid | uid_high << 16, gid | gid_high << 16
        self.acl = acl | acl_high << 32
        self.size = size | high << 32
        extra = struct.unpack_from("<H", raw, 128)[0] if len(raw) > 128 else 0
        more = struct.unpack_from("<III", raw, 132) if extra >= 16 else (0,) * 3
        self.atime, self.mtime = _time(atime, more[2]), _time(mtime, more[1])
        self.xattrs = raw[128 + extra:] if len(raw) > 128 + extra else b""

    def device(self):
        """Of a device node."""
        old, new = struct.unpack_from("<II", self.block)
        if old:
            return os.makedev(old >> 8 & 0xff, old & 0xff)
        return os.makedev(new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00)


class Volume:
    """The file system in a file."""

    def __init__(self, path):
        self.file = open(path, "rb")    # pylint: disable=consider-using-with
        try:
            self._read_super(path)
        except BaseException:
            self.close()
            raise

    def _read_super(self, path):
        sb = self._pread(1024, 1024)
        magic, = struct.unpack_from("<H", sb, 56)
        incompat, = struct.unpack_from("<I", sb, 96)
        if magic != 0xef53:
            raise Failure(f"{path}: it is no ext4 file system")
        if incompat & ~INCOMPAT_KNOWN or incompat & INCOMPAT_RECOVER:
            raise Failure(f"{path}: an ext4 with features that are not known "
                          f"here ({incompat:#x})")
        shift, = struct.unpack_from("<I", sb, 24)
        self.size = 1024 << shift
        self.per_group, = struct.unpack_from("<I", sb, 40)
        self.inode_size, = struct.unpack_from("<H", sb, 88)
        first, = struct.unpack_from("<I", sb, 20)
        self.descriptors = (first + 1) * self.size
        self.wide = bool(incompat & INCOMPAT_64BIT)
        self.descriptor = struct.unpack_from("<H", sb, 254)[0] \
            if self.wide else 32

    def close(self):
        self.file.close()

    def _pread(self, count, at):
        data = os.pread(self.file.fileno(), count, at)
        if len(data) != count:
            raise Failure("the file system ends too early")
        return data

    def inode(self, number):
        group, index = divmod(number - 1, self.per_group)
        at = self.descriptors + group * self.descriptor
        table, = struct.unpack("<I", self._pread(4, at + 8))
        if self.wide and self.descriptor >= 64:
            table |= struct.unpack("<I", self._pread(4, at + 40))[0] << 32
        return Inode(self._pread(self.inode_size, table * self.size
                                 + index * self.inode_size))

    def extents(self, node):
        """(first block of the file's, how many, where) in order, without those
        that were never written."""
        magic, count, _, depth = struct.unpack_from("<HHHH", node)
        if magic != EXTENT_MAGIC:
            raise Failure("an extent tree is damaged")
        for i in range(count):
            if depth:
                _, low, high = struct.unpack_from("<IIH", node, 12 + 12 * i)
                yield from self.extents(self._pread(
                    self.size, (low | high << 32) * self.size))
                continue
            first, count, high, low = struct.unpack_from("<IHHI", node,
                                                         12 + 12 * i)
            if count <= UNWRITTEN:
                yield first, count, low | high << 32

    def pieces(self, inode):
        """(offset, bytes) of a file's content, without its holes."""
        if not inode.flags & EXTENTS:
            raise Failure("a file has no extents")
        for first, count, where in self.extents(inode.block):
            at, end = first * self.size, (first + count) * self.size
            end = min(end, inode.size)
            while at < end:
                count = min(PIECE, end - at)
                yield at, self._pread(count, where * self.size + at
                                      - first * self.size)
                at += count

    def content(self, inode):
        data = bytearray(inode.size)
        for at, piece in self.pieces(inode):
            data[at:at + len(piece)] = piece
        return bytes(data)

    def link(self, inode):
        """A symbolic link's text."""
        return self.content(inode) if inode.flags & EXTENTS \
            else inode.block[:inode.size]

    def entries(self, inode):
        """(name, number) of a folder."""
        data, at = self.content(inode), 0
        while at < len(data):
            number, length, count = struct.unpack_from("<IHB", data, at)
            if length < 8:
                raise Failure("a folder is damaged")
            name = data[at + 8:at + 8 + count]
            if number and name not in (b".", b".."):
                yield name, number
            at += length

    def xattrs(self, inode):
        """{name: value}."""
        found = {}
        if inode.xattrs[:4] == struct.pack("<I", XATTR_MAGIC):
            self._entries_of(inode.xattrs[4:], 0, found)
        if inode.acl:
            block = self._pread(self.size, inode.acl * self.size)
            self._entries_of(block, 32, found)
        return found

    @staticmethod
    def _entries_of(data, at, found):
        while data[at:at + 4] not in (bytes(4), b""):
            count, index, offset, inum, size = struct.unpack_from(
                "<BBHII", data, at)
            if inum:
                raise Failure("an extended attribute is in an inode of its "
                              "own, which is not known here")
            name = PREFIXES.get(index, "").encode() + data[at + 16:
                                                           at + 16 + count]
            value = data[offset:offset + size]
            found[name] = _acl(value) if index in (2, 3) else value
            at += (16 + count + 3) // 4 * 4


class _Copy:
    """One copy into a folder; what only root can do is left out for others,
    and counted."""

    def __init__(self, volume, target):
        self.volume = volume
        self.root = os.fsencode(target)
        self.names = {}         # of files with several links, by number
        self.left_out = 0

    def _try(self, what, *args, **more):
        try:
            what(*args, **more)
        except PermissionError:
            self.left_out += 1

    def folder(self, inode, path):
        for name, number in self.volume.entries(inode):
            if path != self.root or name != b"lost+found":
                self.one(number, os.path.join(path, name))
        self.attributes(inode, path)

    def one(self, number, path):
        inode = self.volume.inode(number)
        kind = stat.S_IFMT(inode.mode)
        if number in self.names:
            os.link(self.names[number], path, follow_symlinks=False)
            return
        if kind == stat.S_IFDIR:
            os.mkdir(path)
            self.folder(inode, path)
            return
        if kind == stat.S_IFREG:
            with open(path, "xb") as f:
                for at, piece in self.volume.pieces(inode):
                    f.seek(at)
                    f.write(piece)
                f.truncate(inode.size)
        elif kind == stat.S_IFLNK:
            os.symlink(self.volume.link(inode), path)
        else:
            self._try(os.mknod, path, inode.mode, inode.device())
        if os.path.lexists(path):
            if inode.links > 1:
                self.names[number] = path
            self.attributes(inode, path)

    def attributes(self, inode, path):
        """The mode after the owner, who takes bits of it; times last."""
        self._try(os.chown, path, inode.uid, inode.gid, follow_symlinks=False)
        if not stat.S_ISLNK(inode.mode):
            os.chmod(path, stat.S_IMODE(inode.mode))
        for name, value in self.volume.xattrs(inode).items():
            self._try(os.setxattr, path, name, value, follow_symlinks=False)
        os.utime(path, ns=(inode.atime, inode.mtime), follow_symlinks=False)

    def run(self):
        self.folder(self.volume.inode(ROOT), self.root)
        return self.left_out


def extract(path, target):
    """Copies all files of the file system in the file `path` into the folder
    `target`, which is empty, but lost+found. Returns how many owners, device
    nodes and attributes we may not give."""
    volume = Volume(path)
    try:
        return _Copy(volume, target).run()
    finally:
        volume.close()


def replay(path, who):
    """Carries out what is in the journal of the file system in the file
    `path`, as a mount would; `who` wants it."""
    if not shutil.which("e2fsck"):
        raise Failure(f"{who}: there is no e2fsck (package e2fsprogs)", 2)
    done = subprocess.run(["e2fsck", "-y", "-E", "journal_only", path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode > 1:
        raise Failure(f"{who}: e2fsck cannot replay the journal: "
                      + done.stdout.decode("utf-8", "replace").strip())
