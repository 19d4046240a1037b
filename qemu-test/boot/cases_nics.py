# SPDX-License-Identifier: MIT
"""Network cards: each is found, has its line, and carries packets both ways by
its own interrupts, whatever the IOMMU; its link goes and comes."""

import re

from qmp import Qmp
from runner import BOCHS, QEMU, case

MODELS = {"virtio": "virtio network card", "e1000": "Intel 82540EM",
          "e1000e": "Intel 82574L"}
# The line of an e1000 goes another way with each IOMMU.
MACHINES = (("e1000", "--iommu", "amd"), ("e1000", "--iommu", "intel"),
            ("e1000e", "--iommu", "amd"),
            ("virtio", "--iommu", "none", "--device", "rtl8139"))


def interrupts(said):
    return int(re.search(r"interrupts (\d+)", said)[1])


def changes(console):
    """Of the link, as they are counted."""
    return int(re.search(r"link changes (\d+)", console.run("net"))[1])


def pinged(t, console, nic):
    """Three times there and back; a card that is looked at by a timer only
    would do it too, but has no interrupts."""
    before = interrupts(console.run("net"))
    said = console.run("ping 10.0.2.2 -c 3")
    t.check("3 sent, 3 answered" in said, f"{nic}: ping said {said!r}")
    said = console.run("net")
    # At most some for each: an answer, whom it asks for an address.
    t.check(before + 3 <= interrupts(said) < before + 100,
            f"{nic}: after {before}, net says {said!r}")
    t.check("errors 0, nonsense 0, resets 0" in said,
            f"{nic}: net says {said!r}")


def link(t, console, qmp, nic):
    """The cable is pulled, and is there again."""
    for up, word in ((False, "down"), (True, "up")):
        qmp.run("set_link", name="net", up=up)
        for _ in range(100):            # its interrupt is on its way
            said = console.run("net")
            if f", link {word}" in said:
                break
        t.check(f", link {word}" in said, f"{nic}: net says {said!r}")


def one(t, nic, *options, cable=True):
    """cable: it is there from the start."""
    console = t.console("--nic", nic, *options)
    console.expect("isthmus: stage 10 ")
    qmp = Qmp(t.path("qmp")) if t.platform in QEMU else None
    if not cable:
        qmp.run("set_link", name="net", up=False)
    if "rtl8139" in options:
        console.expect(r"network card 0000:00:\w\w\.0, 10ec:8139: there is no "
                       "driver")
    console.expect(rf"network card net0: {MODELS[nic]}, "
                   r"52:54:00:69:73:01, link " + ("up" if cable else "down"))
    if not cable:
        t.check("no IPv4 address" in console.run("net"), "an address")
        qmp.run("set_link", name="net", up=True)
    console.expect(r"network: 10\.0\.2\.15/24 by DHCP")
    pinged(t, console, nic)
    if qmp:
        before = changes(console)
        link(t, console, qmp, nic)
        t.check(changes(console) == before + 2,
                f"{nic}: net says {console.run('net')!r}")
        qmp.close()
        pinged(t, console, nic)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("nics", "each network card carries packets by its interrupts; link down "
      "and up", only=(*BOCHS, *QEMU), why="its machine has none", later=BOCHS)
def nics(t):
    if t.platform in BOCHS:
        one(t, "e1000")
        return
    for nic, *options in MACHINES:
        one(t, nic, *options, "--qmp", t.path("qmp"), cable=nic != "virtio")
