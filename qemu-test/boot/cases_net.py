# SPDX-License-Identifier: MIT
"""The network: the host partition's own place on it."""

import json
import re
import socket

from runner import QEMU, case
from isthmus_lib import manifest

ECHO = bytes(range(256)) * 1024


def with_network(t, properties):
    """The default manifest with a /network."""
    path = t.path("network.dts")
    with open(manifest.DEFAULT, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + "\n/ {\n\tnetwork {\n\t\t" + properties + "\n\t};\n};\n")
    return path


def free_port():
    """A port of this computer's that nobody uses now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def echoed(port):
    """What comes back of ECHO."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
        got = b""
        for at in range(0, len(ECHO), 16384):
            s.sendall(ECHO[at:at + 16384])
        s.shutdown(socket.SHUT_WR)
        while piece := s.recv(65536):
            got += piece
    return got


@case("net-stack", "the host partition has an address by DHCP, asks and answers",
      only=QEMU, why="its network is QEMU's")
def net_stack(t):
    port = free_port()
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log.bind(("127.0.0.1", 0))
    to = f'echo; syslog = "10.0.2.2 {log.getsockname()[1]}";'
    console = t.console("--nic", "virtio", "--forward", f"{port}:7",
                        "--manifest", with_network(t, to))
    console.expect("network: 10.0.2.15/24 by DHCP")
    said = console.run("net")
    t.check(re.search(r"virtio network card, [0-9a-f:]{17}, link up", said)
            and "10.0.2.15/24 by DHCP (10.0.2.2), for 86400 s" in said
            and "gateway 10.0.2.2" in said
            and "name servers: 10.0.2.3" in said, f"net said {said!r}")
    said = console.run("ping 10.0.2.2 -c 3")
    t.check("64 bytes from 10.0.2.2: 3, " in said
            and "3 sent, 3 answered" in said, f"ping said {said!r}")
    t.check("127.0.0.1" in console.run("resolve localhost"), "no localhost")
    said = console.run("resolve no-such-name.invalid")
    t.check("no address of" in said, f"resolve said {said!r}")
    got = echoed(port)
    t.check(got == ECHO, f"{len(got)} of {len(ECHO)} bytes came back")
    log.settimeout(60)
    lines = ""
    while "stage 62 volume ready" not in lines:
        lines += log.recv(2048).decode() + "\n"
    log.close()
    t.check(re.search(r"^<134>1 \S+Z isthmus hypervisor - - - isthmus: stage 40 ",
                      lines, re.M), f"syslog brought {lines!r}")
    t.check("\1" not in lines, "the mark is in the log")
    told = json.loads(console.run("status --json"))["network"]
    t.check(told["address"] == "10.0.2.15/24" and told["link"], f"{told!r}")
    said = console.run("net")
    t.check(re.search(r"fe80::5054:ff:fe\w\w:\w{4}\s", said)
            and "router fe80::2" in said, f"no IPv6: {said!r}")
    t.check(re.search(r"stack: 0 connections, .* 0 times there was none", said),
            f"the stack has {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
