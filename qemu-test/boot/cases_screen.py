# SPDX-License-Identifier: MIT
"""The console on the screen and a keyboard, in a machine without a serial
port: read off QEMU's picture, typed with QEMU's keys."""

import os
import tempfile
import time

import picture
from cases_failures import ESP, image
from cases_isolation import MC_FATAL, MCG_STATUS
from qmp import Qmp
from runner import QEMU, case

FAILURE = bytes((0xff, 0x50, 0x50))
# From the first stage to the prompt: each program's part is there.
STORY = ("isthmus: stage 10 firmware", "isthmus: stage 18 enter",
         "isthmus: stage 40 hypervisor entered",
         "isthmus: stage 60 host-bridge started",
         "isthmus: stage 66 linux started")
PROMPT_SECONDS = 900        # on a busy computer; the machine has its own limit


class Machine:
    """One without a serial port, unless there is a line; and its monitor."""

    def __init__(self, t, *options, line=False):
        self.folder = tempfile.TemporaryDirectory()  # a socket's path is short
        path = os.path.join(self.folder.name, "qmp")
        self.t = t
        self.console = t.console(*[] if line else ["--no-serial"],
                                 "--qmp", path, *options)
        while not os.path.exists(path):
            t.check(self.console.process.poll() is None, "QEMU did not start")
            time.sleep(0.1)
        self.qmp = Qmp(path)

    def sees(self, words, seconds=60):
        """The picture with these words, which must come."""
        until, text = time.monotonic() + seconds, ""
        while time.monotonic() < until:
            try:
                seen = picture.take(self.qmp)
            except (OSError, ValueError):
                self.t.check(False, f"the machine has ended:\n{text}")
            text = seen.text
            with open(self.t.path("screen.txt"), "w", encoding="utf-8") as f:
                f.write(text)
            if words in text:
                return seen
            time.sleep(0.5)
        return self.t.check(False, f"'{words}' does not come:\n{text}")

    def types(self, line):
        picture.type_text(self.qmp, line + "\n")

    def close(self):
        try:
            self.qmp.run("quit")
        except (OSError, ValueError):
            pass
        self.qmp.close()
        self.console.close()
        self.folder.cleanup()


def _talk(machine):
    """Commands whose answers are longer than the screen's rest."""
    machine.types("status")
    machine.sees("Linux agent: ready")
    machine.types("ls")
    machine.sees("lost+found")
    # what is typed is not what is answered
    machine.types('exec echo "a_"b"|C"; exit 3')
    machine.sees("a_b|C")
    machine.sees("[exit status 3]")


@case("screen", "the console by screen and keyboard, without a serial port",
      only=QEMU, why="QEMU shows its screen")
def screen(t):
    machine = Machine(t)
    try:
        seen = machine.sees("isthmus: stage 68 agent ready", PROMPT_SECONDS)
        for words in STORY:
            t.check(words in seen.text, f"'{words}' is gone:\n{seen.text}")
        t.check(FAILURE not in seen.colours("isthmus: stage 10 firmware"),
                "what is well is red")
        _talk(machine)
        _dies(t, machine)
    finally:
        machine.close()


def _dies(t, machine):
    """A panic has the top of the screen, in red; the rest stays."""
    machine.qmp.run("human-monitor-command", **{
        "command-line": f"mce 0 1 {MC_FATAL:#x} {MCG_STATUS:#x} 0x12345000 0"})
    words = "isthmus: PANIC in the hypervisor: machine check"
    seen = machine.sees(words)
    t.check(words in "\n".join(seen.lines[:4]), "it is not at the top")
    t.check(seen.colours(words) == {FAILURE}, "it is not red")
    t.check("[exit status 3]" in seen.text, "what was there is gone")


@case("screen-usb", "a USB keyboard behind a hub", only=QEMU,
      why="QEMU shows its screen", later=QEMU)
def screen_usb(t):
    machine = Machine(t, "--device", "qemu-xhci,id=usb",
                      "--device", "usb-hub,bus=usb.0,port=1",
                      "--device", "usb-kbd,bus=usb.0,port=1.2")
    try:
        machine.sees("isthmus: stage 68 agent ready", PROMPT_SECONDS)
        _talk(machine)
        machine.types("pci")
        machine.sees("xhci")
        machine.types("poweroff")
        t.check(machine.console.finish() == 0, "poweroff did not end it well")
    finally:
        machine.close()


@case("screen-failures", "a failure of the loader's, and what the next boot "
      "says of it", only=QEMU, why="QEMU shows its screen", later=QEMU)
def screen_failures(t):
    disk = image(t)
    t.tool(["mdel", "-i", disk + ESP, "::isthmus/initrd"])
    machine = Machine(t, "--image", disk)
    try:
        words = "isthmus: FAILED stage 13 modules: \\isthmus\\initrd: no such"
        seen = machine.sees(words, PROMPT_SECONDS)
        t.check(seen.colours(words) == {FAILURE}, "it is not red")
        machine.sees("press a key")
        machine.qmp.run("system_reset")
        machine.sees("isthmus: the last run ended in stage 13 modules: "
                     "\\isthmus\\initrd: no such")
    finally:
        machine.close()
