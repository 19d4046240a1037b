# SPDX-License-Identifier: MIT
"""Machines that `isthmus exec` and `isthmus console` find: each that `boot
--control NAME` has begun is a file of the user's alone, with where its control
service is and a key that no other run has. Who began it holds a lock on that
file; one without is left over."""

import argparse
import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
import stat

from isthmus_lib.common import Failure

PORT = 4243                     # of the machine's, for the service
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
VERSION = 1


def name(text):
    """The type of --control."""
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no name of letters, digits and -_., 32 at most")
    return text


def _folder():
    """Where these files are, or None: nobody has made it yet."""
    path = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/tmp",
                        f"isthmus-{os.getuid()}")
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return path, False
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or \
            info.st_mode & 0o077:
        raise Failure(f"{path}: it is not a folder of this user's alone")
    return path, True


def _locked(fd, how=fcntl.LOCK_EX):
    """Whether nobody else had a lock; then it is ours."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_own(path, machine):
    """The file, locked: its descriptor."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if not _locked(fd):
            os.close(fd)
            raise Failure(f"--control {machine}: a machine of that name runs")
        try:
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                return fd
        except FileNotFoundError:
            pass                        # another one has just ended
        os.close(fd)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def prepare(args):
    """What --control means for other options."""
    args.control_key = None
    if args.control is None:
        return
    if args.image or args.nic == "none" or args.wire:
        option = "image" if args.image else "wire" if args.wire else "nic none"
        raise Failure(f"--control: not with --{option}", 2)
    args.control_key = secrets.token_hex(32)
    args.nic = args.nic or "auto"
    args.forward = [*args.forward, (free_port(), PORT)]


@contextlib.contextmanager
def registered(args):
    """While the machine runs others find it."""
    if args.control is None:
        yield
        return
    folder, there = _folder()
    if not there:
        os.mkdir(folder, 0o700)
        folder, _ = _folder()
    path = os.path.join(folder, args.control + ".json")
    fd = _open_own(path, args.control)
    try:
        about = {"version": VERSION, "address": "127.0.0.1",
                 "port": args.forward[-1][0], "key": args.control_key,
                 "share": args.share and os.path.realpath(args.share)}
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 0)
        os.write(fd, json.dumps(about).encode() + b"\n")
        yield
    finally:
        os.unlink(path)
        os.close(fd)


def running():
    """The names of machines that can be found."""
    folder, there = _folder()
    names = []
    for file in sorted(os.listdir(folder)) if there else []:
        machine, end = os.path.splitext(file)
        if end == ".json" and re.fullmatch(NAME, machine) and runs(machine):
            names.append(machine)
    return names


def runs(machine):
    """Whether it does still."""
    folder, _ = _folder()
    try:
        fd = os.open(os.path.join(folder, machine + ".json"),
                     os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _locked(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def find(machine):
    """What the file of a machine says; without a name it is the only one."""
    names = running()
    if machine is None and len(names) != 1:
        raise Failure("no machine runs that `isthmus boot --control NAME` has "
                      "begun" if not names else "which machine? There are "
                      + ", ".join(names), 2)
    machine = machine or names[0]
    if machine not in names:
        raise Failure(f"no machine runs that is called {machine}", 2)
    folder, _ = _folder()
    try:
        with open(os.path.join(folder, machine + ".json"),
                  encoding="utf-8") as f:
            about = json.load(f)
    except (OSError, ValueError) as error:
        raise Failure(f"{machine}: {error}") from error
    if about.get("version") != VERSION:
        raise Failure(f"{machine}: another version of this tool began it")
    return machine, about
