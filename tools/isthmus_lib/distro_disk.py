# SPDX-License-Identifier: MIT
"""`isthmus boot --distro NAME`: the distribution's image as a disk of the
machine's, which the manifest gives to Linux under the name distro-NAME; and
others beside it. `isthmus image --distro NAME`: parts of the disk that is made
are copies of them."""

import contextlib
import os

from isthmus_lib import datadisk, distros, image, scratch
from isthmus_lib.common import Failure, say

SERIAL = "isthmus-distro"
# Bochs has two places for them, which are host-bridge's ide2 and ide3.
PLACES = {"bochs": 2, "qemu-tcg": 8}
PARTS = 6                       # of one disk: what "writable-disks" has room for


def add_options(parser):
    """Those that both have."""
    group = parser.add_argument_group("a distribution")
    group.add_argument("--distro", metavar="NAME", nargs="?", const=True,
                       action="append", help="commands and shells are in that "
                       "distribution (default: the default one; see `isthmus "
                       "distro`); again, for others beside the first")
    group.add_argument("--user", metavar="U", help="with --distro: as that "
                       "user (default: what its settings say)")
    return group


def add_boot_options(parser):
    group = add_options(parser)
    group.add_argument("--discard", action="store_true", default=None,
                       help="with --distro: what is changed in it is not kept")


def _copy(distribution, stack):
    """The image of this run alone."""
    folder = stack.enter_context(scratch.large())
    path = os.path.join(folder.path, distros.IMAGE)
    with distribution.used(shared=True):
        scratch.copy(distribution.image, path)
    return path


def _chosen(args):
    """The distributions, the first one that of commands; none is one. Refuses
    what is of no use."""
    if args.distro is None:
        for name in ("user", "discard"):
            if getattr(args, name, None) is not None:
                raise Failure(f"--{name} is for the distribution of --distro",
                              2)
        return []
    there = []
    for name in args.distro:
        one = distros.find(None if name is True else name)
        if one.name in [d.name for d in there]:
            raise Failure(f"--distro {one.name}: twice", 2)
        there.append(one)
    if args.user is not None:
        distros.check_user(args.user)
    if not os.path.exists(image.DISTRO):
        raise Failure(f"--distro: {image.DISTRO} is not there (run `make "
                      "all`)", 2)
    return there


@contextlib.contextmanager
def in_image(args):
    """While this lasts nobody changes them, and args.distro_images are what to
    copy onto the disk."""
    there = _chosen(args)
    if len(there) > PARTS:
        raise Failure(f"--distro: {PARTS} are the most on a disk", 2)
    with contextlib.ExitStack() as stack:
        for one in there:
            stack.enter_context(one.used(shared=True))
        args.distro_images = [one.image for one in there]
        args.distro_named = [(one.name, None, None if i else args.user)
                             for i, one in enumerate(there)]
        yield


def _check_places(there, platform):
    if there and platform.name.startswith("nested"):
        raise Failure(f"--distro: platform {platform.name} has no disk for it",
                      2)
    bochs = platform.name.startswith("bochs")
    most = PLACES["bochs" if bochs else "qemu-tcg"]
    if len(there) > most:
        raise Failure(f"--distro: {most} are the most on {platform.name}", 2)


@contextlib.contextmanager
def prepared(args, platform):
    """While this lasts nobody else has the distributions, and
    args.distro_disks are the disks to attach."""
    args.distro_disks, args.distro_named = [], []
    there = _chosen(args)
    _check_places(there, platform)
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
        if there and args.exec is None:
            say("distribution " + ", ".join(one.name for one in there)
                + (", changes are not kept" if args.discard else ""))
        yield
