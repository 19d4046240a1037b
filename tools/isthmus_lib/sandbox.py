# SPDX-License-Identifier: MIT
"""`isthmus sandbox`: one command in a child of a Linux, on a machine that is
booted for it. Linux comes up, is frozen, and the command runs in a child, which
has of this computer what the options say."""

import argparse
import copy
import struct

from isthmus_lib.arguments import Once, check_folder
from isthmus_lib.common import Failure

CHILD = "sandbox"               # the partition's name


def mount(text):
    """The type of --mount: a folder that can be read only."""
    folder, colon, how = text.rpartition(":")
    if not colon or not folder or how != "ro":
        raise argparse.ArgumentTypeError(f"'{text}' is not DIR:ro")
    return folder


def add_options(parser):
    parser.add_argument("--mount", metavar="DIR:ro", type=mount, action=Once,
                        help="the command has a copy of DIR, as it is now, at /mnt/host, and "
                        "cannot change it (default: no files)")
    parser.add_argument("--net", choices=("none", "out"), default="none",
                        help="out: it reaches what is outside, through this computer, and "
                        "nobody reaches it (default: none)")
    parser.add_argument("run", metavar="COMMAND", nargs=argparse.REMAINDER,
                        help="for Linux's shell: one word, or several, between which "
                        "blanks are put")


def complete(args):
    """What `boot` needs beside what was given."""
    args.exec = " ".join(args.run[args.run[:1] == ["--"]:])
    if not args.exec:
        raise Failure("sandbox: there is no COMMAND (see --help)", 2)
    if args.mount:
        check_folder("--mount", args.mount)
    args.share = args.mount
    args.sandbox = f"--net {args.net}" + (" --mount /:ro" if args.mount
                                          else "")
    args.nic = "auto" if args.net == "out" else None


def fill_in(tree, options):
    """The manifest's one Linux gets a child beside it."""
    partitions = tree.child("partitions").children
    linux = next(p for p in partitions if "kernel" in p.props)
    channel, = [c for c in tree.child("channels").children
                if linux.props["id"] in (c.props["peers"][:4],
                                         c.props["peers"][4:])]
    tree.child("chosen").set_text("sandbox", options)
    number = max(struct.unpack(">I", p.props["id"])[0]
                 for p in partitions) + 1
    child, its = copy.deepcopy(linux), copy.deepcopy(channel)
    child.name = its.name = CHILD
    child.set_cell("id", number)
    child.set_cell("memory-min-mib", 16)
    child.props["on-demand"] = b""
    its.props["peers"] = struct.pack(">2I", 0, number)
    partitions.append(child)
    tree.child("channels").children.append(its)
