# SPDX-License-Identifier: MIT
"""The console on serial ports other than COM1: whichever the machine has, the
firmware's tables name, or the manifest wants."""

import re
import struct

import picture
from cases_failures import fails, firmware_on, image, manifest
from cases_isolation import MC_FATAL, MCG_STATUS
from cases_screen import Machine
from runner import BOCHS, QEMU, case

COM2, COM3 = 0x2f8, 0x3e8
PANIC = "isthmus: PANIC in the hypervisor: machine check"


def _told(t, result, place, by):
    t.check(f"isthmus: serial port: at port {place}, by {by}\n"
            in result.serial.replace("\r", ""),
            f"not at {place}, by {by}:\n{result.serial[:600]}")


def _exec(t, *options):
    """One command, whose output comes over the line."""
    result = t.boot("--exec", "echo over the line; exit 7", *options)
    t.check(result.status == 7 and result.out == "over the line\n",
            f"status {result.status}: {result.out}{result.err}")
    t.check("isthmus: stage 10 firmware" in result.serial and
            "isthmus: stage 40 hypervisor entered" in result.serial,
            f"it does not begin at the beginning:\n{result.serial[:600]}")
    return result


def _talk(t, console):
    """The prompt: what is typed is heard, and long answers come whole."""
    console.ready()
    said = console.run("exec seq 1 2000")
    t.check("\n".join(str(i) for i in range(1, 2001)) in said,
            f"not all of it came: {len(said)} bytes")
    t.check("hello" in console.run("exec echo hel''lo"), "it is not heard")


def _leave(t, console):
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end it well")


def _panic(qmp):
    qmp.run("human-monitor-command", **{
        "command-line": f"mce 0 1 {MC_FATAL:#x} {MCG_STATUS:#x} 0x12345000 0"})


def table(t, signature, body, revision=2):
    """An ACPI table in a file."""
    data = bytearray(struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body),
                                 revision, 0, b"ISTHMU", b"SERIAL  ", 1,
                                 b"TEST", 1) + body)
    data[9] = -sum(data) & 0xff
    path = t.path(signature.decode() + ".bin")
    with open(path, "wb") as f:
        f.write(data)
    return path


def _address(port):
    return struct.pack("<BBBBQ", 1, 8, 0, 1, port)


def spcr(t, port):
    """Of a 16550 at that port, 115200 bit/s."""
    return table(t, b"SPCR", struct.pack("<B3x", 0) + _address(port) +
                 struct.pack("<BBIBBBBBBHHBBBIBI", 0, 0, 0, 7, 0, 1, 0, 3, 0,
                             0xffff, 0xffff, 0, 0, 0, 0, 0, 0))


def dbg2(t, port):
    """The same, as a debug port."""
    name = b".\0"
    device = struct.pack("<BHBHHHHHHHHH", 0, 40, 1, len(name), 38, 0, 0, 0x8000,
                         0, 0, 22, 34) + _address(port) + \
        struct.pack("<I", 8) + name
    return table(t, b"DBG2", struct.pack("<II", 44, 1) + device, 0)


@case("serial-com2", "a machine with COM2 alone: prompt, keys, poweroff")
def serial_com2(t):
    console = t.console("--serial", "com2")
    _talk(t, console)
    t.check("isthmus: serial port: at port 0x2f8, by trying COM1 to COM4"
            in console.seen, console.seen[:600])
    _leave(t, console)


@case("serial-com3", "COM3 alone, and COM4 with COM2: without interrupts",
      later=BOCHS)
def serial_com3(t):
    console = t.console("--serial", "com3")
    _talk(t, console)
    _leave(t, console)
    result = _exec(t, "--serial", "com4,com2", "--manifest", manifest(
        t, "chosen {", 'chosen {\n\t\tserial = "com4";'))
    _told(t, result, "0x2e8", "the manifest")


@case("serial-pci", "a card alone: prompt, keys, a panic; it is nobody's",
      only=QEMU, why="Bochs has no such card")
def serial_pci(t):
    machine = Machine(t, "--serial", "pci", "--manifest", manifest(
        t, "host;", 'host;\n\t\t\tpci = "class:07", "class:01";'), line=True)
    console = machine.console
    try:
        _talk(t, console)
        t.check("by looking at PCI" in console.seen, console.seen[:600])
        said = console.run("pci")
        t.check("ahci" in said and "serial" not in said,
                f"it is somebody's: {said}")
        t.check("isolation holds" in console.run("isolation"), "not apart")
        _panic(machine.qmp)
        console.expect(PANIC)
    finally:
        machine.close()


@case("serial-tables", "SPCR and DBG2 name another port than COM1", only=QEMU,
      why="Bochs has no way to add a table")
def serial_tables(t):
    for make, by in ((spcr, "the ACPI SPCR"), (dbg2, "the ACPI DBG2")):
        result = _exec(t, "--serial", "com3,com1", "--acpi-table",
                       make(t, COM3))
        _told(t, result, "0x3e8", by)
        t.check("isthmus" not in result.linux, f"COM1 has it: {result.linux}")
    # SPCR comes first; one that names what is not there counts for nothing
    result = _exec(t, "--serial", "com3,com1", "--acpi-table", spcr(t, COM2),
                   "--acpi-table", dbg2(t, COM3))
    _told(t, result, "0x3e8", "the ACPI DBG2")


@case("serial-manifest", "the manifest wants another port, or none, or a speed",
      later=BOCHS)
def serial_manifest(t):
    result = _exec(t, "--serial", "com2,com1", "--manifest", manifest(
        t, "chosen {", 'chosen {\n\t\tserial = "0x2f8";\n'
        "\t\tserial-speed = <9600>;"))
    _told(t, result, "0x2f8", "the manifest")
    t.check("isthmus" not in result.linux, f"COM1 has it: {result.linux}")
    # one that does not answer
    result = _exec(t, "--manifest", manifest(
        t, "chosen {", 'chosen {\n\t\tserial = "com4";'))
    t.check('no serial port answers at "com4"' in result.serial,
            result.serial[:900])


@case("serial-refused", "a port or a speed that cannot be: the property is named",
      later=BOCHS)
def serial_refused(t):
    for said, wrong in (('serial = "com5"', "serial"),
                        ("serial = <1>", "serial"),
                        ("serial-speed = <230400>", "serial-speed"),
                        ("serial-speed = <1>", "serial-speed")):
        fails(t, 12, f'/chosen: property "{wrong}": ', "--serial", "com2",
              "--manifest", manifest(t, "chosen {", f"chosen {{\n\t\t{said};"))


@case("serial-none", "the manifest wants none: the screen has the rest",
      only=QEMU, why="QEMU shows its screen", later=QEMU)
def serial_none(t):
    machine = Machine(t, "--serial", "pci", "--manifest", manifest(
        t, "chosen {", 'chosen {\n\t\tserial = "none";'), line=True)
    try:
        machine.sees("isthmus: stage 68 agent ready", 900)
        t.check("isthmus: stage 12 manifest" in machine.console.seen and
                "isthmus: stage 13" not in machine.console.seen,
                machine.console.seen)
        machine.types("exec echo h''i")
        machine.sees("hi")
    finally:
        machine.close()


# A port in memory there is none on QEMU's PCs: what stands for it is memory of
# a second display, out of what it shows. It keeps the last byte that is sent.
DISPLAY = re.compile(r"VGA controller: PCI device 1234:1111.*?|"
                     r"Display controller: PCI device 1234:1111.*?"
                     r"BAR0: 32 bit prefetchable memory at 0x([0-9a-f]+)", re.S)
UNSEEN = 0xf00000


def _display(t):
    """Where the firmware puts the memory of the second display."""
    machine = Machine(t, "--device", "bochs-display")
    try:
        machine.sees("isthmus: stage 40", 900)
        said = machine.qmp.run("human-monitor-command",
                               **{"command-line": "info pci"})
        found = [m[1] for m in DISPLAY.finditer(said) if m[1]]
        t.check(found, f"there is no such display: {said}")
        return int(found[0], 16) + UNSEEN
    finally:
        machine.close()


@case("serial-memory", "a port in memory, which no emulator has: each of the "
      "three programs reaches it", only=QEMU, why="QEMU shows its screen",
      later=QEMU)
def serial_memory(t):
    at = _display(t)
    disk = image(t, "--manifest", manifest(
        t, "chosen {", f'chosen {{\n\t\tserial = "mmio:{at:#x}";'))
    firmware_on(t, disk, "uart")
    machine = Machine(t, "--device", "bochs-display", "--image", disk)

    def last():
        said = machine.qmp.run("human-monitor-command",
                               **{"command-line": f"xp /1xb {at:#x}"})
        return chr(int(said.split()[-1], 16))

    try:
        machine.sees("isthmus: stage 68 agent ready", 900)
        machine.types("log")
        machine.sees(f"serial port: in memory at {at:#x}, by the manifest")
        machine.types("isolation")
        machine.sees("isolation holds")
        picture.type_text(machine.qmp, "x")
        machine.sees("isthmus> x")
        t.check(last() == "x", f"host-bridge does not reach it: {last()!r}")
        _panic(machine.qmp)
        machine.sees(PANIC)
        t.check(last() == "\n", f"the hypervisor does not: {last()!r}")
    finally:
        machine.close()
