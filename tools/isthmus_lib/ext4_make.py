# SPDX-License-Identifier: MIT
"""Makes an ext4 file system of a tree (roottree.py), with all that this
computer's own file system, or a user who is not root, could not have: owners,
device nodes, attributes, names that differ in case only. Nothing is mounted.

mke2fs makes an empty file system without checksums; we allocate inodes and
blocks from the beginning, as nothing in it was ever freed, and write them.
Then tune2fs adds the checksums, e2fsck gives large folders their hash trees,
and looks at the whole.

[Linux "Documentation/filesystems/ext4"]
"""

import os
import stat
import struct
import subprocess

from isthmus_lib import ext4, ext4_blocks
from isthmus_lib.common import Failure, run
from isthmus_lib.ext4_blocks import BLOCK, INODE, LOST_FOUND, ROOT
from isthmus_lib.roottree import Node

EXTENTS = 0x80000               # flag of an inode
FILETYPE = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3,
            stat.S_IFBLK: 4, stat.S_IFIFO: 5, stat.S_IFLNK: 7}
TAIL = 12                       # bytes that a folder's block has for its sum
TAIL_TYPE = 0xde
LINKS_MAX = 65000
XATTR_ROOM = INODE - 128 - 32 - 4
PIECE = 4 << 20
SECONDS = (-1 << 31, (1 << 34) - (1 << 31) - 1)


def _mke2fs(path, label, size, inodes):
    with open(path, "wb") as f:
        f.truncate(size)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I",
         str(INODE), "-m", "1", "-L", label[:16], "-N", str(inodes), "-O",
         "^metadata_csum,^metadata_csum_seed,^orphan_file,^uninit_bg", path])


def _hash(name, value):
    """Of an attribute's entry."""
    code = 0
    for byte in name:
        code = (code << 5 ^ code >> 27 ^ byte) & 0xffffffff
    value += bytes(-len(value) % 4)
    for word, in struct.iter_unpack("<I", value):
        code = (code << 16 ^ code >> 16 ^ word) & 0xffffffff
    return code


def _acl(value):
    """An ACL as the disk has it, of the attribute."""
    out = struct.pack("<I", 1)
    for tag, perm, who in struct.iter_unpack("<HHI", value[4:]):
        out += struct.pack("<HH", tag, perm)
        if tag in (ext4.ACL_USER, ext4.ACL_GROUP):
            out += struct.pack("<I", who)
    return out


def _xattr(name, value):
    """(index, name, value) on the disk."""
    for index, prefix in ext4.PREFIXES.items():
        if index in (2, 3) and name == prefix:
            return index, b"", _acl(value)
        if index not in (2, 3, 7) and name.startswith(prefix):
            return index, os.fsencode(name[len(prefix):]), value
    raise Failure(f"the extended attribute {name} is none of Linux's")


def _xattr_area(entries, size, base):
    """Entries from the beginning, values from the end; None if that is more
    than `size`. `base`: where values are counted from."""
    area, at, end = bytearray(size), 0, size
    for index, name, value in entries:
        end -= -(-len(value) // 4) * 4
        length = -(-(16 + len(name)) // 4) * 4
        if at + length + 4 > end:
            return None
        struct.pack_into("<BBHIII", area, at, len(name), index, end + base, 0,
                         len(value), _hash(name, value))
        area[at + 16:at + 16 + len(name)] = name
        area[end:end + len(value)] = value
        at += length
    return bytes(area)


class _Writer:
    """One image being filled."""

    def __init__(self, file, blocks, step):
        self.fd = file.fileno()
        self.blocks = blocks
        self.step = step
        self.written = 0
        self.numbers = {}           # of a node, by its id
        self.names = {}             # how many it has

    def number(self, node):
        if id(node) not in self.numbers:
            self.numbers[id(node)] = self.blocks.inode(
                node.children is not None)
        return self.numbers[id(node)]

    def whole(self, tree):
        """Numbers first, so that a folder can name what is in it."""
        kept = tree.root.children.setdefault(
            "lost+found", Node(stat.S_IFDIR | 0o700))
        if kept.children is None:
            raise Failure("/lost+found: it is no folder, and ext4 has its own "
                          "there")
        self.numbers = {id(tree.root): ROOT, id(kept): LOST_FOUND}
        for _, node in tree.nodes():
            self.number(node)
            self.names[id(node)] = self.names.get(id(node), 0) + 1
        done = set()
        for name, node in tree.nodes():
            if id(node) in done:
                continue
            done.add(id(node))
            try:
                self._one(node, tree.root if "/" not in name else
                          tree.find(name.split("/")[:-1]))
            except Failure as failure:
                raise Failure(f"/{name}: {failure}") from failure

    def _one(self, node, parent):
        kind = stat.S_IFMT(node.mode)
        flags, place, blocks = EXTENTS, bytes(60), 0
        size, links = node.size, self.names[id(node)]
        if kind == stat.S_IFDIR:
            data = self._folder(node, parent)
            size, links = len(data), 2 + sum(
                c.children is not None for c in node.children.values())
            place, blocks = self._bytes(data)
        elif kind == stat.S_IFREG:
            place, blocks = self._file(node)
        elif kind == stat.S_IFLNK:
            text = os.fsencode(node.target)
            size = len(text)
            if size < 60:
                flags, place = 0, text.ljust(60, b"\0")
            else:
                place, blocks = self._bytes(text)
        else:
            flags, place = 0, self._device(*node.device)
        if kind == stat.S_IFDIR and links > LINKS_MAX:
            links = 1
        elif links > LINKS_MAX:
            raise Failure(f"it has more than {LINKS_MAX} names")
        self._inode(node, size, links, flags, (place, blocks))

    @staticmethod
    def _device(major, minor):
        if major < 256 and minor < 256:
            return struct.pack("<I", major << 8 | minor).ljust(60, b"\0")
        return struct.pack("<II", 0, minor & 0xff | major << 8
                           | (minor & ~0xff) << 12).ljust(60, b"\0")

    def _inode(self, node, size, links, flags, where):
        place, blocks = where
        seconds, rest = divmod(node.mtime, 1_000_000_000)
        seconds = max(SECONDS[0], min(seconds, SECONDS[1]))
        low = (seconds + (1 << 31)) % (1 << 32) - (1 << 31)
        extra = rest << 2 | (seconds - low >> 32) & 3
        inline, block = self._xattrs(node)
        blocks += block is not None
        raw = struct.pack(
            "<HHIiiiIHHIII", node.mode, node.uid & 0xffff, size & 0xffffffff,
            low, low, low, 0, node.gid & 0xffff, links,
            blocks * (BLOCK // 512) & 0xffffffff, flags, 0) + place
        raw += struct.pack(
            "<IIIIHHHHHH", 0, (block or 0) & 0xffffffff, size >> 32, 0,
            blocks * (BLOCK // 512) >> 32, (block or 0) >> 32, node.uid >> 16,
            node.gid >> 16, 0, 0)
        raw += struct.pack("<HHIIIiIII", 32, 0, extra, extra, extra, low,
                           extra, 0, 0) + inline
        self.blocks.write_inode(self.numbers[id(node)], raw.ljust(INODE,
                                                                  b"\0"))

    def _xattrs(self, node):
        """(what is in the inode, the block of its own or None)"""
        if not node.xattrs:
            return b"", None
        entries = sorted((_xattr(*pair) for pair in node.xattrs.items()),
                         key=lambda e: (e[0], len(e[1]), e[1]))
        magic = struct.pack("<I", ext4.XATTR_MAGIC)
        area = _xattr_area(entries, XATTR_ROOM, 0)
        if area is not None:
            return magic + area, None
        area = _xattr_area(entries, BLOCK - 32, 32)
        if area is None:
            raise Failure("its extended attributes have more bytes than ext4 "
                          f"has room for, {BLOCK - 32}")
        code = 0
        for _, name, value in entries:
            code = (code << 16 ^ code >> 16 ^ _hash(name, value)) & 0xffffffff
        (block, _), = self.blocks.take(1)
        self._write(magic + struct.pack("<III", 1, 1, code) + bytes(16)
                    + area, block * BLOCK)
        return b"", block

    def _write(self, data, at):
        if os.pwrite(self.fd, data, at) != len(data):
            raise Failure("this computer has no room for the image")

    def _bytes(self, data):
        """Blocks with that content."""
        extents, at = [], 0
        for first, count in self.blocks.take(-(-len(data) // BLOCK)):
            self._write(data[at * BLOCK:(at + count) * BLOCK], first * BLOCK)
            extents.append((at, count, first))
            at += count
        return self._tree(extents, at)

    def _file(self, node):
        """A file's content; where its pieces leave whole blocks out, those
        are holes."""
        ranges = []                     # [first block, behind the last)
        for at, _, count in node.pieces:
            first, end = at // BLOCK, -(-(at + count) // BLOCK)
            if ranges and first <= ranges[-1][1]:
                ranges[-1][1] = max(end, ranges[-1][1])
            elif count:
                ranges.append([first, end])
        extents = []
        for first, end in ranges:
            for where, count in self.blocks.take(end - first):
                extents.append((first, count, where))
                first += count
        self._copy(node, extents)
        return self._tree(extents, sum(e[1] for e in extents))

    def _copy(self, node, extents):
        at = 0                          # the extent that a piece begins in
        for offset, source, count in node.pieces:
            end = offset + count
            while offset < end:
                while (extents[at][0] + extents[at][1]) * BLOCK <= offset:
                    at += 1
                first, blocks, where = extents[at]
                n = min(end - offset, (first + blocks) * BLOCK - offset, PIECE)
                data = node.source.pread(n, source)
                if len(data) != n:
                    raise Failure("the archive ends in the middle of it")
                self._write(data, where * BLOCK + offset - first * BLOCK)
                offset, source = offset + n, source + n
                self.written += n
                self.step(self.written)

    def _tree(self, extents, blocks):
        """(the inode's own part of the extent tree, blocks with the tree's
        own): levels of blocks, until one fits the inode."""
        entries = [struct.pack("<IHHI", at, count, where >> 32,
                               where & 0xffffffff)
                   for at, count, where in extents]
        depth, room = 0, (BLOCK - 16) // 12
        while len(entries) > 4:
            above = []
            for i in range(0, len(entries), room):
                part = entries[i:i + room]
                (where, _), = self.blocks.take(1)
                blocks += 1
                self._write((struct.pack(
                    "<HHHHI", ext4.EXTENT_MAGIC, len(part), room, depth, 0)
                    + b"".join(part)).ljust(BLOCK, b"\0"), where * BLOCK)
                above.append(struct.pack(
                    "<4sIHH", part[0][:4], where & 0xffffffff, where >> 32,
                    0))
            entries, depth = above, depth + 1
        return (struct.pack("<HHHHI", ext4.EXTENT_MAGIC, len(entries), 4,
                            depth, 0)
                + b"".join(entries)).ljust(60, b"\0"), blocks

    def _folder(self, node, parent):
        """Its content: blocks of entries, whose last one takes the rest."""
        names = [(b".", node), (b"..", parent)] + [
            (os.fsencode(name), child)
            for name, child in sorted(node.children.items())]
        numbers = [(name, self.numbers[id(child)],
                    FILETYPE[stat.S_IFMT(child.mode)])
                   for name, child in names]
        whole, block, last = [], b"", 0
        for name, number, kind in numbers:
            size = -(-(8 + len(name)) // 4) * 4
            if len(block) + size > BLOCK - TAIL:
                whole.append(_ended(block, last))
                block = b""
            last = len(block)
            block += struct.pack("<IHBB", number, size, len(name),
                                 kind) + name.ljust(size - 8, b"\0")
        return b"".join([*whole, _ended(block, last)])


def _ended(block, last):
    """A folder's block whose last entry, at `last`, reaches to what has the
    checksum, an entry of nothing."""
    return (block[:last + 4] + struct.pack("<H", BLOCK - TAIL - last)
            + block[last + 6:]).ljust(BLOCK - TAIL, b"\0") + struct.pack(
                "<IHBBI", 0, TAIL, 0, TAIL_TYPE, 0)


def inodes_for(size, files):
    """How many a file system of `size` bytes has: mke2fs's own number, and
    room for as many files again as there are."""
    return max(size // 16384, 2 * files + 1024)


def _check(path, how):
    done = subprocess.run(["e2fsck", how, path], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # 1: it has changed something, as it was asked to
    if done.returncode > ("D" in how):
        raise Failure(f"e2fsck {how} of the new image failed: "
                      + done.stdout.decode("utf-8", "replace").strip())


def make(path, tree, size, label, step=lambda done, of: None):
    """Makes the sparse file `path` with a file system of `size` bytes in which
    all of the tree is. `step` hears how far it is, in bytes."""
    content, files = tree.content()
    _mke2fs(path, label, size, inodes_for(size, files))
    with open(path, "r+b") as f:
        blocks = ext4_blocks.Blocks(f)
        _Writer(f, blocks, lambda done: step(done, content)).whole(tree)
        blocks.close()
    # In this order: e2fsck -D without checksums fills a folder's block to its
    # end, and leaves no room for one.
    run(["tune2fs", "-O", "metadata_csum", path])
    _check(path, "-fyD")
    _check(path, "-fn")
