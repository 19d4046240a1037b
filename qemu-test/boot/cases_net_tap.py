# SPDX-License-Identifier: MIT
"""The network: a card that finishes checksums and cuts large segments itself,
as virtio's does where QEMU joins it to a tap device of this computer."""

import os
import re
import socket
import subprocess
import threading

from cases_net import with_network
from runner import QEMU, Skipped, case

NAME = "isthmus-tap"
ADDRESSES = (("10.91.0.1", "10.91.0.2", 24), ("fd00:91::1", "fd00:91::2", 64))
KIB = 4096
FRAME = 1514


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Tap:
    """A tap device of this computer's, while the test runs."""

    def __enter__(self):
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            raise Skipped("a tap device is made by root, with /dev/net/tun")
        try:
            ip("tuntap", "add", "dev", NAME, "mode", "tap")
            for here, _, bits in ADDRESSES:
                ip("address", "add", f"{here}/{bits}", "dev", NAME, "nodad")
            ip("link", "set", NAME, "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise Skipped(f"no tap device: {error}") from error
        return self

    def __exit__(self, *error):
        ip("link", "delete", NAME, check=False)


def serve(address):
    """A server there sends back what comes; returns its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)

    def echo(connection):
        with connection:
            while piece := connection.recv(1 << 20):
                connection.sendall(piece)

    def run():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],),
                             daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def sent(console):
    """What the card was given to send: how often, and how many bytes."""
    return [int(n) for n in
            re.search(r"; sent (\d+), (\d+),", console.run("net")).groups()]


@case("net-tap", "a virtio card that sums and cuts itself: data both ways, with "
      "the Linux of this computer", only=QEMU, why="its tap is QEMU's",
      later=QEMU)
def net_tap(t):
    network = 'address = "10.91.0.2/24"; address6 = "fd00:91::2";'
    overlay = t.overlay({"bin/peer": t.guest_program("peer")})
    with Tap():
        console = t.console("--nic", "virtio", "--wire", "tap:" + NAME,
                            "--overlay", overlay,
                            "--manifest", with_network(t, network))
        console.expect("virtio network card, 52:54:00:69:73:01, link up, "
                       "checksums, TSO")
        console.ready()
        for here, _, _ in ADDRESSES:
            said = console.run(f"ping {here} -c 3")
            t.check("3 sent, 3 answered" in said, f"{here}: {said!r}")
            before = sent(console)
            said = console.run(f"exec peer call {here} {serve(here)} {KIB} 4")
            t.check("4 of 4 connections: the same" in said,
                    f"{here}: {said!r}")
            many, size = (b - a for a, b in zip(before, sent(console)))
            # Acknowledgements too, yet more in each than a frame has.
            t.check(size / many > FRAME, f"{here}: {size} bytes in {many}")
            t.note += f"; {size} bytes in {many}"
        said = console.run("net")
        t.check("errors 0, nonsense 0, resets 0" in said, f"net: {said!r}")
        console.send("poweroff")
        t.check(console.finish() == 0, "poweroff did not end the machine well")
