# SPDX-License-Identifier: MIT
"""What all tools share: where things are, how they speak, how they fail."""

import hashlib
import os
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")


class Failure(Exception):
    """Something the user must know; printed without a trace, exit status 1
    (or `status`)."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def say(text):
    """A progress line, on stderr: stdout belongs to the results."""
    print(text, file=sys.stderr, flush=True)


def run(command, log=None, **kwargs):
    """Runs a command that must succeed. With `log`, its output is appended
    to that file and the end of it is shown only on failure."""
    if log is None:
        result = subprocess.run(command, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False,
                                **kwargs)
        tail = result.stdout.decode(errors="replace")
    else:
        with open(log, "ab") as out:
            result = subprocess.run(command, stdout=out, stderr=out,
                                    check=False, **kwargs)
        tail = ""
        if result.returncode:
            with open(log, encoding="utf-8", errors="replace") as f:
                tail = "".join(f.readlines()[-30:])
    if result.returncode:
        words = command if isinstance(command, str) else " ".join(command)
        raise Failure(f"failed ({result.returncode}): {words}\n{tail}")
    return tail


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def drop_output():
    """What standard output would not take is not tried again: since Python
    3.13 the interpreter does so at its end, and then the status is its own,
    120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main_with(function):
    """Runs a tool's main function; a Failure becomes one plain message, and
    who ends it by ctrl-c knows why it ended."""
    try:
        status = function()
        sys.stdout.flush()
        sys.exit(status)
    except Failure as failure:
        name = os.path.basename(sys.argv[0])
        print(f"{name}: {failure}", file=sys.stderr)
        sys.exit(failure.status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:        # of this computer: no space, no rights
        drop_output()
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        print(f"{os.path.basename(sys.argv[0])}: {where}"
              f"{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
