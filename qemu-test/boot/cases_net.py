# SPDX-License-Identifier: MIT
"""The network: the host partition's own place on it."""

import hmac
import json
import re
import socket
import time

from runner import QEMU, case
from isthmus_lib import manifest
from qmp import Qmp

ECHO = bytes(range(256)) * 1024


def with_network(t, properties, name="network.dts"):
    """The default manifest with a /network."""
    path = t.path(name)
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


def echoed_datagram(port):
    """What comes back of a part of it in one datagram, in fragments on the
    machine's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.sendto(ECHO[:9000], ("127.0.0.1", port))
        return s.recv(65536)


class Remote:
    """A peer of the network console's."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port),
                                               timeout=120)

    def until(self, text):
        """All up to a text, or to the end of the connection."""
        got = b""
        while text.encode() not in got:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            got += piece
        return got.decode()

    def run(self, line, text="isthmus> "):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.until(text)


KEY = "00112233445566778899aabbccddeeff" * 2


def challenge(peer):
    """What the console asks, of who comes: the digits, or None."""
    found = re.fullmatch("isthmus, challenge ([0-9a-f]{32}) or password: ",
                         peer.until("password: "))
    return found and found[1]


@case("net-console", "a peer that knows the password has the console, one at a "
      "time", only=QEMU, why="its network is QEMU's")
def net_console(t):
    port = free_port()
    console = t.console("--nic", "virtio", "--forward", f"{port}:4242",
                        "--manifest", with_network(
                            t, 'console = "4242"; password = "long enough";'
                            f'key = "{KEY}";'))
    console.expect("network: 10.0.2.15/24 by DHCP")
    console.expect("stage 68 agent ready")
    peer = Remote(port)
    t.check(challenge(peer), "no question")
    t.check(Remote(port).until("password") == "", "a second one is let in")
    said = peer.run("short")
    t.check("wrong" in said and "isthmus>" not in said, f"it says {said!r}")
    console.expect("wrong password")
    t.check(Remote(port).until("password") == "", "it may go on guessing")
    time.sleep(6)
    peer = Remote(port)
    peer.until(": ")
    t.check(peer.run("long enough") == "isthmus> ", "no prompt")
    said = peer.run("exec echo $((6 * 7)); uname")
    t.check("42" in said and "Linux" in said and "[exit status 0]" in said,
            f"exec says {said!r}")
    said = peer.run("log")
    t.check("stage 40 hypervisor entered" in said and "isthmus> " in said,
            f"log says {said!r}")
    said = peer.run("log host 30")
    t.check(re.search(r"\n20\d\d-\d\d-\d\d [0-9:]{8} network console: 10\.0\.2\.2: "
                      r"wrong password or answer\r?\n", said)
            and "network console: 10.0.2.2: exec echo" in said
            and "isthmus: stage 68 agent ready" in said
            and "\1" not in said, f"log host says {said!r}")
    console.expect("network console: 10.0.2.2: exec echo")
    # ctrl-c, as telnet has it, and as a key.
    for end in (b"\xff\xf4", b"\x03"):
        peer.socket.sendall(b"exec echo begun; sleep 1000\n")
        t.check("begun\r\n" in peer.until("begun\r\n"), "it has not begun")
        peer.socket.sendall(end)
        t.check(peer.until("isthmus> ").endswith("isthmus> "), "no prompt")
    # The other console is as it was, and has what is said there.
    t.check("10.0.2.15" in console.run("net"), "the own console is gone")
    # A peer that goes in the midst of a command.
    peer.socket.sendall(b"exec sleep 1000\n")
    console.expect("10.0.2.2: exec sleep")
    peer.socket.close()
    console.expect("network console: 10.0.2.2: gone")
    t.check("10.0.2.15" in console.run("net"), "the own console is gone")
    # And by the key.
    peer = Remote(port)
    answer = hmac.new(bytes.fromhex(KEY), challenge(peer).encode(), "sha256")
    t.check(peer.run(answer.hexdigest()) == "isthmus> ", "no prompt by the key")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# MCi_STATUS: valid, uncorrected, enabled, with an address, context corrupt;
# MCG_STATUS: RIPV, EIPV, MCIP.
MACHINE_CHECK = "mce {} 1 0xb600000000000150 0x7 0x12345000 0"


def machine_check(qmp, cpu):
    """A CPU fails as it is in the hypervisor: in a guest it would be that
    guest's, for QEMU does not ask who has it intercepted."""
    def ask(line):
        return qmp.run("human-monitor-command",
                       **{"command-line": line, "cpu-index": cpu})

    qmp.run("stop")
    while "RIP=ffffffff800" not in ask("info registers"):
        qmp.run("cont")
        time.sleep(0.01)
        qmp.run("stop")
    ask(MACHINE_CHECK.format(cpu))
    qmp.run("cont")


def panics(t, nic, cpus):
    """A machine whose last CPU fails: what the log says of it on the wire."""
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log.bind(("127.0.0.1", 0))
    log.settimeout(120)
    to = f'syslog = "10.0.2.2 {log.getsockname()[1]}";'
    path = t.path(f"qmp-{cpus}")
    console = t.console("--nic", nic, "--smp", str(cpus), "--qmp", path,
                        "--manifest", with_network(t, to))
    console.ready()
    lines = ""
    while "stage 68 agent ready" not in lines:
        lines += log.recv(2048).decode() + "\n"
    qmp = Qmp(path)
    machine_check(qmp, cpus - 1)
    lines = ""
    while "machine check in" not in lines:
        lines += log.recv(2048).decode() + "\n"
    t.check(re.search(r"^<130>1 \S+Z isthmus hypervisor - - - isthmus: PANIC in "
                      r"the hypervisor: machine check in .*: bank 1 ", lines,
                      re.M), f"syslog brought {lines!r}")
    t.check("\1" not in lines, "the mark is in the log")
    console.expect("PANIC in the hypervisor")
    qmp.close()
    log.close()
    console.close()


@case("net-panic", "a panic of the hypervisor goes to syslog, from any CPU",
      only=QEMU, why="QEMU's monitor can make a machine check")
def net_panic(t):
    panics(t, "virtio", 1)
    panics(t, "e1000", 2)


@case("net-stack", "the host partition has an address by DHCP, asks and answers",
      only=QEMU, why="its network is QEMU's")
def net_stack(t):
    port = free_port()
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log.bind(("127.0.0.1", 0))
    to = (f'echo; hostname = "box-1"; '
          f'syslog = "10.0.2.2 {log.getsockname()[1]}";')
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
    got = echoed_datagram(port)
    t.check(got == ECHO[:9000], f"{len(got)} of 9000 bytes came back at once")
    log.settimeout(60)
    lines = ""
    while "stage 62 volume ready" not in lines:
        lines += log.recv(2048).decode() + "\n"
    log.close()
    t.check(re.search(r"^<134>1 \S+Z box-1 hypervisor - - - isthmus: stage 40 ",
                      lines, re.M), f"syslog brought {lines!r}")
    t.check("\1" not in lines, "the mark is in the log")
    told = json.loads(console.run("status --json"))["network"]
    t.check(told["address"] == "10.0.2.15/24" and told["link"], f"{told!r}")
    for _ in range(100):                # it looks whether others have it
        said = console.run("net")
        if "fec0::" in said:
            break
        time.sleep(0.1)
    t.check(re.search(r"fe80::5054:ff:fe\w\w:\w{4}\s", said)
            and re.search(r"fec0::5054:ff:fe\w\w:\w{4}\s", said)
            and "router fe80::2" in said, f"no IPv6: {said!r}")
    t.check(re.search(r"stack: 0 connections, .* 0 times there was none", said),
            f"the stack has {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
