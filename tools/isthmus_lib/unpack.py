# SPDX-License-Identifier: MIT
"""A compressed archive as a plain file, which can be read anywhere; how it is
compressed its first bytes tell."""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
import zlib

from isthmus_lib.common import Failure

PIECE = 1 << 20
MAGICS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open,
          b"\xfd7zXZ\0": lzma.open}
ZSTD = b"\x28\xb5\x2f\xfd"


class _Zstd:
    """What the program zstd makes of a file: Python has none of its own."""

    def __init__(self, path):
        if not shutil.which("zstd"):
            raise Failure(f"{path}: it is compressed by zstd, and the program "
                          "zstd is not there (apt-get install zstd)", 2)
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            ["zstd", "-dcq", "--", path], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def read(self, count):
        data = self.process.stdout.read(count)
        if not data and self.process.wait():
            raise EOFError(self.process.stderr.read().decode(
                "utf-8", "replace").strip())
        return data

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def _opened(path):
    with open(path, "rb") as f:
        head = f.read(8)
    if head.startswith(ZSTD):
        return _Zstd(path)
    for magic, way in MAGICS.items():
        if head.startswith(magic):
            return way(path, "rb")
    return None


def plain(path, scratch, most, name=None):
    """The path of what is in the file `path`, which may be called otherwise:
    that itself when it is not compressed, or a new file in the folder
    `scratch`, of at most `most` bytes."""
    name = name or path
    source = _opened(path)
    if source is None:
        return path
    target = os.path.join(scratch, f"plain-{len(os.listdir(scratch))}")
    size = 0
    try:
        with source as f, open(target, "wb") as out:
            while data := f.read(PIECE):
                size += len(data)
                if size > most:
                    raise Failure(f"{name}: it becomes more than "
                                  f"{most >> 20} MiB when it is unpacked; "
                                  "--size makes more room", 2)
                out.write(data)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Failure(f"{name}: it is damaged: {error}", 2) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise Failure(f"{name}: it is damaged: {error}", 2) from error
    return target


def digest_of(path, kind):
    """Of a file's content, in hexadecimal."""
    found = hashlib.new(kind)
    with open(path, "rb") as f:
        while data := f.read(PIECE):
            found.update(data)
    return found.hexdigest()
