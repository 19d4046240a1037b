# SPDX-License-Identifier: MIT
"""`isthmus boot --distro NAME`: the distribution's image as a disk of the
machine's, which the manifest gives to Linux under the name distro-NAME; and
others beside it."""

import contextlib
import os

from isthmus_lib import datadisk, distros, image, scratch
from isthmus_lib.common import Failure, run, say

SERIAL = "isthmus-distro"
# Bochs has two places for them, which are host-bridge's ide2 and ide3.
PLACES = {"bochs": 2, "qemu-tcg": 8}


def add_options(parser):
    group = parser.add_argument_group("a distribution")
    group.add_argument("--distro", metavar="NAME", nargs="?", const=True,
                       action="append", help="commands and shells are in that "
                       "distribution (default: the default one; see `isthmus "
                       "distro`); again, for others beside the first")
    group.add_argument("--user", metavar="U", help="with --distro: as that "
                       "user (default: what its settings say)")
    group.add_argument("--discard", action="store_true", default=None,
                       help="with --distro: what is changed in it is not kept")


def _copy(distribution, stack):
    """The image of this run alone."""
    folder = stack.enter_context(scratch.Folder(
        place=os.environ.get("TMPDIR") or "/var/tmp"))
    path = os.path.join(folder.path, distros.IMAGE)
    with distribution.used(shared=True):
        run(["cp", "--reflink=auto", "--sparse=always", distribution.image,
             path])
    return path


def _chosen(args, platform):
    """The distributions, the first one that of commands."""
    bochs = platform.name.startswith("bochs")
    most = PLACES["bochs" if bochs else "qemu-tcg"]
    there = []
    for name in args.distro:
        one = distros.find(None if name is True else name)
        if one.name in [d.name for d in there]:
            raise Failure(f"--distro {one.name}: twice", 2)
        there.append(one)
    if len(there) > most:
        raise Failure(f"--distro: {most} are the most on {platform.name}", 2)
    return there


@contextlib.contextmanager
def prepared(args, platform):
    """Refuses what is of no use; while this lasts nobody else has the
    distributions, and args.distro_disks are the disks to attach."""
    args.distro_disks, args.distro_named = [], []
    if args.distro is None:
        for name in ("user", "discard"):
            if getattr(args, name) is not None:
                raise Failure(f"--{name} is for the distribution of --distro",
                              2)
        yield
        return
    if platform.name.startswith("nested"):
        raise Failure(f"--distro: platform {platform.name} has no disk for it",
                      2)
    there = _chosen(args, platform)
    if args.user is not None:
        distros.check_user(args.user)
    if not os.path.exists(image.DISTRO):
        raise Failure(f"--distro: {image.DISTRO} is not there (run `make "
                      "all`)", 2)
    bochs = platform.name.startswith("bochs")
    with contextlib.ExitStack() as stack:
        for i, one in enumerate(there):
            path = one.image
            if args.discard:
                path = _copy(one, stack)
            else:
                stack.enter_context(one.used())
            serial = f"{SERIAL}{i or ''}"
            args.distro_disks.append(datadisk.DataDisk(
                path, "ide" if bochs else "virtio", name=f"distro{i or ''}",
                serial=serial))
            args.distro_named.append((
                one.name, f"ide{2 + i}" if bochs else f"serial:{serial}",
                args.user if i == 0 else None))
        if args.exec is None:
            say("distribution " + ", ".join(one.name for one in there)
                + (", changes are not kept" if args.discard else ""))
        yield
