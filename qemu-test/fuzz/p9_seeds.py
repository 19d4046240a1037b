#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes seeds for p9_server_fuzz into a folder: sessions as Linux has them."""
import os
import struct
import sys


def msg(kind, *fields):
    body = b"".join(fields)
    return struct.pack("<IBH", 7 + len(body), kind, 1) + body


def string(text):
    return struct.pack("<H", len(text)) + text.encode()


def u32(*values):
    return struct.pack("<%dI" % len(values), *values)


def u64(*values):
    return struct.pack("<%dQ" % len(values), *values)


def walk(fid, new, *names):
    return msg(110, u32(fid, new), struct.pack("<H", len(names)),
               *map(string, names))


def create(fid, name):
    return msg(14, u32(fid), string(name), u32(2, 0o644, 0))


def write(fid, offset, data):
    return msg(118, u32(fid), u64(offset), u32(len(data)), data)


def read(fid, offset, count):
    return msg(116, u32(fid), u64(offset), u32(count))


def clunk(fid):
    return msg(120, u32(fid))


SESSIONS = [
    walk(0, 1) + create(1, "a") + write(1, 0, b"x" * 5000) + read(1, 0, 9000)
    + msg(24, u32(1), u64(0x7ff)) + clunk(1),
    msg(72, u32(0), string("d"), u32(0o755, 0)) + walk(0, 1, "d")
    + msg(16, u32(1), string("l"), string("target"), u32(0))
    + walk(1, 2, "l") + msg(22, u32(2))
    + msg(76, u32(0), string("d"), u32(0x200))
    + msg(76, u32(1), string("l"), u32(0)),
    walk(0, 1) + create(1, "a") + msg(70, u32(0, 1), string("b"))
    + msg(74, u32(0), string("a"), u32(0), string("b"))
    + msg(74, u32(0), string("b"), u32(0), string("c"))
    + msg(76, u32(0), string("c"), u32(0)) + write(1, 100000, b"yy")
    + msg(26, u32(1, 0x1ff, 0o600, 1, 2), u64(50, 1, 2, 3, 4)) + clunk(1),
    walk(0, 1) + msg(12, u32(1, 0)) + msg(40, u32(1), u64(0), u32(4000))
    + msg(8, u32(0)) + msg(50, u32(1, 0)),
    walk(0, 1) + create(1, "x") + walk(0, 2, "x")
    + msg(32, u32(2), string("user.a"), u64(3), u32(0)) + write(2, 0, b"abc")
    + clunk(2) + msg(30, u32(1, 3), string("user.a")) + read(3, 0, 10)
    + msg(30, u32(1, 4), string("")),
    walk(0, 1) + create(1, "x")
    + msg(52, u32(1), b"\1", u32(0), u64(0, 0), u32(7), string("h"))
    + msg(54, u32(1), b"\1", u64(0, 10), u32(8), string("h"))
    + msg(18, u32(0), string("n"), u32(0o20644, 1, 2, 0))
    + msg(20, u32(1, 0), string("y")) + msg(122, u32(1)) + msg(108, b"\0\0"),
]

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
for number, session in enumerate(SESSIONS):
    for piece in (0, 7):
        with open(f"{folder}/{number}-{piece}", "wb") as seed:
            seed.write(bytes([piece]) + session)
