# SPDX-License-Identifier: MIT
"""The black box: a machine fails, is reset, and its next boot says in which
stage and of what. docs/black-box.md."""

import os
import re
import subprocess
import time

from cases_failures import ESP, image, manifest as changed
from cases_mutants import OWN
from isthmus_lib import machine, qemu
from qmp import Qmp
from runner import QEMU, ROOT, case

LIMIT = 90              # CPU seconds of one machine
TOLD = re.compile(r"isthmus: the last run ended in stage ([^\n]*)\r?\n")
MARK = "fail-0-00-black-"
CRASH = "::isthmus/last-crash.txt"
TRIPLE = "a triple fault"
PANIC = "panic in the hypervisor: "
STAGES = {40: "hypervisor entered", 42: "page owners set up",
          44: "all CPUs started", 46: "AMD-V with nested paging",
          48: "partitions built", 50: "entering the host partition"}
HOW = {"p": PANIC + "injected", "u": PANIC + "exception 6 error 0x0 at ",
       "f": PANIC + "exception 14 error 0x2 at ",
       "d": PANIC + "exception 8 error 0x0 at ", "t": TRIPLE}


class Box:
    """A machine that may be reset, with its serial line in a file."""

    def __init__(self, t, disk, *options, smp=1):
        self.t = t
        self.serial = t.path(f"box-{t.runs}.log")
        self.monitor = t.path("qmp")
        t.runs += 1
        self.began = time.monotonic()
        # pylint: disable=subprocess-popen-preexec-fn,consider-using-with
        self.process = subprocess.Popen(
            [qemu.QEMU, "-M", "q35", "-m", "512", "-smp", str(smp),
             "-display", "none", "-nodefaults", "-vga", "std", "-drive",
             f"file={disk},format=raw,if=ide", "-bios", qemu.FIRMWARE,
             "-serial", f"file:{self.serial}", "-accel", "tcg", "-cpu",
             qemu.TCG_CPU, "-global", "ICH9-LPC.noreboot=false",
             "-qmp", f"unix:{self.monitor},server=on,wait=off",
             *options], preexec_fn=machine.die_with_parent,
            stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def said(self):
        try:
            with open(self.serial, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait(self, pattern):
        """Until the line has it; what it was."""
        while not (found := re.search(pattern, self.said())):
            self.t.check(self.process.poll() is None and self.used() < LIMIT,
                         f"expected '{pattern}':\n{self.said()[-2000:]}")
            time.sleep(0.1)
        return found

    def used(self):
        """CPU seconds; half of those that pass, if it idles, but for those in
        which there was no processor for it."""
        with open(f"/proc/{self.process.pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
        ran = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        waited = machine.busy_seconds(self.process.pid) - ran
        return max(ran, (time.monotonic() - self.began - waited) / 2)

    def reset(self):
        monitor = Qmp(self.monitor)
        monitor.run("system_reset")
        monitor.close()


def mutant_image(t):
    """A boot disk with the mutant, which fails as told by fail_by()."""
    program = "build/hypervisor/mutant-black_box.elf"
    t.tool(["make", "-s", program])
    dts = changed(t, OWN, f'{OWN} file = "{program}";')
    with open(dts, encoding="utf-8") as f:
        text = f.read()
    t.check("chosen {\n" in text, "the manifest has no /chosen")
    with open(dts, "w", encoding="utf-8") as f:
        f.write(text.replace("chosen {\n", f"""chosen {{
        mark = "{MARK}";
        panic-resets;
"""))
    return image(t, "--manifest", dts)


def fail_by(t, disk, how, where):
    """Writes into the manifest that is on the disk how it is to fail."""
    with open(disk, "r+b") as f:
        data = f.read()
        at = [m.start() for m in re.finditer(rb"fail-.-\d\d-black", data)]
        t.check(len(at) == 1, f"the mark is on the disk {len(at)} times")
        f.seek(at[0] + 5)
        f.write(f"{how}-{where:02}".encode())


def crash_text(t, disk):
    """What the boot has written of the last run; gone then."""
    text = t.tool(["mtype", "-i", disk + ESP, CRASH])
    t.tool(["mdel", "-i", disk + ESP, CRASH])
    return text.replace("\r", "")


def told(t, disk, stage, cause, *options, smp=1, until=None):
    """The machine fails and is reset (by hand once it has said `until`); what
    its next boot says of it, and has written."""
    with Box(t, disk, *options, smp=smp) as box:
        if until:
            box.wait(until)
            box.reset()
        said = box.wait(TOLD)[1]
        box.wait(r"last-crash.txt has all that is known of it\r?\n")
    text = crash_text(t, disk)
    name = f"{stage}: {cause}"
    t.check(said.startswith(f"{stage}: ") and cause in said,
            f"expected '{name}': {said}")
    t.check(f"\nstage: {stage}\ncause: " in text and cause in text,
            f"expected '{name}':\n{text[:500]}")
    t.check("isthmus: stage 10 firmware\n" in text, f"no log:\n{text[:500]}")
    t.check("[damaged]" not in text and " damaged: " not in text,
            f"'{name}' is damaged:\n{text[-3000:]}")
    return text


def exits_of(text, cpu):
    """The lines of a CPU's last exits."""
    part = re.search(rf"\nCPU {cpu}, ([^;]*);[^\n]*\n((?:  [^\n]*\n)*)", text)
    return part[1], part[2].splitlines()


def stages(t, disk, pairs):
    for how, code in pairs:
        fail_by(t, disk, how, code)
        told(t, disk, f"{code} {STAGES[code]}", HOW[how])


RUNS = "60 host-bridge started|6[246] "


def running(t, disk, how, cpu, cause, smp=2):
    """It fails at an exit of that CPU."""
    fail_by(t, disk, how, cpu)
    with Box(t, disk, smp=smp) as box:
        said = box.wait(TOLD)[1]
        box.wait(r"last-crash.txt has all that is known of it\r?\n")
    text = crash_text(t, disk)
    t.check(re.match(RUNS, said) and cause in said,
            f"{how} on CPU {cpu}: expected '{cause}': {said}")
    doing, exits = exits_of(text, cpu)
    t.check(doing == ("in a guest" if how == "b" else "in the hypervisor") and
            len(exits) == 256 and
            re.fullmatch(r"  \d+ \d+/\d+ [-a-z]+ at 0x[0-9a-f]+ 0x[0-9a-f]+",
                         exits[-1]),
            f"CPU {cpu}: {doing}, {len(exits)} exits, the last {exits[-1:]}")
    return text


@case("black-box", "three failures, each named after the reset", only=QEMU,
      why="Bochs's firmware does not come back after a reset")
def black_box(t):
    disk = mutant_image(t)
    stages(t, disk, [("p", 48)])
    running(t, disk, "t", 0, TRIPLE, smp=1)
    running(t, disk, "b", 0, "host-bridge crashed: page fault", smp=1)


@case("box-failures", "52 of them, each named after the reset", only=QEMU,
      later=QEMU, why="Bochs's firmware does not come back after a reset")
def black_box_all(t):
    disk = mutant_image(t)
    stages(t, disk, [(how, code) for how in HOW for code in STAGES])
    for cpu in 0, 1:
        for how in "puft":
            running(t, disk, how, cpu, HOW[how])
        for how in "hc":
            running(t, disk, how, cpu, f"CPU {cpu} hangs at 0x")
    running(t, disk, "l", 0, "CPU 0 hangs at 0x")
    running(t, disk, "b", 0, "host-bridge crashed: page fault")
    running(t, disk, "r", 0, PANIC + "the host partition crashed: reason ")
    running(t, disk, "c", 0, "the chipset's watchdog", smp=1)
    fail_by(t, disk, "h", 48)
    # it hangs before the deadline of the new stage is set
    told(t, disk, "44 all CPUs started", "the next stage has not been reached")
    fail_by(t, disk, "c", 46)
    told(t, disk, "46 " + STAGES[46], "the chipset's watchdog")
    loader(t)


def loader(t):
    """Failures before there is a hypervisor, and a reset by hand."""
    failed = r"isthmus: FAILED stage [^\n]*\n"
    disk = image(t)
    told(t, disk, "11 processor", "AMD-V", "-cpu", "Skylake-Client",
         until=failed)
    t.tool(["mdel", "-i", disk + ESP, "::isthmus/initrd"])
    told(t, disk, "13 modules", "initrd: no such file", until=failed)
    t.tool(["mdel", "-i", disk + ESP, "::isthmus/isthmus.dtb"])
    told(t, disk, "12 manifest", "no such file", until=failed)
    disk = image(t, "--manifest", changed(
        t, "memory-min-mib = <128>;", "memory-min-mib = <384>;"))
    told(t, disk, "15 memory", "too little memory", "-m", "384", until=failed)
