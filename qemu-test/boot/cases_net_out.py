# SPDX-License-Identifier: MIT
"""The network: Linux reaches the host partition, and what is outside."""

import hashlib
import os
import re
import socket
import struct
import threading

from runner import BOCHS, QEMU, case
from cases_net import with_network

GATEWAY = "10.0.2.2"            # QEMU's, behind which this computer is
OUTSIDE = "10.0.2.15"           # the machine's
SERVED = "10.0.2.100"           # a name server, by TCP alone
NETWORK = f"""echo; address = "{OUTSIDE}/24"; gateway = "{GATEWAY}";
              dns = "{SERVED}";"""
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


def query(name):
    """For its address, as DNS has it over TCP."""
    message = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(word)]) + word.encode()
        for word in name.split(".")) + b"\0\0\1\0\1"
    return struct.pack(">H", len(message)) + message


def long_answer(message):
    """To a query, without its length; far too long for a datagram."""
    answer = message[:2] + b"\x81\x80" + message[4:] + bytes(range(240)) * 250
    return struct.pack(">H", len(answer)) + answer


def serve_names(asked):
    """A name server; keeps what it was asked."""
    def answer(connection):
        while length := connection.recv(2, socket.MSG_WAITALL):
            message = connection.recv(*struct.unpack(">H", length),
                                      socket.MSG_WAITALL)
            asked.append(message)
            connection.sendall(long_answer(message))
    return serve(answer)


def query_file(t, name):
    with open(t.path(name), "wb") as f:
        f.write(query(name))
    return t.path(name)


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
nc 10.77.1.1 53 < /host.isthmus.internal | tail -c 4 | hexdump -C
nc 10.77.1.1 53 < /long.example | sha256sum
"""


@case("net-out", "Linux reaches the host partition; pings, gets and sends files",
      later=BOCHS)
def net_out(t):
    data = os.urandom(8 * MIB)
    want = hashlib.sha256(data).hexdigest()
    sums, asked, out, options, network = [], [], "", [], "echo;"
    if t.platform in QEMU:
        files = {"bin/datagram": t.guest_program("datagram")}
        for name in ("host.isthmus.internal", "long.example"):
            files[name] = query_file(t, name)
        options = ["--nic", "virtio", "--overlay", t.overlay(files),
                   "--serve", f"{serve_names(asked)}:53"]
        network = NETWORK
        out = OUT.format(gateway=GATEWAY, outside=OUTSIDE, web=serve_file(data),
                         sink=serve_sums(sums), udp=serve_echo_udp())
    result = t.exec(HERE + out + "true", "--manifest",
                    with_network(t, network), *options)
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
    t.check("  0a 4d 01 01  " in said, f"no own name by TCP: {said!r}")
    answer = long_answer(query("long.example")[2:])
    t.check(hashlib.sha256(answer).hexdigest() in said
            and [m[2:] for m in asked] == [query("long.example")[4:]],
            f"names by TCP: asked for {asked!r}, Linux has {said!r}")
