# SPDX-License-Identifier: MIT
"""Files of a run that outlive nothing: a folder that goes with its run, even
one that was killed, and a result that is there as a whole or not at all.

A run holds a lock on its folder, which goes when the process does, whatever
ends it; what nobody holds was left behind and is removed by the next run."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile

from isthmus_lib.common import Failure, run

PREFIX = "isthmus-run-"


class Folder:
    """A folder for temporary files, in `place` or where the system has
    them."""

    def __init__(self, prefix=PREFIX, place=None):
        place = place or tempfile.gettempdir()
        remove_left_behind(prefix, place)
        self.lock = None
        while self.lock is None:
            self.path = tempfile.mkdtemp(prefix=prefix, dir=place)
            self.lock = _lock(self.path)

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def large():
    """A folder for what may be large."""
    return Folder(place=os.environ.get("TMPDIR") or "/var/tmp")


def _lock(folder):
    """A descriptor that holds the lock on a folder; None if another run holds
    it, or has removed the folder meanwhile."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.lstat(folder)):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def copy(source, target):
    """The same file once more; its holes take no room."""
    run(["cp", "--reflink=auto", "--sparse=always", source, target])


def remove_left_behind(prefix, place):
    """Removes folders of runs that were killed."""
    for entry in os.scandir(place):
        fd = _lock(entry.path) if entry.name.startswith(prefix) else None
        if fd is not None:
            if os.fstat(fd).st_uid == os.getuid():
                shutil.rmtree(entry.path, ignore_errors=True)
            os.close(fd)


@contextlib.contextmanager
def result(path):
    """The name under which to write what shall be `path`: a file beside it,
    which takes its place when the `with` ends well. A run that was killed
    leaves it; the next one with this result writes over it."""
    path = os.path.realpath(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Failure(f"{path}: it is there and is no regular file", 2)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.part")
    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield part
        os.rename(part, path)
    except BlockingIOError as error:
        raise Failure(f"{path}: another run is making it") from error
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(fd)
