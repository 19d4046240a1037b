# SPDX-License-Identifier: MIT
"""Connections by the ten thousand, each way that there is."""

import json
import re
import struct
import socket
import time

from runner import QEMU, case
from cases_net import free_port, with_network

COUNT = 10000
PORT = 8080
PATIENCE = 600          # seconds until the last one is forgotten


def outside(t, port):
    """From this computer to a server in Linux."""
    for i in range(COUNT):
        data = struct.pack("<I", i)
        with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while piece := s.recv(16):
                got += piece
        t.check(got == data, f"the {i}th from outside: {got!r}")


def left(console):
    """What there is of each kind."""
    said = json.loads(console.run("status --json"))
    linux = next(p for p in said["partitions"] if p["name"] == "linux")
    files = console.run("exec cut -f 1 /proc/sys/fs/file-nr")
    return {"vsock": linux["channel"]["connections"],
            "tcp": said["network"]["connections"],
            "NAT": linux["network"]["sessions"],
            "heap": said["heap"]["used"],
            "files": int(re.match(r"\d+", files)[0])}


@case("connects-10000", "ten thousand connections from outside to Linux, and "
      "as many of Linux to the host by vsock and by TCP; nothing is left",
      only=QEMU, why="its network is QEMU's", later=QEMU)
def connects(t):
    port = free_port()
    console = t.console("--nic", "virtio", "--forward", f"{port}:{PORT}",
                        "--manifest", with_network(t, "echo;"), "--overlay",
                        t.overlay({"bin/connects":
                                   t.guest_program("connects")}),
                        timeout=1500)
    console.expect("network: 10.0.2.15/24 by DHCP")
    console.expect("stage 68 agent ready")
    console.run(f"exec connects serve {PORT}")
    for command in ("vsock 50", "tcp 10.77.1.1 50"):
        console.run("exec connects " + command)
    before = left(console)
    outside(t, port)
    for command in ("vsock", "tcp 10.77.1.1"):
        said = console.run(f"exec connects {command} {COUNT}")
        t.check(said == f"{COUNT} connections\n[exit status 0]\n",
                f"{command}: {said!r}")
    end = time.monotonic() + PATIENCE
    while (after := left(console))["NAT"] > before["NAT"] or \
            after["tcp"] > before["tcp"]:
        t.check(time.monotonic() < end, f"left: {before}, then {after}")
        time.sleep(1)
    t.note += f" (left: {before}, then {after})"
    t.check(after["vsock"] <= before["vsock"] and
            after["heap"] < before["heap"] + (4 << 20) and
            after["files"] < before["files"] + 200,
            f"left: {before}, then {after}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
