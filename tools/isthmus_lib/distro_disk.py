# SPDX-License-Identifier: MIT
"""`isthmus boot --distro NAME`: the distribution's image as a disk of the
machine's, which the manifest gives to Linux under the name distro-NAME."""

import contextlib
import os

from isthmus_lib import datadisk, distros, image, scratch
from isthmus_lib.common import Failure, run, say

SERIAL = "isthmus-distro"


def add_options(parser):
    group = parser.add_argument_group("a distribution")
    group.add_argument("--distro", metavar="NAME", nargs="?", const=True,
                       help="commands and shells are in that distribution "
                       "(default: the default one; see `isthmus distro`)")
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


@contextlib.contextmanager
def prepared(args, platform):
    """Refuses what is of no use; while this lasts nobody else has the
    distribution, and args.distro_disk is the disk to attach."""
    args.distro_disk = args.distro_named = None
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
    distribution = distros.find(None if args.distro is True else args.distro)
    if args.user is not None:
        distros.check_user(args.user)
    if not os.path.exists(image.DISTRO):
        raise Failure(f"--distro: {image.DISTRO} is not there (run `make "
                      "all`)", 2)
    bochs = platform.name.startswith("bochs")
    with contextlib.ExitStack() as stack:
        path = distribution.image
        if args.discard:
            path = _copy(distribution, stack)
        else:
            stack.enter_context(distribution.used())
        args.distro_disk = datadisk.DataDisk(
            path, "ide" if bochs else "virtio", name="distro", serial=SERIAL)
        args.distro_named = (distribution.name,
                             "ide2" if bochs else "serial:" + SERIAL)
        words = f"isthmus.distro={distribution.name}" + (
            f",{args.user}" if args.user else "")
        args.append = f"{args.append} {words}" if args.append else words
        if args.exec is None:
            say(f"distribution {distribution.name}"
                + (", changes are not kept" if args.discard else ""))
        yield
