#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In Linux, in a Debian root: programs as they are against servers outside,
and servers for peers from there. One line says what came of it.

    inside.py get|connects|udp|ping|apt|git HOST
    inside.py fetch HOST [COUNT]
    inside.py serve
    inside.py pour HOST PORT
    inside.py bridge

What there is at HOST is in settings.json beside this file.
"""

import http.server
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "settings.json"), encoding="ascii") as f:
    SET = json.load(f)
DATA = "/tmp/data"
WEB, ECHO = 8080, 8081          # of ours
UDP_SIZES = (1, 1452, 1472, 9000)    # 1452 fills a packet of IPv6


def url(host, path):
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{SET['web']}/{path}"


def output(*command):
    """What a program printed, which must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
    return done.stdout


def get(host):
    """Gets the file that the others are compared with."""
    output("curl", "-sS", "-f", "-o", DATA, url(host, "data"))
    print(output("sha256sum", DATA).split()[0])


def fetch(host, at_once=SET["at_once"]):
    """The file, several times at once, byte for byte."""
    began = time.monotonic()
    runs = [subprocess.Popen(f"curl -sS -f '{url(host, 'data')}' | "
                             f"cmp - {DATA}", shell=True)
            for _ in range(int(at_once))]
    same = sum(run.wait() == 0 for run in runs)
    print(f"{same} the same in {time.monotonic() - began:.1f} s")


def connects(host):
    """Short connections one after the other."""
    began, done = time.monotonic(), 0
    for i in range(SET["connects"]):
        with socket.create_connection((host, SET["echo"]), timeout=60) as s:
            s.sendall(b"%d" % i)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while piece := s.recv(100):
                got += piece
            done += got == b"%d" % i
    print(f"{done} connections in {time.monotonic() - began:.1f} s")


def udp(host):
    """Datagrams that come back."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    said = []
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect((host, SET["echo"]))
        for size in UDP_SIZES:
            data = os.urandom(size)
            try:
                s.send(data)
                came = "same" if s.recv(65536) == data else "another"
            except OSError as error:
                came = type(error).__name__
            said.append(f"{size} {came}")
    print(", ".join(said))


def ping(host):
    said = output("ping", "-q", "-i", "0.01", "-c", str(SET["pings"]), host)
    print(" ".join(said.splitlines()[-2:]))


def apt(host):
    """A package and what it depends on from a repository of the test's."""
    name = SET["package"]
    shutil.rmtree("/etc/apt/sources.list.d", ignore_errors=True)
    with open("/etc/apt/sources.list", "w", encoding="ascii") as f:
        f.write(f"deb [trusted=yes] {url(host, 'apt')} ./\n")
    output("apt-get", "update")
    output("apt-get", "install", "-y", name)
    print(output(name).strip())
    output("apt-get", "purge", "-y", "--autoremove", name)


def git(host):
    shutil.rmtree("/tmp/clone", ignore_errors=True)
    output("git", "clone", "-q", url(host, "git/repo.git"), "/tmp/clone")
    output("git", "-C", "/tmp/clone", "fsck", "--strict")
    print(output("git", "-C", "/tmp/clone", "rev-parse", "HEAD").strip())


BRIDGE = """
ip link add br0 type bridge
ip addr add 172.18.0.1/24 dev br0
ip addr add fd18::1/64 dev br0 nodad
ip link set br0 up
ip netns add c
ip link add v0 type veth peer name eth0 netns c
ip link set v0 master br0 up
ip -n c link set lo up
ip -n c addr add 172.18.0.2/24 dev eth0
ip -n c addr add fd18::2/64 dev eth0 nodad
ip -n c link set eth0 up
ip -n c route add default via 172.18.0.1
ip -n c route add default via fd18::1
"""
RULES = """
table inet nat {
	chain out {
		type nat hook postrouting priority srcnat;
		oifname "isthmus0" masquerade
	}
	chain in {
		type nat hook prerouting priority dstnat;
		iifname "isthmus0" meta l4proto {tcp, udp} th dport {8080, 8081} \
			dnat ip to 172.18.0.2
	}
}
"""


def bridge():
    """A container's network: a namespace on a bridge, behind a NAT of
    Linux's own; what comes to two ports is the container's. As those do who
    publish ports of containers, a process holds them: it listens, and gets
    nothing."""
    for name in "ipv4/ip_forward", "ipv6/conf/all/forwarding":
        with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
            file.write("1")
    for line in BRIDGE.strip().splitlines():
        output(*line.split())
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    held = [socket.create_server(("0.0.0.0", port)) for port in (WEB, ECHO)]
    held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    held[-1].bind(("0.0.0.0", ECHO))
    in_background("bridged")
    signal.pause()


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


class EchoUdp(socketserver.BaseRequestHandler):
    def handle(self):
        data, s = self.request
        s.sendto(data, self.client_address)


def in_background(said):
    """The rest is done there."""
    if os.fork():
        print(said)
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)


def pour(host, port):
    """Sends without end, and takes nothing."""
    s = socket.create_connection((host, int(port)))
    in_background("pouring")
    while True:
        s.sendall(bytes(65536))


def serve():
    """The files of /tmp, and what is sent back."""
    os.chdir("/tmp")
    servers = []
    for base, port, handler in (
            (http.server.ThreadingHTTPServer, WEB,
             http.server.SimpleHTTPRequestHandler),
            (socketserver.ThreadingTCPServer, ECHO, Echo),
            (socketserver.UDPServer, ECHO, EchoUdp)):
        servers.append(type("Server", (base,), {
            "request_queue_size": 128, "daemon_threads": True,
            "max_packet_size": 65536, "allow_reuse_address": True})(
                ("0.0.0.0", port), handler))
    in_background("serving")
    for server in servers:
        threading.Thread(target=server.serve_forever).start()


globals()[sys.argv[1]](*sys.argv[2:])
