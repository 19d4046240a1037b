# SPDX-License-Identifier: MIT
"""Flattened device trees: read, change, write.

[Devicetree Specification "Flattened Devicetree (DTB) Format"]
"""

import os
import struct

from isthmus_lib.common import Failure

MAGIC = 0xd00dfeed
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9


class Node:
    """A node: properties as bytes, children in order."""

    def __init__(self, name=""):
        self.name = name
        self.props = {}
        self.children = []

    def child(self, name):
        """The child of that name, made when it is not there."""
        for node in self.children:
            if node.name == name:
                return node
        self.children.append(Node(name))
        return self.children[-1]

    def find(self, path):
        """The node at a path like "partitions/linux", or None."""
        node = self
        for name in path.split("/"):
            node = next((c for c in node.children if c.name == name), None)
            if node is None:
                return None
        return node

    def text(self, prop, default=None):
        value = self.props.get(prop)
        return default if value is None \
            else os.fsdecode(value.rstrip(b"\0"))

    def set_text(self, prop, text):
        self.props[prop] = os.fsencode(text) + b"\0"

    def set_cell(self, prop, number):
        self.props[prop] = struct.pack(">I", number)


def _string_at(blob, offset):
    return blob[offset:blob.index(b"\0", offset)]


def parse(blob):
    """The root node of a blob that dtc made."""
    magic, _, structs, strings = struct.unpack_from(">4I", blob)
    if magic != MAGIC:
        raise Failure("not a device tree blob")
    holder = Node()
    stack, at = [holder], structs
    while True:
        token, = struct.unpack_from(">I", blob, at)
        at += 4
        if token == BEGIN_NODE:
            name = _string_at(blob, at)
            at += (len(name) + 4) & ~3
            node = Node(name.decode())
            stack[-1].children.append(node)
            stack.append(node)
        elif token == END_NODE:
            stack.pop()
        elif token == PROP:
            size, name = struct.unpack_from(">2I", blob, at)
            at += 8
            key = _string_at(blob, strings + name).decode()
            stack[-1].props[key] = blob[at:at + size]
            at += (size + 3) & ~3
        elif token == END:
            return holder.children[0]


def _pad(data):
    return data + bytes(-len(data) % 4)


def _flatten(node, out, names):
    out.append(struct.pack(">I", BEGIN_NODE))
    out.append(_pad(node.name.encode() + b"\0"))
    for key, value in node.props.items():
        if key not in names:
            names[key] = sum(len(n) + 1 for n in names)
        out.append(struct.pack(">3I", PROP, len(value), names[key]))
        out.append(_pad(value))
    for child in node.children:
        _flatten(child, out, names)
    out.append(struct.pack(">I", END_NODE))


def flatten(root):
    """The blob, version 17, of a tree."""
    parts, names = [], {}
    _flatten(root, parts, names)
    structs = b"".join(parts) + struct.pack(">I", END)
    strings = b"".join(n.encode() + b"\0" for n in names)
    header, reserved = 40, 16
    structs_at = header + reserved
    strings_at = structs_at + len(structs)
    head = struct.pack(">10I", MAGIC, strings_at + len(strings), structs_at,
                       strings_at, header, 17, 16, 0, len(strings),
                       len(structs))
    return head + bytes(reserved) + structs + strings
