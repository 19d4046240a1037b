#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Types at host-bridge's console as a person would, on a bare emulator (see
mock.c), and looks at what comes back."""

import codecs
import os
import select
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build/host-bridge/host-bridge-mock.elf")
# A fresh line, not one that is being redrawn.
PROMPT = "\n\risthmus> \x1b[K"
WAIT = "\n1\r\n"  # among keys: type on when this has come back
TIMEOUT = 60
LARGE = 32000   # lines; less than the queue to the serial line takes

# What is typed, texts that must come back before the next prompt, and texts
# that must not.
SESSION = [
    ("help\r", ["linux    start|stop|restart|console|log", "poweroff"]),
    ("help exec\r", ["exec [OPTION..] [NAME:] COMMAND", "ctrl-c ends it"]),
    ("nonsense\r", ['no command "nonsense"']),
    ("cat\r", ["usage: cat PATH"]),
    ("ls\r", ["lost+found", "docs", "hello.txt", "lrwxrwxrwx", "  caf\xe9\r",
               "  ?[2J\r", "  ??[2J\r", "  ?[1m\r"]),
    ("cat link\r", ["hello, isthmus"]),
    ("ca\thel\t\r", ["cat hello.txt ", "hello, isthmus"]),
    ("\x1b[A\x1b[A\r", ["cat link", "hello, isthmus"]),
    ("lss\x7f /dx\x1b[D\x1b[3~ocs\x01\x05\r", ["numbers"]),
    ("cp docs/numbers copy\r", ["23893 bytes"]),
    ("cp copy copy\r", ["copy: File exists"]),
    ("cp nothing copy\r", ["nothing: No such file or directory"]),
    ('mkdir "a b" a\\ c\r', []),
    ("rm docs 'a b'\r", ["docs: Directory not empty"]),
    ("ls\r", [" copy", " a c"]),
    ("cat docs/numbers\r", ["4999\r\n5000\r\n"]),
    (f"cat docs/large\r{WAIT}\x03mkdir one\r", ["^C"], f"\n{LARGE}\r\n"),
    ("", ["mkdir one"]),        # typed with the ctrl-c
    ("watch docs\r\x03mkdir two\r", ["^C"]),
    ("", ["mkdir two"]),
    ("ls\r", [" one\r", " two\r"]),
    ("status\r", ["1 linux", "agent: not ready"]),
    ("linux start\r", ["FAILED stage 64 linux loaded", "no bzImage"]),
    ("exec true\r", ["Linux is not running"]),
    ("exec --user\r", ["--user: a value expected"]),
    ("exec --usr x true\r", ["there is no option --usr;"]),
    ("exec --user x\r", ["exec: a command expected"]),
    ("exec --user x linux: true\r", ["Linux is not running"]),
    ("distro\r", ["usage: distro [NAME:] list|start"]),
    ("distro list\r", ["Linux is not running"]),
    ("distro linux: list\r", ["Linux is not running"]),
    ("linux console --usr x\r", ["there is no option --usr;"]),
    ("linux console --user\r", ["--user: a value expected"]),
    ("linux console --user x a b\r", ["usage: linux console"]),
    ("linux console --user x no\r", ["there is no Linux \"no\""]),
    ("linux log\r", []),
    ("dropped\x03", ["^C"]),
    ("linux bogus\r", ["usage: linux start|stop|restart|log|freeze"]),
]

# The same without modules and with a manifest that cannot be read.
NO_LINUX = "FAILED stage 64 linux loaded: the manifest is not a device tree"
BARE_SESSION = [
    ("linux start\r", [NO_LINUX]),
    ("linux restart\r", [NO_LINUX]),
    ("linux stop\r", ["Linux is not running"]),
    ("linux console\r", ["Linux is not running"]),
    ("exec true\r", ["Linux is not running"]),
    ("linux log\r", []),
    ("ls\r", ["there is no volume"]),
    ("ls linux:\r", ["Linux is not running"]),
    ("status\r", ["agent: not ready"]),
]


def make_volume(folder):
    files = os.path.join(folder, "files")
    os.makedirs(os.path.join(files, "docs"))
    with open(os.path.join(files, "hello.txt"), "w", encoding="ascii") as f:
        f.write("hello, isthmus\n")
    # Two characters in UTF-8 and C1 controls, and what else may be obeyed.
    for name in (b"caf\xc3\xa9", b"\x9b[2J", b"\xc2\x9b[2J", b"\x1b[1m"):
        with open(os.path.join(os.fsencode(files), name), "wb"):
            pass
    os.symlink("hello.txt", os.path.join(files, "link"))
    with open(os.path.join(files, "docs/numbers"), "w",
              encoding="ascii") as f:
        f.writelines(f"{n}\n" for n in range(1, 5001))
    with open(os.path.join(files, "docs/large"), "w",
              encoding="ascii") as f:
        f.writelines(f"{n}\n" for n in range(1, LARGE + 1))
    image = os.path.join(folder, "volume.img")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096",
                    "-O", "^has_journal", "-d", files, image, "32M"],
                   check=True, stdout=subprocess.DEVNULL)
    return image


class Machine:
    def __init__(self, volume):
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m",
             "2G", "-display", "none", "-nodefaults", "-serial", "stdio",
             "-no-reboot", "-kernel", PROGRAM]
            + (["-initrd", volume] if volume else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.end = time.monotonic() + TIMEOUT
        self.rest = ""          # that came behind the last prompt

    def read_to(self, wanted, got=""):
        while wanted not in got:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, self.end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready \
                else b""
            if not data:
                raise SystemExit(f"console: no {wanted!r} after "
                                 f"{got[-800:]!r}")
            got += self.decoder.decode(data)
        return got

    def type(self, text):
        """Types text and returns what comes back, up to the next prompt."""
        got = self.rest
        for i, keys in enumerate(text.split(WAIT)):
            if i > 0:
                got = self.read_to(WAIT, got)
            self.process.stdin.write(keys.encode())
            self.process.stdin.flush()
        got, prompt, self.rest = self.read_to(PROMPT, got).partition(PROMPT)
        return got + prompt


def converse(machine, wanted_first, session):
    banner = machine.read_to(PROMPT)
    if wanted_first not in banner:
        raise SystemExit(f"console: no {wanted_first!r} in {banner!r}")
    for keys, wanted, *unwanted in session:
        got = machine.type(keys)
        for text in wanted:
            if text not in got:
                raise SystemExit(f"console: {keys!r}: no {text!r} in {got!r}")
        for text in unwanted:
            if text in got:
                raise SystemExit(f"console: {keys!r}: {text!r} came back")
    machine.process.stdin.write(b"poweroff\r")
    machine.process.stdin.flush()
    if machine.process.wait(timeout=20) != 0:
        raise SystemExit("console: the machine did not power off")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for volume, first, session in (
                (make_volume(folder), "stage 62 volume ready", SESSION),
                (None, NO_LINUX, BARE_SESSION)):
            machine = Machine(volume)
            try:
                converse(machine, first, session)
            finally:
                machine.process.kill()
    print(f"console: {len(SESSION) + len(BARE_SESSION)} inputs answered as "
          "they should be")


if __name__ == "__main__":
    sys.exit(main())
