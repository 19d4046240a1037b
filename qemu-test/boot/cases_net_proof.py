# SPDX-License-Identifier: MIT
"""The network, by programs as they are: curl, git, apt-get, ping and sockets
in a Debian root in Linux, against servers outside; and peers from there."""

import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import threading
import time

from cases_net import free_port, with_network
from debian_root import debian_root
from outside import Outside
from qmp import Qmp
from runner import BOCHS, BUILD, HERE, QEMU, ROOT, Failed, Skipped, case

GATEWAY = "10.0.2.2"            # behind which this computer is, as QEMU has it
GATEWAY6 = "fec0::2"
HOST, HOST6 = "10.77.1.1", "fd69:7374:686d:1::1"
MIB = 1 << 20
# What comes back: QEMU's network knows no fragments of IPv6.
UDP = "1 same, 1452 same, 1472 same, 9000 same"
UDP6 = "1 same, 1452 same, "
PACKAGE = "isthmus-proof"
MANY = {"mib": 64, "at_once": 32, "connects": 1000, "pings": 100}
ONE = {"mib": 64, "at_once": 1, "connects": 20, "pings": 10}
FEW = {"mib": 2, "at_once": 4, "connects": 20, "pings": 10}

BEGIN = """mkdir /debian; mount /dev/isthmus0 /debian || exit
mount -t tmpfs tmpfs /debian/tmp
for d in dev proc sys; do mount --rbind /$d /debian/$d; done
mkdir -p /debian/test; mount --bind /test /debian/test
cp /etc/resolv.conf /etc/hosts /debian/etc
for m in /test/modules/*; do [ ! -e $m ] || insmod $m || exit; done
"""
INSIDE = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export DEBIAN_FRONTEND=noninteractive
exec chroot /debian $IN python3 /test/inside.py "$@"
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o755)


def package(t, name, depends, size):
    """(its file, what Packages says of it)."""
    folder = t.path(name)
    control = f"""Package: {name}
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
{depends}Description: for a test
"""
    write(f"{folder}/DEBIAN/control", control)
    write(f"{folder}/usr/bin/{name}", "#!/bin/sh\nsha256sum "
          f"< /usr/share/{PACKAGE}-data/data\n")
    os.makedirs(f"{folder}/usr/share/{name}")
    with open(f"{folder}/usr/share/{name}/data", "wb") as f:
        f.write(random.Random(size).randbytes(size))
    t.tool(["dpkg-deb", "--build", "--root-owner-group", folder,
            folder + ".deb"])
    with open(folder + ".deb", "rb") as f:
        data = f.read()
    return data, control + f"""Filename: ./{name}.deb
Size: {len(data)}
SHA256: {hashlib.sha256(data).hexdigest()}

"""


def archive(t, files, size):
    """A repository of two packages; returns what the program of one says."""
    packages = ""
    for name, depends, count in (
            (PACKAGE, f"Depends: {PACKAGE}-data\n", 1),
            (PACKAGE + "-data", "", size)):
        data, said = package(t, name, depends, count)
        files[f"/apt/./{name}.deb"] = files[f"/apt/{name}.deb"] = data
        packages += said
    files["/apt/./Packages"] = files["/apt/Packages"] = packages.encode()
    return hashlib.sha256(random.Random(size).randbytes(size)).hexdigest()


def repository(t, files, size):
    """A git repository with a history; returns its newest commit."""
    work, bare = t.path("work"), t.path("git/repo.git")
    run = ["git", "-C", work, "-c", "user.name=n", "-c", "user.email=e@e"]
    t.tool(["git", "init", "-q", work])
    chance = random.Random(size)
    for commit in range(5):
        for i in range(files):
            with open(os.path.join(work, f"f{i}"), "wb") as f:
                f.write(chance.randbytes(size // files))
        t.tool([*run, "add", "."])
        t.tool([*run, "commit", "-q", "-m", f"the {commit}th"])
    t.tool(["git", "clone", "-q", "--bare", work, bare])
    return t.tool([*run, "rev-parse", "HEAD"]).strip()


def modules(names):
    """{name in Linux: file} of these and what they need, in their order."""
    done = subprocess.run(
        [os.path.join(ROOT, "guest", "module-order"),
         os.path.join(BUILD, "deps", "linux-build", "modules"), *names],
        stdout=subprocess.PIPE, text=True, check=True)
    return {f"test/modules/{i:02}.ko": path
            for i, path in enumerate(done.stdout.split())}


class Proof:
    """A machine, its Linux with a Debian root, and what is outside."""

    def __init__(self, t, counts, *options, needs=()):
        for program in ("curl", "git"):
            if not shutil.which(program):
                raise Skipped(f"no {program} here (tools/setup roots)")
        self.t = t
        self.counts = counts
        self.seen = []
        self.how = "inside "
        self.data = random.Random(1).randbytes(counts["mib"] * MIB)
        self.sum = hashlib.sha256(self.data).hexdigest()
        files = {"/data": self.data}
        self.package = archive(t, files, counts["mib"] * MIB // 16)
        self.commit = repository(t, 100, counts["mib"] * MIB // 64)
        self.out = Outside(files, t.path("git"))
        write(t.path("begin"), BEGIN)
        write(t.path("inside"), INSIDE)
        write(t.path("settings"), json.dumps(
            {**counts, "web": self.out.web, "echo": self.out.echo,
             "package": PACKAGE}))
        overlay = t.overlay({
            **modules(needs),
            "bin/begin": t.path("begin"), "bin/inside": t.path("inside"),
            "test/settings.json": t.path("settings"),
            "test/inside.py": os.path.join(HERE, "guest", "inside.py")})
        self.web, self.echo = free_port(), free_port()
        self.console = t.console(
            "--forward", f"{self.web}:8080",
            "--forward", f"{self.echo}:8081",
            "--disk", debian_root(t.path("root.img")), "--linux-disk", "disk",
            "--overlay", overlay, "--manifest", with_network(t, "echo;"),
            *options, timeout=3000)
        self.begin()

    def begin(self):
        """A Linux has started; the network may be there before or after."""
        self.console.ready()
        for _ in range(100):
            if "10.0.2.15" in self.console.run("net"):
                break
            time.sleep(0.1)
        self.run("begin")

    def run(self, line):
        """In Linux; returns what it said."""
        said = self.console.run("exec " + line)
        if "[exit status 0]" not in said:
            raise Failed(f"{line}: {said!r}")
        return said.replace("[exit status 0]", "").strip()

    def check(self, line, pattern):
        """What is said of it is kept, for who reads the test's folder."""
        said = self.run(self.how + line)
        self.seen.append(f"{line}: {said}")
        with open(self.t.path("seen.txt"), "a", encoding="utf-8") as f:
            f.write(self.seen[-1] + "\n")
        self.t.check(re.search(pattern, said), f"{line}: {said!r}")

    def outward(self, host, udp, at_once=None):
        """Linux's programs against a host outside; udp: what comes of its
        datagrams; at_once: files, if not as many as counts say."""
        n = self.counts
        at_once = at_once or n["at_once"]
        self.check(f"get {host}", self.sum)
        self.check(f"fetch {host} {at_once}", rf"^{at_once} the same")
        self.check(f"connects {host}", rf"^{n['connects']} connections")
        self.check(f"udp {host}", udp)
        self.check(f"apt {host}", self.package)
        self.check(f"git {host}", self.commit)
        self.pings(host)

    def pings(self, host):
        n = self.counts["pings"]
        self.check(f"ping {host}", rf"{n} packets transmitted, {n} received")

    def serve(self):
        """Linux has servers, whose ports lead to it soon."""
        self.check("serve", "serving")
        for port in ("TCP 8080", "TCP 8081", "UDP 8081"):
            for _ in range(100):
                said = " ".join(self.console.run("net ports").split())
                if port + " -> Linux" in said:
                    break
            self.t.check(port + " -> Linux" in said, f"{port}: {said}")

    def finish(self):
        self.t.note = "; " + "; ".join(
            line for line in self.seen if " s" in line)
        self.console.send("poweroff")
        self.t.check(self.console.finish() == 0,
                     "poweroff did not end the machine well")
        os.unlink(self.t.path("root.img"))


# ---- Peers outside, of servers in Linux ----

def curl(port):
    """The sum of what it gets."""
    done = subprocess.run(
        f"curl -sS -f --noproxy '*' http://127.0.0.1:{port}/data | sha256sum",
        shell=True, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[0]


def connect(port, data):
    """What comes back of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while piece := s.recv(65536):
            got += piece
        return got


def inward(proof):
    """Servers in Linux, by ports that are forwarded."""
    t, n = proof.t, proof.counts
    with concurrent.futures.ThreadPoolExecutor(n["at_once"]) as pool:
        sums = list(pool.map(curl, [proof.web] * n["at_once"]))
    t.check(sums == [proof.sum] * n["at_once"], f"curl got {sums}")
    for i in range(n["connects"]):
        got = connect(proof.echo, b"%d" % i)
        t.check(got == b"%d" % i, f"connection {i}: {got!r}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.connect(("127.0.0.1", proof.echo))
        for size in (1, 1452, 1472, 9000):
            data = os.urandom(size)
            s.send(data)
            t.check(s.recv(65536) == data, f"a datagram of {size}")


def all_of_it(t, counts, *options):
    """Everything, on a machine with these options."""
    proof = Proof(t, counts, *options)
    proof.outward(GATEWAY, UDP)
    proof.outward(GATEWAY6, UDP6, 4)
    proof.pings(HOST)
    proof.pings(HOST6)
    proof.serve()
    inward(proof)
    proof.finish()


def mark(name, summary, counts, *options):
    """A test of everything on a machine of its own."""
    @case(f"net-proof-{name}", f"curl, git, apt-get, ping and sockets both "
          f"ways: {summary}", only=QEMU,
          why="its network is QEMU's")
    def run(t):
        all_of_it(t, counts, *options)
    return run


for _nic in "virtio", "e1000", "e1000e":
    mark(_nic, f"{_nic}, 64 MiB, 32 at a time", MANY, "--nic", _nic)
    mark(f"{_nic}-alone", f"the same of {_nic} without an IOMMU", MANY,
         "--nic", _nic, "--iommu", "none")
mark("e1000e-intel", "e1000e, Intel's IOMMU", FEW, "--nic", "e1000e",
     "--iommu", "intel")


@case("net-proof-bochs", "curl, git, apt-get, ping and sockets by Bochs's "
      "network", only=BOCHS, why="the others have more")
def net_proof_bochs(t):
    """It has no IPv6."""
    proof = Proof(t, ONE, "--nic", "e1000")
    proof.outward(GATEWAY, UDP)
    proof.pings(HOST)
    proof.pings(HOST6)
    proof.serve()
    inward(proof)
    proof.finish()


@case("net-proof-bridge", "the same from a container on a bridge in Linux, "
      "and to servers in it", only=QEMU, why="its network is QEMU's")
def net_proof_bridge(t):
    proof = Proof(t, FEW, "--nic", "virtio",
                  needs=("bridge", "veth", "nft_ct", "nft_masq", "nft_nat",
                         "nft_chain_nat"))
    t.check("no ports" in proof.console.run("net ports"), "there are ports")
    proof.check("bridge", "bridged")
    # By its whole name: busybox takes its own first.
    proof.how = "IN='/bin/ip netns exec c' inside "
    proof.outward(GATEWAY, UDP)
    proof.outward(GATEWAY6, UDP6)
    proof.pings(HOST)
    proof.pings(HOST6)
    proof.serve()
    inward(proof)
    proof.finish()


# ---- A Linux that crashes in the midst of it ----

class Peer(threading.Thread):
    """One end of a connection that is in the midst of something; `over` is
    set when that has ended."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work = work
        self.moved = 0
        self.why = "it ended"
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            self.work(self)
        except OSError as error:
            self.why = str(error)
        self.over.set()


def takes(listener):
    """Takes all that one connection brings."""
    def work(peer):
        with listener.accept()[0] as s:
            while piece := s.recv(65536):
                peer.moved += len(piece)
    return work


def gives(port):
    """Sends without end."""
    def work(peer):
        with socket.create_connection(("127.0.0.1", port)) as s:
            while True:
                s.sendall(bytes(16384))
                peer.moved += 16384
    return work


LONG = 256 * MIB                # of a file that nobody gets to the end


def gets(port, go_on):
    """Gets a file, and pauses in the midst of it."""
    def work(peer):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"GET /long HTTP/1.0\r\n\r\n")
            while piece := s.recv(65536):
                peer.moved += len(piece)
                if peer.moved > MIB:
                    go_on.wait()
    return work


def resets(path):
    """How many connections had a RST of the host partition's, by a capture.
    [Libpcap File Format]"""
    ended = set()
    with open(path, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[12:14] == b"\x08\0" and frame[23] == 6 and \
                frame[26:30] == bytes((10, 0, 2, 15)):
            tcp = frame[14 + (frame[14] & 15) * 4:]
            if tcp[13] & 4:
                ended.add(tcp[:4])
    return len(ended)


@case("net-proof-crash", "Linux crashes in mid-transfer: peers outside and in "
      "the host partition are told, and the next one has a network",
      only=QEMU, why="its network is QEMU's")
def net_proof_crash(t):
    proof = Proof(t, FEW, "--nic", "virtio", "--qmp", t.path("qmp"))
    console = proof.console
    proof.check("get " + GATEWAY, proof.sum)
    proof.run(f"truncate -s {LONG} /debian/tmp/long")
    proof.serve()
    qmp = Qmp(t.path("qmp"))
    qmp.run("object-add", **{"qom-type": "filter-dump", "id": "dump",
                             "netdev": "net", "file": t.path("pcap")})
    go_on = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    peers = [Peer(takes(listener)), Peer(gives(proof.echo)),
             Peer(gets(proof.web, go_on))]
    for where in (f"{GATEWAY} {listener.getsockname()[1]}", f"{HOST} 7",
                  f"{HOST} 9"):
        proof.run("inside pour " + where)
    while min(peer.moved for peer in peers) < MIB:
        t.check(not any(peer.over.is_set() for peer in peers),
                str([(peer.moved, peer.why) for peer in peers]))
        time.sleep(0.1)
    t.check(connections(console) == 2, "not in the midst of it")
    console.send("exec echo c > /proc/sysrq-trigger")
    console.expect("Linux asked for a reset")
    go_on.set()
    proof.begin()
    for peer in peers:
        t.check(peer.over.wait(60), f"{peer.moved} bytes, and it waits yet")
    t.check(peers[2].moved < LONG, "it got all of the file")
    ended = resets(t.path("pcap"))
    t.check(ended == len(peers), f"{ended} connections were reset")
    t.check(connections(console) == 0, f"{console.run('net')!r}")
    qmp.close()
    os.unlink(t.path("pcap"))
    proof.outward(GATEWAY, UDP)
    proof.serve()
    inward(proof)
    proof.finish()


def connections(console):
    """Those of the host partition's own."""
    return int(re.search(r"stack: (\d+) connections", console.run("net"))[1])
