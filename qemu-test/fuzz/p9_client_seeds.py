#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes seeds for p9_client_fuzz into a folder: what Linux answers."""
import os
import struct
import sys


def body(data=b""):
    """One answer: how long it is, and its fields."""
    if len(data) >= 64:
        data += bytes(-len(data) % 1024)
        return bytes([0x40 | len(data) // 1024]) + data
    return bytes([len(data)]) + data


def qid(kind=0):
    return struct.pack("<BIQ", kind, 0, 2)


def walk(kind=0, names=1):
    return body(struct.pack("<H", names) + qid(kind) * names)


def raw(reply, data):
    """One answer, head and all; the tag is what the client's is."""
    data = struct.pack("<IBH", len(data) + 7, reply, 1) + data
    return bytes([0xc0 | (len(data) + 1023) // 1024]) + data


def entry(name, cookie):
    return (qid() + struct.pack("<QBH", cookie, 8, len(name))
            + name.encode())


def listing(*names):
    entries = b"".join(entry(n, i + 1) for i, n in enumerate(names))
    return body(struct.pack("<I", len(entries)) + entries)


def long_name(size):
    """A listing of one name, at the input's end."""
    data = entry("x" * size, 1)
    return raw(41, struct.pack("<I", len(data)) + data)


def attributes(mode):
    return body(struct.pack("<Q", 0x7ff) + qid() + struct.pack("<I", mode)
                + bytes(8) + struct.pack("<17Q", 1, 0, 5, *[0] * 14))[:-21]


HELLO = (body(struct.pack("<IH", 65560, 8) + b"9P2000.L") + body(qid(0x80)))
CLUNK = body()
OPEN = body(qid() + bytes(4))
TO_A = walk(names=0) + walk() + CLUNK
LINK = (walk(names=0) + walk(kind=2) + body(struct.pack("<H", 2) + b"/b")
        + walk(names=0) + CLUNK * 2 + walk() + CLUNK)
STAT = TO_A + attributes(0o100644) + CLUNK

SESSIONS = {
    0: HELLO + TO_A + walk() + CLUNK + OPEN + listing("x", "y") + listing()
    + CLUNK + (STAT + walk() + CLUNK) * 2,
    1: HELLO + LINK + attributes(0o100644) + OPEN
    + body(struct.pack("<I", 5) + b"hello") + body(bytes(4)) + CLUNK,
    2: HELLO + STAT * 2 + TO_A + OPEN + TO_A + OPEN
    + body(struct.pack("<I", 5) + b"hello") + body(struct.pack("<I", 5))
    + body(bytes(4)) + CLUNK * 2,
    3: HELLO + TO_A + CLUNK * 3,
    4: HELLO + TO_A + body(qid(0x80)) + CLUNK,
    5: HELLO + walk(names=0) + OPEN + listing("x") + listing() + CLUNK + STAT,
    6: HELLO + TO_A + OPEN + listing("x", "yes") + listing() + CLUNK + STAT,
    # The eighth line is the first again.
    7: HELLO + TO_A + walk() + CLUNK + OPEN + long_name(12000),
}

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
for line, session in SESSIONS.items():
    for piece in range(4):
        with open(f"{folder}/{line}-{piece}", "wb") as seed:
            seed.write(bytes([line % 7 << 2 | piece]) + session)
