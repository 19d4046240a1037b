# SPDX-License-Identifier: MIT
"""`tools/bench --net`: what TCP costs Linux to the host partition, and through
each network card to a service of this computer, with the exits of both
partitions by reason. This computer is behind QEMU's own network or, for root, a
tap device, and costs the machine no instruction; what is waited for it is left
out."""

import json
import os
import re
import socket
import subprocess
import threading

from isthmus_lib.common import ROOT, Failure

HOST = ("10.77.1.1", 0)         # the host partition, and its own ports
OUTSIDE = "10.0.2.2"            # this computer, as QEMU's network has it
TAP, TAP_HERE, TAP_THERE = "isthmus-bench", "10.92.0.1", "10.92.0.2"
NICS = ("virtio", "e1000", "e1000e")
MEBIBYTE = 1 << 20
PROMPT = b"isthmus> "
BASE = "none"                   # no figure: what is around each of them
# Operations in each, as guest/bench/net.c has them.
FIGURES = {"tcp_connect_close": 50, "tcp_round_trip": 200, "tcp_echo_64k": 64,
           "tcp_send_1m": 4, "tcp_recv_1m": 4}
LEAST = 0.05                    # exits of a reason that are worth a word


def _echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)


def _discard(peer):
    while peer.recv(MEBIBYTE):
        pass


def _sender(peer):
    peer.sendall(bytes(MEBIBYTE))
    peer.shutdown(socket.SHUT_WR)
    _discard(peer)


def _answer(peer, service):
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            service(peer)
        except OSError:
            pass                        # it has gone


def _listen(listener, service):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=_answer, args=(peer, service),
                         daemon=True).start()


def serve(address):
    """The three services, at ports one after the other: the first."""
    for first in range(20000, 60000, 7):
        listeners = []
        try:
            for i in range(3):
                listeners.append(socket.create_server((address,
                                                       first + i)))
        except OSError:
            for listener in listeners:
                listener.close()
            continue
        for listener, service in zip(listeners, (_echo, _discard, _sender)):
            threading.Thread(target=_listen, args=(listener, service),
                             daemon=True).start()
        return first
    raise Failure("no three ports are free")


class Console:
    """The host console of a machine that `isthmus boot` has booted."""

    def __init__(self, options):
        # pylint: disable=consider-using-with
        self.tool = subprocess.Popen(
            [os.path.join(ROOT, "tools", "isthmus"), "boot", *options],
            stdin=subprocess.PIPE, bufsize=0, stdout=subprocess.PIPE)
        self.said = b""                 # and not looked at yet
        self.until(rb"stage 68 ")

    def until(self, pattern):
        """What it says up to there."""
        while not (found := re.search(pattern, self.said)):
            data = self.tool.stdout.read(4096)
            if not data:
                raise Failure("the machine ended:\n"
                              + self.said[-2000:].decode(errors="replace"))
            self.said += data
        text = self.said[:found.start()]
        self.said = self.said[found.end():]
        return text.decode(errors="replace")

    def run(self, line):
        """What a command says."""
        self.tool.stdin.write(line.encode() + b"\n")
        self.until(re.escape(line[-20:].encode()) + rb"\s*\n")
        return self.until(PROMPT)

    def exits(self):
        """{(partition, reason): exits} up to now."""
        said = re.search(r"\{.*\}", self.run("status --json"))
        return {(p["name"], reason): count
                for p in json.loads(said[0])["partitions"]
                for reason, count in p["exits"].items()}

    def close(self):
        self.tool.stdin.write(b"poweroff\n")
        self.tool.stdin.close()
        self.tool.stdout.read()
        self.tool.wait()


def _one(console, to, figure):
    """(ticks, exits) of a figure; the ticks of one operation, the exits of
    all, and of what is around it."""
    address, port = to
    before = console.exits()
    said = console.run(f"exec HVBENCH_IDLE=20 hvbench tcp {address} {port} "
                       + figure)
    after = console.exits()
    found = re.search(rf"BENCH {figure} ([\d.]+)", said)
    if not found and figure != BASE:
        raise Failure(f"{figure}, {address}: hvbench says {said!r}")
    return float(found[1]) if found else 0, {
        key: count - before.get(key, 0) for key, count in after.items()}


def _words(exits, partition):
    """Those of one partition, most first."""
    return ", ".join(f"{reason} {count:,.1f}" for (name, reason), count in
                     sorted(exits.items(), key=lambda item: -item[1])
                     if name == partition and count >= LEAST)


def _figures(console, peer, to):
    """A row for each figure, when it is known."""
    _, base = _one(console, to, BASE)
    for figure, count in FIGURES.items():
        ticks, exits = _one(console, to, figure)
        exits = {key: (n - base.get(key, 0)) / count
                 for key, n in exits.items()}
        print(f"| {figure} | {peer} | {ticks:,.0f} | {_words(exits, 'linux')} "
              f"| {_words(exits, 'host')} |", flush=True)


def measure(options, manifest, overlay):
    """A table as Markdown, row by row; `options` of the platform's."""
    port = serve("127.0.0.1")
    print("| figure | to | ticks | Linux's exits | the host partition's |\n"
          "|---|---|---:|---|---|", flush=True)
    for nic in NICS:
        console = Console([*options, "--nic", nic, "--manifest", manifest,
                           "--overlay", overlay])
        if nic == NICS[0]:
            _figures(console, "host partition", HOST)
        _figures(console, nic, (OUTSIDE, port))
        console.close()
    if os.geteuid() == 0 and os.path.exists("/dev/net/tun"):
        _tap(options, manifest, overlay)


def _ip(*words, check=True):
    subprocess.run(["ip", *words], check=check)


def _tap(options, manifest, overlay):
    """The rows of a virtio card at a tap device, which sums and cuts itself."""
    with open(manifest, encoding="utf-8") as f:
        text = f.read().replace(
            "\techo;", f'\techo; address = "{TAP_THERE}/24";')
    manifest += ".tap"
    with open(manifest, "w", encoding="utf-8") as f:
        f.write(text)
    try:
        _ip("tuntap", "add", "dev", TAP, "mode", "tap")
        _ip("address", "add", TAP_HERE + "/24", "dev", TAP)
        _ip("link", "set", TAP, "up")
        console = Console([*options, "--nic", "virtio", "--wire", "tap:" + TAP,
                           "--manifest", manifest, "--overlay", overlay])
        _figures(console, "virtio, tap", (TAP_HERE, serve(TAP_HERE)))
        console.close()
    finally:
        _ip("link", "delete", TAP, check=False)
