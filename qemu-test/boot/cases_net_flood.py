# SPDX-License-Identifier: MIT
"""A Linux that floods the network: it costs that Linux alone."""

import hashlib
import os
import re

from cases_lifecycle import owners
from cases_net_out import GATEWAY, MIB, serve_file
from cases_several import manifest, said, up
from runner import QEMU, case

# Of these there are none on the wire: each packet is one to ask for.
NOBODY = "10.0.2.30", "250"
FLOODS = ("syn", "spoof", "udp", "fragments", "open", "six")
# A neighbour of each family that nobody has asked for before that flood.
NEW = {"udp": "10.0.2.3", "six": "fec0::3"}
COUNT = 1_000_000 if os.environ.get("TEST_ALL") else 20_000
MAY_GROW = 2 << 20              # a unit of the host partition's memory


def fetched(t, console, who, port, want):
    """A Linux gets a file from outside, whole."""
    answer = console.run(
        f"exec {who}: wget -qO- http://{GATEWAY}:{port}/ | sha256sum")
    t.check(want in answer, f"{who}'s file is another: {answer!r}")


def host_pings(t, console, where):
    """The host partition is served at once, whoever else sends."""
    answer = console.run(f"ping {where} -c 3")
    t.check("3 sent, 3 answered" in answer, f"the host's pings: {answer!r}")


@case("net-flood", "a Linux floods: the host partition and another Linux go on",
      only=QEMU, why="its network is QEMU's", later=QEMU)
def net_flood(t):
    data = os.urandom(MIB)
    want = hashlib.sha256(data).hexdigest()
    port = serve_file(data)
    path = manifest(t, ("a", "b"))
    with open(path, "a", encoding="utf-8") as f:
        f.write("\n/ {\n\tnetwork {\n\t\techo;\n\t};\n};\n")
    console = t.console("--nic", "virtio", "--manifest", path, "--overlay",
                        t.overlay({"bin/packets": t.guest_program("packets")}),
                        timeout=1500)
    up(console, "ab")
    for who in "ab":
        fetched(t, console, who, port, want)
    before = owners(console)
    sent = {}
    for kind in FLOODS:
        where = "fec0:: 0" if kind == "six" else " ".join(NOBODY)
        said(t, console, "a", f"(packets {kind} {COUNT} {where} "
             ">/tmp/o &);echo ok", "ok")
        host_pings(t, console, "fec0::2" if kind == "six" else GATEWAY)
        if kind in NEW:
            answer = console.run(f"exec b: ping -c 3 {NEW[kind]}")
            t.check("3 packets received" in answer,
                    f"b's new neighbour: {answer!r}")
        fetched(t, console, "b", port, want)
        answer = console.run(f"exec a: until grep {kind}: /tmp/o; "
                             "do sleep 0.2; done")
        took = re.search(kind + r": (\d+) of (\d+)", answer)
        t.check(took and int(took[2]) == COUNT and int(took[1]) > COUNT // 2,
                f"the flood of {kind} ended so: {answer!r}")
        sent[kind] = int(took[1])
        # What it has filled is its own, and does not stay full.
        fetched(t, console, "a", port, want)
    after = owners(console)
    grown = after["host"] - before["host"]
    t.check(grown <= MAY_GROW, f"the host partition grew by {grown} bytes")
    answer = console.run("net")
    t.check(re.search(r"\n +errors 0, nonsense 0, resets 0", answer),
            f"the card: {answer!r}")
    t.note = f": {sum(sent.values())} packets"
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
