# SPDX-License-Identifier: MIT
"""The network: two machines joined by a cable, Linux of the one and Linux of
the other through both NATs, with each card at each end; and a cable whose
other end is the test's own (wire.py): DHCP as it goes on, and a link that is
gone for a while."""

import re
import time

from cases_distro_plain import scripts
from cases_net import free_port, with_network
from qmp import Qmp
from runner import QEMU, case
from wire import ADDRESS, DISCOVER, REQUEST, Wire

WHY = "its cable is QEMU's"
SAME = {"listen": ("10.9.0.1", "fd00:9::1"),
        "connect": ("10.9.0.2", "fd00:9::2")}
PORT = 5001
# Each card at each end, with an IOMMU and without.
GUARDED = (("virtio", "e1000", "amd"), ("e1000", "e1000e", "intel"),
           ("e1000e", "virtio", "amd"))
BARE = (("virtio", "e1000e", "none"), ("e1000e", "e1000", "none"),
        ("e1000", "virtio", "none"))


def machine(t, end, port, nic, iommu, overlay):
    """One of the two; it has been started when this returns."""
    address, address6 = SAME[end]
    said = f'address = "{address}/24"; address6 = "{address6}"; ' \
        'console = "4242"; password = "long enough";'
    console = t.console("--nic", nic, "--iommu", iommu, "--wire",
                        f"{end}:{port}", "--overlay", overlay, "--manifest",
                        with_network(t, said, f"{end}.dts"))
    console.expect("isthmus: stage 40 ")
    return console


def pinged(t, console, *addresses):
    for address in addresses:
        said = console.run(f"ping {address} -c 3")
        t.check("3 sent, 3 answered" in said,
                f"ping {address} said {said!r}")


def called(t, caller, other, what, *addresses):
    """Linux to Linux: connections at once, and datagrams."""
    for address in addresses:
        said = caller.run(f"exec peer call {address} {PORT} 512 4")
        t.check("4 of 4 connections: the same" in said,
                f"{what}: to {address}: {said!r}")
        said = caller.run(f"exec peer datagrams {address} {PORT} 1 1472 9000")
        t.check(said.count("the same") == 3,
                f"{what}: datagrams to {address}: {said!r}")
    said = other.run("net")
    t.check("errors 0, nonsense 0, resets 0" in said, f"{what}: {said!r}")


def pair(t, nics, iommu, overlay):
    port, what = free_port(), f"{nics} {iommu}"
    a, b = (machine(t, end, port, nic, iommu, overlay)
            for end, nic in zip(SAME, nics))
    for console, end in ((a, "listen"), (b, "connect")):
        console.expect(f"network: {SAME[end][0]}/24 by the manifest")
        console.ready()
        console.run(f"exec peer serve {PORT}")
    pinged(t, a, *SAME["connect"], "fe80::5054:ff:fe69:7302")
    pinged(t, b, SAME["listen"][0])
    said = a.run(f"exec ping -c 3 {SAME['connect'][0]}")
    t.check("3 packets received" in said, f"{what}: Linux's ping: {said!r}")
    # Both ways at once.
    for console, end in ((a, "connect"), (b, "listen")):
        console.send(f"exec peer call {SAME[end][0]} {PORT} 1024 4")
    for console in (a, b):
        console.expect(r"4 of 4 connections: the same\s+\[exit status 0\]")
    called(t, a, b, what, *SAME["connect"])
    called(t, b, a, what, SAME["listen"][0])
    # What comes has a prompt in it, as the other's console has.
    b.send("exec (echo long enough; echo status; sleep 5)"
           " | nc 10.9.0.1 4242")
    b.expect(r"isthmus, password: isthmus> [^\0]*Linux agent")
    b.expect(r"\[exit status 0\]")
    for console in (a, b):
        console.send("poweroff")
        t.check(console.finish() == 0, f"{what}: poweroff was not well")


def pairs(t, machines):
    overlay = t.overlay({"bin/peer": t.guest_program("peer")})
    for *nics, iommu in machines:
        pair(t, nics, iommu, overlay)


@case("net-two-iommu", "two machines on one cable, Linux to Linux: each card at "
      "each end, under an IOMMU", only=QEMU, why=WHY, later=QEMU)
def net_two_iommu(t):
    pairs(t, GUARDED)


@case("net-two-bare", "two machines on one cable, Linux to Linux: each card at "
      "each end, without an IOMMU", only=QEMU, why=WHY, later=QEMU)
def net_two_bare(t):
    pairs(t, BARE)


def on_wire(t, wire, nic, *options):
    console = t.console("--nic", nic, "--wire", f"connect:{wire.port}",
                        "--overlay", t.overlay(
                            {"bin/peer": t.guest_program("peer")}), *options)
    console.expect(rf"network: {wire.address}/24 by DHCP")
    console.ready()
    return console


def wait_for(t, what, truth):
    """A minute and a half of the machine's, which sleeps meanwhile."""
    end = time.monotonic() + 90
    while not truth():
        t.check(time.monotonic() < end, f"{what}: not within 90 s")
        time.sleep(0.1)


def ended(t, console):
    """What a command that runs beside the console has left in /tmp/out."""
    said = ""

    def over():
        nonlocal said
        said = console.run("exec cat /tmp/out")
        return "ended" in said

    wait_for(t, "the transfer", over)
    return said


@case("net-lease", "DHCP: a lease is renewed under a transfer; refused, there is "
      "another address, and what was of the old one ends", only=QEMU, why=WHY,
      later=QEMU)
def net_lease(t):
    wire = Wire("10.9.0.10")
    console = on_wire(t, wire, "virtio")
    kinds = [kind for _, kind, _, _ in wire.asked]
    t.check(kinds == [DISCOVER, REQUEST], f"DHCP began with {wire.asked}")
    # A lease of 120 s is to be renewed when half of it has passed, or before.
    console.send("exec peer slow 10.9.0.1 7 70")
    wait_for(t, "the renewal", lambda: len(wire.asked) == 3)
    when, *renewal = wire.asked[2]
    t.check(renewal == [REQUEST, ADDRESS, wire.address],
            f"the renewal was {renewal}")
    t.check(when - wire.asked[1][0] < 65, "it is late")
    found = console.expect(r"\n(lasted|ended[^\r\n]*)\s+\[exit status \d\]")
    t.check(found[1] == "lasted", f"the transfer {found[1]}")
    said = console.run("net")
    t.check(re.search(r"10\.9\.0\.10/24 by DHCP \(10\.9\.0\.1\), for \d+ s",
                      said), f"net says {said!r}")
    t.check(wire.broken == 0, "the transfer was reset")
    # The next time it is refused.
    wire.address, wire.refuse = "10.9.0.20", True
    console.send("exec peer slow 10.9.0.1 7 150")
    console.expect("network: no address any more")
    console.expect(r"network: 10\.9\.0\.20/24 by DHCP")
    found = console.expect(r"ended after \d+: ([^\r\n]*)[\r\n]")
    t.check("reset" in found[1], f"the connection ended by {found[1]!r}")
    del wire.sources[:]
    said = console.run("exec peer call 10.9.0.1 7 256 2")
    t.check("2 of 2 connections: the same" in said,
            f"from the new address: {said!r}")
    t.check(set(wire.sources) == {"10.9.0.20"},
            f"packets came from {set(wire.sources)}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def unplugged(t, nic):
    wire = Wire("10.9.0.10")
    console = on_wire(t, wire, nic, "--qmp", t.path("qmp"))
    qmp = Qmp(t.path("qmp"))
    console.run("exec (peer call 10.9.0.1 7 2048 2; echo ended $?)"
                " >/tmp/out 2>&1 &")
    wait_for(t, f"{nic}: a transfer", lambda: wire.echoed > 512 << 10)
    qmp.run("set_link", name="net", up=False)
    wait_for(t, f"{nic}: the link is down",
             lambda: ", link down" in console.run("net"))
    before, asked = wire.echoed, len(wire.asked)
    t.check(before < 4 << 20, f"{nic}: the transfer was over already")
    # Linux's interface is one to the host partition, which is there.
    said = console.run("exec cat /sys/class/net/isthmus0/carrier; "
                       "ping -c 1 10.77.1.1")
    t.check(said.startswith("1\n") and "1 packets received" in said,
            f"{nic}: without a link Linux says {said!r}")
    time.sleep(3)
    t.check(wire.echoed == before, f"{nic}: packets pass without a link")
    qmp.run("set_link", name="net", up=True)
    wait_for(t, f"{nic}: DHCP is asked",
             lambda: len(wire.asked) > asked)
    t.check(wire.asked[-1][1:] == (REQUEST, "255.255.255.255", wire.address),
            f"{nic}: asked was {wire.asked[asked:]}")
    said = ended(t, console)
    t.check("2 of 2 connections: the same\nended 0" in said,
            f"{nic}: the transfer: {said!r}")
    said = console.run("net")
    t.check(", link up" in said and f"{wire.address}/24" in said
            and "errors 0, nonsense 0" in said, f"{nic}: net says {said!r}")
    qmp.close()
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("net-unplugged", "a link that is gone for a while: transfers wait and go "
      "on, and the address is asked for again", only=QEMU, why=WHY, later=QEMU)
def net_unplugged(t):
    for nic in ("virtio", "e1000", "e1000e"):
        unplugged(t, nic)


def resolved(t, console, server):
    """Who has answered for a name, asked for in the distribution."""
    said = console.run("exec --distro one busybox nslookup a.example 2>&1")
    t.check(re.search(r"^Server:\s+10\.77\.1\.1$", said, re.M) and
            re.search(rf"^Address: {server}$", said, re.M),
            f"a name, by {server}: {said!r}")


@case("distro-names", "DHCP names another server: names are asked of that one "
      "in a distribution that runs", only=QEMU, why=WHY, later=QEMU)
def distro_names(t):
    wire = Wire("10.9.0.10")
    wire.server = "10.9.0.2"
    console = on_wire(t, wire, "virtio", "--qmp", t.path("qmp"), "--share",
                      scripts(t))
    console.run("exec sh /mnt/host/make")
    resolved(t, console, "10.9.0.2")
    before = console.run("exec --distro one cat /etc/resolv.conf")
    asked, wire.server = len(wire.asked), "10.9.0.3"
    qmp = Qmp(t.path("qmp"))
    qmp.run("set_link", name="net", up=False)
    wait_for(t, "the link is down",
             lambda: ", link down" in console.run("net"))
    qmp.run("set_link", name="net", up=True)
    wait_for(t, "DHCP is asked", lambda: len(wire.asked) > asked)
    wait_for(t, "another server",
             lambda: "10.9.0.3" in console.run("net"))
    resolved(t, console, "10.9.0.3")
    said = console.run("exec --distro one cat /etc/resolv.conf")
    t.check(said == before, f"it changed: {before!r}, {said!r}")
    qmp.close()
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
