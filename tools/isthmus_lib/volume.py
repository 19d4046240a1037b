# SPDX-License-Identifier: MIT
"""The host partition's volume: an ext4 file system made of a folder, in
Android's sparse image format, which leaves out what is zero.

The layout is the one of AOSP's system/core/libsparse/sparse_format.h.
"""

import os
import struct
import subprocess

from isthmus_lib.common import Failure, run

BLOCK = 4096
MIB = 1 << 20
# Bytes of a volume on a disk from which its blocks are of 4 KiB, so that it costs
# as much whatever its size; a smaller one would have no journal then.
LARGE_BLOCKS = 16 * MIB
HEADER = struct.Struct("<I4H4I")
CHUNK = struct.Struct("<2H2I")
MAGIC = 0xed26ff3a
RAW, DONT_CARE = 0xcac1, 0xcac3
ZERO = bytes(BLOCK)

# Fixed, so that the same folder gives the same volume.
UUID = "69737468-6d75-7376-6f6c-756d65000001"
TIME = "1704067200"


def _content_size(folder):
    total = 0
    for top, dirs, files in os.walk(folder):
        for name in dirs + files:
            info = os.lstat(os.path.join(top, name))
            total += -(-info.st_size // BLOCK) * BLOCK + 512
    return total


def hash_folders(image, time=None):
    """Gives a hash tree to each folder of several blocks that has none, as
    mke2fs makes them from files: who looks up a name then reads few blocks.
    `image` is a file, or FILE?offset=BYTES."""
    env = dict(os.environ, E2FSPROGS_FAKE_TIME=time) if time else None
    done = subprocess.run(["e2fsck", "-fyD", image], env=env, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode not in (0, 1):       # 1: it has changed something
        raise Failure(f"e2fsck -D of {image} failed ({done.returncode}): "
                      f"{done.stdout.decode('utf-8', 'replace').strip()}")


def make_ext4(path, folder, size_mib=None):
    """Makes a sparse file `path` with a file system; `folder` may be None.
    The size is room for twice the content, 256 MiB at least."""
    content = _content_size(folder) if folder else 0
    mib = size_mib or max(256, (2 * content >> 20) + 64)
    if content > mib * MIB:
        raise Failure(f"{folder} does not fit a volume of {mib} MiB")
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK),
               "-i", "8192", "-L", "isthmus", "-U", UUID, "-m", "0",
               "-O", "^has_journal,^resize_inode",
               "-E", f"nodiscard,lazy_itable_init=1,hash_seed={UUID}"]
    if folder:
        command += ["-d", folder]
    run(command + [path], env=dict(os.environ, E2FSPROGS_FAKE_TIME=TIME))
    if folder:
        hash_folders(path, TIME)


def _extents(f, size):
    """(block, data) for each block that is not zero, in order."""
    at = 0
    while at < size:
        try:
            at = os.lseek(f.fileno(), at, os.SEEK_DATA)
        except OSError:
            return
        at -= at % BLOCK
        end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(f.fileno(), BLOCK, at)
            if data != ZERO:
                yield at // BLOCK, data
            at += BLOCK


def to_sparse(source, target):
    """Writes the sparse image of the file `source`."""
    size = os.path.getsize(source)
    chunks = 0
    with open(source, "rb") as f, open(target, "wb") as out:
        out.write(bytes(HEADER.size))
        following, run_of = 0, []

        def flush():
            nonlocal run_of, chunks
            if run_of:
                out.write(CHUNK.pack(RAW, 0, len(run_of),
                                     CHUNK.size + len(run_of) * BLOCK))
                out.writelines(run_of)
                chunks += 1
            run_of = []

        def skip(blocks):
            nonlocal chunks
            if blocks:
                out.write(CHUNK.pack(DONT_CARE, 0, blocks, CHUNK.size))
                chunks += 1

        for block, data in _extents(f, size):
            if block != following:
                flush()
                skip(block - following)
            run_of.append(data)
            following = block + 1
            if len(run_of) == 4096:
                flush()
        flush()
        skip(size // BLOCK - following)
        out.seek(0)
        out.write(HEADER.pack(MAGIC, 1, 0, HEADER.size, CHUNK.size, BLOCK,
                              size // BLOCK, chunks, 0))


def make(target, folder, scratch):
    """The volume module of a folder (None: an empty volume)."""
    plain = os.path.join(scratch, "volume.ext4")
    make_ext4(plain, folder)
    to_sparse(plain, target)
    os.unlink(plain)
