# SPDX-License-Identifier: MIT
"""A root file system as a tree in memory, which tar archives fill: names,
owners, modes, times, attributes, and where each file's content is in its
archive.

An archive is its author's, and may mean harm. Nothing of it is unpacked on
this computer: a name is a way through the tree, which has no outside, and what
a root file system has no use for is refused with the name of the member.
"""

import os
import re
import stat
import struct
import tarfile

from isthmus_lib.common import Failure

FILE_MAX = 1 << 44              # bytes; of ext4 with blocks of 4 KiB
LINK_MAX = 4095                 # bytes of a symbolic link's text
NAME_MAX = 255
HEADER_MAX = 1 << 20            # bytes of a member's extended header
LINKS_FOLLOWED = 40             # as Linux
PATH_MAX = 4095                 # bytes of a member's name
DEPTH_MAX = 1000                # folders in each other
FILES_MAX = 2_000_000
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
XATTR = "SCHILY.xattr."         # GNU tar's, bsdtar's, Go's
ACLS = {"SCHILY.acl.access": "system.posix_acl_access",
        "SCHILY.acl.default": "system.posix_acl_default"}
KEPT = ("user.", "security.", "trusted.", *ACLS.values())
ACL_TAGS = {"user": (1, 2), "group": (4, 8), "mask": (16,), "other": (32,)}
NO_ID = 0xffffffff
# Devices that are in a root for its programs' sake: memory devices, terminals,
# fuse, and what overlayfs has in the place of a removed file.
USUAL = {(0, 0), (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1),
         (5, 2), (10, 200), (10, 229)}
KINDS = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK,
         tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK,
         tarfile.FIFOTYPE: stat.S_IFIFO}


class Bad(Exception):
    """What is wrong with a member."""


class Node:
    """A file of any kind; one that has several names is there once."""

    def __init__(self, mode, uid=0, gid=0, mtime=0):
        self.mode = mode            # with the kind
        self.uid, self.gid = uid, gid
        self.mtime = mtime          # ns
        self.device = (0, 0)        # major, minor
        self.target = ""            # of a symbolic link
        self.xattrs = {}
        self.source = None          # what is read for the content
        self.pieces = []            # (offset, where in the source, bytes)
        self.size = 0
        self.children = {} if stat.S_ISDIR(mode) else None

    def is_link(self):
        return stat.S_ISLNK(self.mode)


class Bytes:
    """A source that is in memory."""

    def __init__(self, data):
        self.data = data

    def pread(self, count, at):
        return self.data[at:at + count]


class Archive:
    """A source that is a file."""

    def __init__(self, path):
        self.file = open(path, "rb")    # pylint: disable=consider-using-with
        self.size = os.fstat(self.file.fileno()).st_size

    def pread(self, count, at):
        return os.pread(self.file.fileno(), count, at)


class _Member(tarfile.TarInfo):
    """A header; Python's own reader believes any size that it names."""

    def _block(self, count):
        if not 0 <= count < 1 << 62:
            raise tarfile.InvalidHeaderError("a size that is none")
        return super()._block(count)

    def _proc_member(self, tar):
        if self.size > HEADER_MAX and self.type in (
                tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
                tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            raise tarfile.InvalidHeaderError("an extended header of "
                                             f"{self.size} bytes")
        return super()._proc_member(tar)


def parts_of(name):
    """The words of a member's name."""
    if name.startswith("/"):
        raise Bad("its name is absolute")
    parts = [p for p in name.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise Bad("its name has ..")
    if len(os.fsencode(name)) > PATH_MAX:
        raise Bad(f"its name has more than {PATH_MAX} bytes")
    if any(len(os.fsencode(p)) > NAME_MAX for p in parts):
        raise Bad(f"its name has a part of more than {NAME_MAX} bytes")
    return parts


def _nanoseconds(text):
    """Of a number of seconds, with any fraction."""
    found = re.fullmatch(r"(-?)(\d{1,12})(?:\.(\d*))?", text)
    if not found:
        raise Bad(f"its time '{text[:40]}' is none")
    value = int(found[2]) * 1_000_000_000 + int(
        (found[3] or "").ljust(9, "0")[:9])
    return -value if found[1] else value


def acl_of(text):
    """An ACL as Linux's attribute has it, of one in words."""
    entries = []
    for entry in filter(None, re.split(r"[,\n]", text)):
        words = [w.strip() for w in entry.split(":")]
        perms = words[2] if len(words) > 2 else ""
        tags = ACL_TAGS.get({"u": "user", "g": "group", "m": "mask",
                             "o": "other"}.get(words[0], words[0]))
        who = words[3] if len(words) > 3 else words[1:2] and words[1]
        if tags is None or not re.fullmatch("[r-][w-][x-]", perms) or \
                who and (len(tags) < 2 or not re.fullmatch(r"\d{1,10}", who)
                         or int(who) >= NO_ID):
            raise Bad(f"its ACL has '{entry[:60]}', and not the number of a "
                      "user or group and rwx")
        entries.append((tags[1 if who else 0], int(who or NO_ID),
                        sum(4 >> i for i in range(3) if perms[i] != "-")))
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, who)
        for tag, who, perm in sorted(entries))


class Tree:
    """The whole, with its archives open. `most`: bytes of content that it may
    have."""

    def __init__(self, most, devices=False):
        self.root = Node(stat.S_IFDIR | 0o755)
        self.most = most
        self.files = 0              # that were ever put into it
        self.devices = devices      # of any kind, and not only the usual ones
        self.left_out = 0           # attributes that Linux has not
        self.sources = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for source in self.sources:
            source.file.close()

    def nodes(self):
        """(name, node) of each name, folders before what is in them; the root
        is "". """
        todo = [("", self.root)]
        while todo:
            name, node = todo.pop()
            yield name, node
            if node.children:
                todo += [(f"{name}/{n}" if name else n, child) for n, child
                         in sorted(node.children.items(), reverse=True)]

    def content(self):
        """Bytes of all files, without holes, and how many there are."""
        each = {id(n): n for _, n in self.nodes()}.values()
        return sum(p[2] for n in each for p in n.pieces), len(each)

    def find(self, parts, make=False, follow=True):
        """The node at the end of that way; links lead on within the tree, but
        the last one only with `follow`. None if it is not there; with `make`
        folders are made."""
        way, todo, followed = [self.root], list(reversed(parts)), 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if len(way) == 1:
                    raise Bad("a link on its way leads out of the root")
                way.pop()
                continue
            if way[-1].children is None:
                raise Bad("there is no folder on its way, but a file")
            node = way[-1].children.get(part)
            if node is None:
                if not make:
                    return None
                node = way[-1].children[part] = Node(stat.S_IFDIR | 0o755)
                self._count()
            if node.is_link() and (todo or follow):
                followed += 1
                if followed > LINKS_FOLLOWED:
                    raise Bad("the links on its way lead in a circle")
                way = way[:1] if node.target.startswith("/") else way
                todo += reversed(node.target.split("/"))
                continue
            if len(way) == DEPTH_MAX:
                raise Bad(f"more than {DEPTH_MAX} folders in each other")
            way.append(node)
        return way[-1]

    def _count(self):
        self.files += 1
        if self.files > FILES_MAX:
            raise Bad(f"it is the one after {FILES_MAX} files")

    def _folder(self, parts, make=True):
        folder = self.find(parts, make)
        if folder is not None and folder.children is None:
            raise Bad("there is no folder on its way, but a file")
        return folder

    def put(self, parts, node):
        """A node at that place, instead of what is there; a folder's own
        remain in it."""
        if not parts:
            if node.children is None:
                raise Bad("the root is no folder")
            node.children, self.root = self.root.children, node
            return
        self._count()
        folder = self._folder(parts[:-1])
        there = folder.children.get(parts[-1])
        if node.children is not None and there and there.children is not None:
            node.children = there.children
        folder.children[parts[-1]] = node

    def put_file(self, name, data, mode=0o644):
        """A small one of our own."""
        node = Node(stat.S_IFREG | mode)
        node.source, node.size = Bytes(data), len(data)
        node.pieces = [(0, 0, len(data))]
        self.put(parts_of(name), node)

    def put_link(self, name, target):
        """A symbolic link of our own."""
        node = Node(stat.S_IFLNK | 0o777)
        node.target = target
        self.put(parts_of(name), node)

    def read(self, name, most=1 << 20):
        """A small file's content, or None."""
        try:
            node = self.find(parts_of(name))
        except Bad:
            return None
        if node is None or not stat.S_ISREG(node.mode) or node.size > most:
            return None
        data = bytearray(node.size)
        for at, where, count in node.pieces:
            data[at:at + count] = node.source.pread(count, where)
        return bytes(data)

    def add(self, path, layer=False, name=None):
        """Adds all members of the plain tar in the file `path`, which may be
        called otherwise; of a layer, the whiteouts first take away what was
        there before it."""
        name = name or path
        source = Archive(path)
        self.sources.append(source)
        try:
            with tarfile.open(path, "r:", tarinfo=_Member,
                              errors="surrogateescape") as tar:
                if layer:
                    self._each(tar, name, self._whiteout)
                self._each(tar, name, lambda member:
                           self._member(member, source, layer))
        except (tarfile.TarError, ValueError, OverflowError, IndexError,
                KeyError, EOFError, RecursionError, struct.error) as error:
            raise Failure(f"{name}: it is no tar archive that can be read: "
                          f"{error}", 2) from error

    @staticmethod
    def _each(tar, name, what):
        for member in tar:
            try:
                what(member)
            except Bad as bad:
                raise Failure(f"{name}: {member.name[:200]!r}: {bad}",
                              2) from bad

    def _whiteout(self, member):
        parts = parts_of(member.name)
        if not parts or not parts[-1].startswith(WHITEOUT):
            return
        folder = self._folder(parts[:-1], make=False)
        name = parts[-1][len(WHITEOUT):]
        if parts[-1] == OPAQUE:
            if folder is not None:
                folder.children.clear()
        elif name in ("", ".", ".."):
            raise Bad("it takes away what has no name")
        elif folder is not None:
            folder.children.pop(name, None)

    def _member(self, member, source, layer):
        parts = parts_of(member.name)
        if layer and parts and parts[-1].startswith(WHITEOUT):
            return
        if member.islnk():
            self._hard_link(parts, member.linkname)
            return
        kind = KINDS.get(member.type) or (
            stat.S_IFREG if member.isreg() else None)
        if kind is None:
            raise Bad(f"it is of a kind {member.type!r} that is not known")
        if not (0 <= member.uid < NO_ID and 0 <= member.gid < NO_ID):
            raise Bad(f"its owner {member.uid}:{member.gid} is none")
        node = Node(kind | member.mode & 0o7777, member.uid, member.gid,
                    _nanoseconds(member.pax_headers.get("mtime")
                                 or str(int(member.mtime))))
        self._attributes(node, member.pax_headers)
        if kind == stat.S_IFREG:
            self._content(node, member, source)
        elif kind == stat.S_IFLNK:
            node.target = member.linkname
            if not 0 < len(os.fsencode(node.target)) <= LINK_MAX:
                raise Bad(f"a link to a name of more than {LINK_MAX} bytes, "
                          "or to none")
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            node.device = self._device(kind, member)
        self.put(parts, node)

    def _hard_link(self, parts, target):
        try:
            there = self.find(parts_of(target), follow=False)
        except Bad as bad:
            raise Bad(f"a hard link to {target[:200]!r}: {bad}") from bad
        if there is None or there.children is not None:
            raise Bad(f"a hard link to {target[:200]!r}, which is no file of "
                      "the archive's")
        self.put(parts, there)

    def _device(self, kind, member):
        numbers = member.devmajor, member.devminor
        if not (0 <= numbers[0] < 1 << 12 and 0 <= numbers[1] < 1 << 20):
            raise Bad(f"the device {numbers[0]}:{numbers[1]} is none")
        if not self.devices and (kind == stat.S_IFBLK
                                 or numbers not in USUAL):
            which = "block" if kind == stat.S_IFBLK else "character"
            raise Bad(f"a {which} device, {numbers[0]}:{numbers[1]}, which no "
                      "program of a root needs there; --devices takes it")
        return numbers

    def _content(self, node, member, source):
        node.source, node.size = source, member.size
        if not 0 <= node.size <= FILE_MAX:
            raise Bad(f"a file of {node.size} bytes")
        where, end = member.offset_data, 0
        for at, count in member.sparse or [(0, member.size)]:
            if count < 0 or at < end or at + count > node.size:
                raise Bad("a sparse file whose pieces overlap, or are not in "
                          "it")
            if where + count > source.size:
                raise Bad("the archive ends in the middle of it")
            if count:
                node.pieces.append((at, where, count))
            where, end = where + count, at + count
            self.most -= count
        if self.most < 0:
            raise Bad("up to here the files have more bytes than there is "
                      "room for; --size makes more")

    def _attributes(self, node, headers):
        for key, text in headers.items():
            if key in ACLS and text:
                node.xattrs[ACLS[key]] = acl_of(text)
            elif key.startswith(XATTR):
                name = key[len(XATTR):]
                if not name.startswith(KEPT) or \
                        len(os.fsencode(name)) > NAME_MAX:
                    self.left_out += 1
                    continue
                node.xattrs[name] = text.encode("utf-8", "surrogateescape")
