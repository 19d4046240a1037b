# SPDX-License-Identifier: MIT
"""The store of distributions on this computer: for each a folder with its
disk, a sparse ext4 image, and its settings in a small JSON file.

A distribution is there as a whole or not at all: what is being made has a name
of its own until it is done, and what a killed run has left the next one
removes. Who uses an image has a lock on its folder."""

import contextlib
import datetime
import fcntl
import json
import os
import re

from isthmus_lib import scratch
from isthmus_lib.common import Failure

# Linux's disk is distro-NAME, and the manifest's names have 31 characters.
NAME = re.compile(r"[a-z][a-z0-9.-]{0,23}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
IMAGE, SETTINGS, DEFAULT = "disk.img", "settings.json", "default"
CONFIG = "etc/isthmus-distro"       # in the root, for Linux
NEW = ".new-"


def folder():
    """Where they are."""
    base = os.environ.get("XDG_DATA_HOME") or \
        os.path.expanduser("~/.local/share")
    return os.path.join(base, "isthmus", "distros")


def check_name(name):
    if not NAME.fullmatch(name):
        raise Failure(f"'{name}' cannot be a distribution's name: these begin "
                      "with a letter and have at most 24 of a-z, 0-9, . and -",
                      2)


def check_user(user):
    if not USER.fullmatch(user):
        raise Failure(f"'{user}' cannot be a user's name: these begin with a "
                      "letter and have at most 31 of a-z, 0-9, _ and -", 2)


class Distribution:
    """One that is there."""

    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(folder(), name)
        self.image = os.path.join(self.folder, IMAGE)

    def settings(self):
        path = os.path.join(self.folder, SETTINGS)
        try:
            with open(path, encoding="utf-8") as f:
                found = json.load(f)
        except (OSError, ValueError) as error:
            raise Failure(f"{path}: {error}") from error
        if not isinstance(found, dict):
            raise Failure(f"{path}: it has no settings")
        return found

    @contextlib.contextmanager
    def used(self, shared=False):
        """While this lasts nobody else has it; with `shared`, nobody who
        would change it."""
        try:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise Failure(f"{self.folder}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_NB | (
                fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            yield self
        except BlockingIOError as error:
            raise Failure(f"{self.name} is in use by another isthmus: a "
                          "machine that runs, or one that exports it"
                          ) from error
        finally:
            os.close(fd)


def names():
    """Of all there are."""
    try:
        found = os.listdir(folder())
    except FileNotFoundError:
        return []
    return sorted(n for n in found if NAME.fullmatch(n) and os.path.exists(
        os.path.join(folder(), n, SETTINGS)))


def find(name=None):
    """That one, or without a name the default one."""
    there = names()
    name = name or default()
    if name is None:
        raise Failure("there is no default distribution; " + (
            "`isthmus distro default NAME` makes one of " + ", ".join(there)
            if there else "`isthmus distro build debian` makes one"), 2)
    if name not in there:
        raise Failure(f"there is no distribution '{name}'; " + (
            "there are " + ", ".join(there) if there else "`isthmus distro "
            f"build debian --name {name}` makes one"), 2)
    return Distribution(name)


def default():
    """The name of the default one, or None."""
    try:
        with open(os.path.join(folder(), DEFAULT), encoding="utf-8") as f:
            return f.read().strip() or None
    except FileNotFoundError:
        return None


def set_default(name):
    """None: there is none."""
    path = os.path.join(folder(), DEFAULT)
    if name is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    with scratch.result(path) as part, open(part, "w", encoding="utf-8") as f:
        f.truncate()
        f.write(name + "\n")


@contextlib.contextmanager
def _store():
    """Nobody else changes what is in it."""
    os.makedirs(folder(), mode=0o700, exist_ok=True)
    with open(os.path.join(folder(), "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_free(name):
    if os.path.lexists(os.path.join(folder(), name)):
        raise Failure(f"there is a distribution '{name}' already; --name "
                      "gives this one another, `isthmus distro remove "
                      f"{name}` removes that one", 2)


@contextlib.contextmanager
def new(name):
    """A folder to make one in, which gets its name when the `with` ends
    well."""
    prefix = f"{NEW}{name}@"
    with _store():
        _check_free(name)
        scratch.remove_left_behind(NEW, folder())
        if any(n.startswith(prefix) for n in os.listdir(folder())):
            raise Failure(f"another isthmus is making '{name}' just now")
        made = scratch.Folder(prefix, folder())
    with made:
        yield made.path
        with _store():
            _check_free(name)
            os.chmod(made.path, 0o700)
            os.rename(made.path, os.path.join(folder(), name))
        if default() is None:
            set_default(name)


def write_settings(path, **settings):
    """Of the one in the folder `path`; now is when it was made."""
    settings["created"] = datetime.datetime.now(datetime.timezone.utc) \
        .strftime("%Y-%m-%dT%H:%M:%SZ")
    with open(os.path.join(path, SETTINGS), "w", encoding="utf-8") as f:
        json.dump(settings, f, indent=1, sort_keys=True)
        f.write("\n")


def remove(name):
    """At once for all others, and then file by file."""
    with find(name).used() as distribution, _store():
        with scratch.Folder(f"{NEW}{name}@", folder()) as gone:
            os.rename(distribution.folder, os.path.join(gone.path, "gone"))
            if default() == name:
                set_default(None)


def read_config(text):
    """{key: value} of the settings in a root."""
    return {key.strip(): value.strip() for key, found, value in (
        line.partition("=") for line in text.splitlines()) if found}


def write_config(settings):
    """Those that Linux wants to know."""
    return "".join(f"{key}={settings[key]}\n" for key in ("user", "init")
                   if settings.get(key))
