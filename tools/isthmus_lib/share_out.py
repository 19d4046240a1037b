# SPDX-License-Identifier: MIT
"""`isthmus boot --share-out DIR`: the files of the volume, which is on a disk,
when the machine has ended. Was it ended by force, its journal is replayed
first, by e2fsck."""

import contextlib
import os
import shutil

from isthmus_lib import arguments, ext4, scratch
from isthmus_lib.common import Failure, say


@contextlib.contextmanager
def prepared(args):
    """Refuses what is of no use; without --disk there is one while this
    lasts."""
    if args.share_out is None:
        yield
        return
    if args.disk and not args.disk_volume:
        raise Failure("--share-out: the volume is in memory; --disk-volume "
                      f"puts it on {args.disk}", 2)
    if args.disk_part:
        raise Failure("--share-out: the volume is in a part of a disk; it "
                      "must have one to itself", 2)
    if not shutil.which("e2fsck"):
        raise Failure("--share-out: there is no e2fsck", 2)
    try:
        os.makedirs(args.share_out, exist_ok=True)
        if os.listdir(args.share_out):
            arguments.refuse("--share-out", args.share_out, "it is not empty")
    except OSError as error:
        arguments.refuse("--share-out", args.share_out, error.strerror)
    with contextlib.ExitStack() as stack:
        if not args.disk:
            folder = stack.enter_context(scratch.Folder())
            args.disk = os.path.join(folder.path, "disk.img")
            args.disk_volume = True
        yield


def copy(args):
    """Replays the journal, and copies."""
    if args.share_out is None:
        return
    ext4.replay(args.disk, "--share-out")
    left_out = ext4.extract(args.disk, args.share_out)
    if left_out:
        say(f"--share-out: {left_out} owners, devices or attributes are left "
            "out, which only root may give")
