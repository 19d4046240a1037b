# SPDX-License-Identifier: MIT
"""The network: Linux reaches the host partition, and what is outside."""

import hashlib
import os
import re
import socket
import threading

from runner import BOCHS, QEMU, case
from cases_net import with_network

GATEWAY = "10.0.2.2"            # QEMU's, behind which this computer is
OUTSIDE = "10.0.2.15"           # what it gives the machine
MIB = 1 << 20


def serve(answer):
    """A TCP server for each connection in turn; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def serve_file(data):
    def answer(connection):
        while not connection.recv(65536).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"
                           % len(data) + data)
    return serve(answer)


def serve_sums(sums):
    """Takes all that comes, and keeps its sums."""
    def answer(connection):
        digest = hashlib.sha256()
        while piece := connection.recv(1 << 20):
            digest.update(piece)
        sums.append(digest.hexdigest())
    return serve(answer)


def serve_echo_udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))

    def run():
        while True:
            data, sender = s.recvfrom(65536)
            s.sendto(data, sender)

    threading.Thread(target=run, daemon=True).start()
    return s.getsockname()[1]


HERE = r"""
ip addr show isthmus0
ip route
ping -c 3 10.77.1.1
echo echoed | nc 10.77.1.1 7
head -c 3000000 /dev/urandom > /tmp/a
nc 10.77.1.1 7 < /tmp/a > /tmp/b
cmp /tmp/a /tmp/b && echo same
nc -w 5 10.77.1.1 8 < /dev/null || echo refused
nslookup host.isthmus.internal
nslookup linux.isthmus.internal
nslookup 10.77.1.2
nslookup nobody.isthmus.internal || echo nobody
"""
# Beyond the host partition.
OUT = r"""
ping -c 3 {gateway}
began=$(cut -d. -f1 /proc/uptime)
nslookup nowhere.invalid || echo nowhere
echo $(($(cut -d. -f1 /proc/uptime) - began)) seconds
wget -q -O /tmp/c http://{gateway}:{web}/ && sha256sum < /tmp/c
nc {gateway} {sink} < /tmp/c
datagram {gateway} {udp} 1 1472 9000
datagram 10.77.1.1 7 1472 9000 65507
datagram {outside} 7 9000
"""


@case("net-out", "Linux reaches the host partition; pings, gets and sends files",
      later=BOCHS)
def net_out(t):
    data = os.urandom(8 * MIB)
    want = hashlib.sha256(data).hexdigest()
    sums, out, options = [], "", []
    if t.platform in QEMU:
        options = ["--nic", "virtio", "--overlay", t.overlay(
            {"bin/datagram": t.guest_program("datagram")})]
        out = OUT.format(gateway=GATEWAY, outside=OUTSIDE, web=serve_file(data),
                         sink=serve_sums(sums), udp=serve_echo_udp())
    result = t.exec(HERE + out + "true", "--manifest",
                    with_network(t, "echo;"), *options)
    said = result.out
    t.check("inet 10.77.1.2/24" in said and "mtu 1500" in said
            and "default via 10.77.1.1 dev isthmus0" in said,
            f"the interface is {said[:600]!r}")
    t.check(re.search(r"3 packets transmitted, 3 packets received[^\0]*"
                      r"\nechoed\nsame\nrefused\n", said),
            f"the host partition: {said!r}")
    t.check(re.search(r"Server:\s+10\.77\.1\.1\n[^\0]*"
                      r"Name:\s+host\.isthmus\.internal\nAddress.*10\.77\.1\.1\n[^\0]*"
                      r"Name:\s+linux\.isthmus\.internal\nAddress.*10\.77\.1\.2\n[^\0]*"
                      r"name = linux\.isthmus\.internal\n[^\0]*"
                      r"NXDOMAIN\s+nobody\n", said),
            f"names: {said!r}")
    if not out:
        return
    seconds = re.search(r"nowhere\n(\d+) seconds", said)
    t.check(seconds and int(seconds[1]) < 15,
            f"a name that nobody knows: {said!r}")
    t.check(said.count("3 packets received") == 2, f"no ping out: {said!r}")
    t.check(want in said, f"wget got another file: {said!r}")
    t.check(sums == [want], f"nc sent {sums}, not {want}")
    t.check(said.count("bytes: the same") == 7, f"datagrams: {said!r}")
