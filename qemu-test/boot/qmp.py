# SPDX-License-Identifier: MIT
"""QEMU's monitor, as `isthmus boot --qmp` offers it; and what makes a disk
hang: a limit of one byte a second. What is held up by it is done at once when
the device is reset, and whatever the limit is then, new requests meet it."""

import json
import socket

LIMIT = "hang"
SECONDS = 60            # for an answer


class Qmp:
    """A connection to the monitor of an emulator that runs. [QEMU Machine
    Protocol Specification]"""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self.lines = self.socket.makefile()
        self._answer()                          # its greeting
        self.run("qmp_capabilities")

    def _answer(self):
        """The next that is not an event."""
        while True:
            said = json.loads(self.lines.readline())
            if "event" not in said:
                return said

    def run(self, command, **arguments):
        """Does it; returns what QEMU answers."""
        self.socket.sendall(json.dumps({
            "execute": command, "arguments": arguments}).encode() + b"\n")
        said = self._answer()
        if "error" in said:
            raise OSError(f"{command}: {said['error']['desc']}")
        return said["return"]

    def hang(self, group=LIMIT, **disk):
        """But for what is under way, requests of a disk (id= of its device,
        device= of its drive) hang from now on."""
        self.run("block_set_io_throttle", bps=1, bps_rd=0, bps_wr=0, iops=0,
                 iops_rd=0, iops_wr=0, group=group, **disk)

    def close(self):
        self.lines.close()
        self.socket.close()
