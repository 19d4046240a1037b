# SPDX-License-Identifier: MIT
"""The time of day: what the network says of it, and what Linux then shows."""

import re
import socket
import struct
import threading
import time

from cases_coherence import share
from cases_several import manifest, said, up
from runner import QEMU, Skipped, case

AHEAD = 5 * 3600                # the server's clock, of this computer's
NEAR = 120                      # s, that the test itself may have taken
SINCE_1900 = 2208988800         # 1970 [RFC 5905 "Data Types"]


class TimeServer:
    """An NTP server on this computer, silent until `answers` is set; machines
    find it at 10.0.2.2."""

    def __init__(self):
        self.answers = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind(("127.0.0.1", 123))
        except OSError as error:
            self.socket.close()
            raise Skipped(f"no UDP port 123 to answer at: {error}") from error
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            asked, peer = self.socket.recvfrom(1024)
            if self.answers and len(asked) >= 48:
                now = time.time() + AHEAD + SINCE_1900
                stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
                self.socket.sendto(struct.pack("!BBBb12x", 0x24, 2, 6, -20)
                                   + stamp + asked[40:48] + stamp + stamp,
                                   peer)


def ahead(console, who, command="date +%s"):
    """By how many seconds that Linux's clock is ahead of this computer's."""
    answer = console.run(f"exec {who}: {command}")
    return int(re.match(r"\d+", answer)[0]) - time.time()


def clock_manifest(t):
    """Two Linuxes, of which b keeps its clock itself."""
    path = manifest(t, ("a", "b"))
    with open(path, encoding="utf-8") as f:
        text = f.read()
    at = text.index("\t\tb {")
    text = text[:at] + text[at:].replace('bootargs = "', 'bootargs = "'
                                         "isthmus.clock=off ", 1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + '\n/ {\n\tnetwork {\n\t\tntp = "10.0.2.2";\n'
                "\t};\n};\n")
    return path


@case("clock", "a clock that the network has put right: of a Linux that runs, and "
      "of one that is started then", only=QEMU, why="its network is QEMU's")
def clock(t):
    server = TimeServer()
    console = t.console("--nic", "virtio", "--manifest", clock_manifest(t),
                        *share(t))
    up(console, "ab")
    for who in "ab":
        t.check(abs(ahead(console, who)) < NEAR, f"{who} began elsewhere")
    server.answers = True
    found = console.expect(r"clock: set, it was (\d+) ms behind")
    t.check(abs(int(found[1]) / 1000 - AHEAD) < NEAR, f"{found[0]}")
    seen = ahead(console, "a")
    while seen < AHEAD - NEAR:
        t.check(abs(seen) < NEAR, f"a is {seen} s ahead")
        time.sleep(1)
        seen = ahead(console, "a")
    t.check(seen < AHEAD + NEAR, f"a is {seen} s ahead")
    # The host's files are of the same time.
    console.run("cp welcome.txt copy")
    seen = ahead(console, "a", "stat -c %Y /mnt/host/copy")
    t.check(abs(seen - AHEAD) < NEAR, f"a file is {seen} s ahead")
    said(t, console, "a", "[ $(date +%s) -ge $(stat -c %Y /mnt/host/copy) ]; "
         "echo $?", "0")
    # Who does not want that is left alone; what it is started with is right.
    t.check(abs(ahead(console, "b")) < NEAR, "b followed")
    console.run("linux stop b")
    console.send("linux start b")
    up(console, "b")
    seen = ahead(console, "b")
    t.check(abs(seen - AHEAD) < NEAR, f"b was started {seen} s ahead")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
