# SPDX-License-Identifier: MIT
"""The network: ports that lead to Linux because somebody there listens."""

import re
import socket
import statistics

from runner import QEMU, case
from cases_net import ECHO, echoed, free_port, with_network

RULES = """echo;
	};
	partitions {
		linux {
			publish = "tcp:2222:22 udp:53";
			hide = "tcp:23";
		};
"""


@case("net-ports", "who listens in Linux is reached from outside, at once, "
      "until it closes", only=QEMU, why="its network is QEMU's")
def net_ports(t):
    port = free_port()
    console = t.console("--nic", "virtio", "--forward", f"{port}:8080",
                        "--manifest", with_network(t, RULES), "--overlay",
                        t.overlay({"bin/ports": t.guest_program("ports")}))
    console.expect("network: 10.0.2.15/24 by DHCP")
    console.expect("stage 68 agent ready")
    said = console.run("exec ports 10.0.2.15 8080")
    times = [float(ms) for ms in re.findall(r"after ([0-9.]+) ms", said)]
    # This computer may be busy: of each kind half of them in time, at least.
    t.check(len(times) == 15 and all(statistics.median(times[kind::3]) < 100
                                     for kind in range(3)),
            f"ports said {said!r}")
    got = echoed(port)
    t.check(got == ECHO, f"{len(got)} of {len(ECHO)} bytes came back")
    said = " ".join(console.run("net ports").split())
    for line in ("TCP 2222 -> Linux, 22: IPv4 and IPv6, by the manifest",
                 "UDP 53 -> Linux, 53: IPv4 and IPv6, by the manifest",
                 "TCP 8080 -> Linux, 8080: IPv4 ",
                 "TCP 7 -> Linux, 7; refused: the host partition has the port",
                 "TCP 23 -> Linux, 23; refused: the manifest hides the port",
                 "UDP 5353 -> Linux, 5353: IPv4"):
        t.check(line in said, f"no {line!r} in {said!r}")
    said = console.run("ping linux.isthmus.internal -c 1")
    t.check("64 bytes from 10.77.1.2: " in said, f"ping said {said!r}")
    said = console.run("net nat")
    t.check(re.search(r"\n? +Linux: \d+ of 4096 sessions; interface up, ", said)
            and re.search(r"packets passed \d+, hairpins \d+, sessions begun "
                          r"\d+", said)
            and re.search(r"TCP  Linux, 8080 -> 8080, 10\.0\.2\.2 port \d+; ",
                          said), f"net nat said {said!r}")
    said = console.run("exec dmesg | grep forwarded")
    t.check(said.count("port 7 of TCP is not forwarded: the host partition has "
                       "the port") == 1 and "port 23 of TCP" in said,
            f"Linux's log has {said!r}")
    console.run("exec killall ports; sleep 1")
    said = console.run("net ports")
    t.check("2222" in said and "8080" not in said and "5353" not in said,
            f"they are still there: {said!r}")
    # The NAT drops what comes to a port while it remembers connections there.
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(b"anybody?")
        try:
            t.check(s.recv(1) == b"", "somebody answers")
        except (ConnectionResetError, TimeoutError):
            pass
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
