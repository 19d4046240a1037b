# SPDX-License-Identifier: MIT
"""A Debian root for Linux: made once by mmdebstrap, from the mirror of this
computer, and kept in build/debian as an ext4 image."""

import fcntl
import os
import shutil
import subprocess

from isthmus_lib.common import BUILD
from isthmus_lib.debian import release
from isthmus_lib.mmdebstrap import contained
from runner import Skipped

FOLDER = os.path.join(BUILD, "debian")
PACKAGES = """ca-certificates curl git iproute2 iputils-ping
    libpython3-stdlib nftables python3-minimal""".split()
MIB = 512
NOT_USED = ("doc", "locale", "man")


def _make(image):
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise Skipped("a Debian root is made by root, with mmdebstrap "
                      "(tools/setup roots)")
    root = image + ".new"
    shutil.rmtree(root, ignore_errors=True)
    for command in (
            [*contained(), "mmdebstrap", "--quiet", "--variant=minbase",
             "--mode=root",
             "--include=" + ",".join(PACKAGES),
             *(f"--dpkgopt=path-exclude=/usr/share/{name}/*"
               for name in NOT_USED),
             "--customize-hook=rm -rf $1/var/lib/apt/lists/*_*",
             release(), root],
            ["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, root + ".img",
             f"{MIB}M"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Skipped(f"no Debian root: {done.stdout[-300:]}")
    shutil.rmtree(root)
    os.rename(root + ".img", image)


def debian_root(path):
    """A copy of it, for this run."""
    image = os.path.join(FOLDER, f"root-{release()}.img")
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(image):
            _make(image)
    subprocess.run(["cp", "--sparse=always", image, path], check=True)
    return path
