# SPDX-License-Identifier: MIT
"""Arguments of the command line: each that is of no use is refused with one
line that names it, before anything is made. Text may be any bytes, as names
and commands on Linux are; Python carries what is not UTF-8 as surrogates, and
os.fsencode() gives it back."""

import argparse
import os
import re
import stat

from isthmus_lib.common import Failure


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and not also how all else is used."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def number(least, most):
    """The type of an option that is a number of this range."""
    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"'{text}' is no number from {least} to {most}")
        return value
    return convert


def disk(text):
    """The type of --linux-disk: MiB, or the manifest's word for a disk."""
    if text.lstrip("+-").isdigit():
        return number(1, (1 << 24) - 1)(text)
    if not text or len(os.fsencode(text)) > 255 or \
            any(c <= " " or c > "~" for c in text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither a number of MiB nor a word for a disk")
    return text


def forward(text):
    """The type of --forward: a port of this computer's and one of the
    machine's, the same if there is none."""
    port = number(1, 65535)
    here, _, there = text.partition(":")
    return port(here), port(there or here)


def wire(text):
    """The type of --wire: which end of a connection, and its port; or a tap
    device of this computer's."""
    end, _, where = text.partition(":")
    if end == "tap" and re.fullmatch(r"[\w.-]{1,15}", where):
        return end, where
    if end not in ("listen", "connect"):
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither listen:PORT nor connect:PORT nor tap:NAME")
    return end, number(1, 65535)(where)


def serial(text):
    """The type of --serial: one place or two."""
    places = tuple(text.split(","))
    if len(places) > 2 or not all(re.fullmatch(r"com[1-4]|pci", place)
                                  for place in places):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not one or two of com1, com2, com3, com4, pci")
    return places


def word(text):
    """The type of an option that may not be empty."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


class Once(argparse.Action):
    """The action of an option that names what there is one of: the second would
    be used, and the first forgotten without a word."""

    def __call__(self, parser, namespace, values, option_string=None):
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "there can be only one")
        setattr(namespace, self.dest, values)


def refuse(option, path, why):
    raise Failure(f"{option} {path}: {why}", 2)


def check_file(option, path):
    """`path` must be a file with something in it that we may read."""
    try:
        with open(path, "rb", opener=_at_once) as f:
            info = os.fstat(f.fileno())
            if not stat.S_ISREG(info.st_mode):
                refuse(option, path, "it is not a regular file")
            if not info.st_size:
                refuse(option, path, "it is empty")
    except OSError as error:
        refuse(option, path, error.strerror)


def _at_once(path, flags):
    return os.open(path, flags | os.O_NONBLOCK)     # not even for a pipe


def check_folder(option, path):
    """`path` must be a folder that we may read."""
    try:
        os.listdir(path)
    except OSError as error:
        refuse(option, path, error.strerror)
