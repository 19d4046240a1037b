# SPDX-License-Identifier: MIT
"""The black box: a machine fails, is reset, and its next boot says in which
stage and of what. docs/black-box.md."""

import os
import re
import sys

from boxes import Box
from cases_failures import ESP, firmware_on, image, manifest as changed
from cases_isolation import MC_FATAL, MCG_STATUS
from cases_mutants import OURS, OWN
from runner import BOCHS, QEMU, ROOT, Failed, case

sys.path.insert(0, os.path.join(ROOT, "qemu-test", "mutants"))

import isolation  # noqa: E402

TOLD = re.compile(r"isthmus: the last run ended in stage ([^\n]*)\r?\n")
WRITTEN = r"last-crash.txt has all that is known of it\r?\n"
MARK = "fail-0-00-black-"
CRASH = "::isthmus/last-crash.txt"
TRIPLE = "a triple fault"
OUTSIDE = "from outside"
PANIC = "panic in the hypervisor: "
STAGES = {40: "hypervisor entered", 42: "page owners set up",
          44: "all CPUs started", 46: "AMD-V with nested paging",
          48: "partitions built", 50: "entering the host partition"}
BACKENDS = {"bochs": "VT-x with EPT"}
HOW = {"p": PANIC + "injected", "u": PANIC + "exception 6 error 0x0 at ",
       "f": PANIC + "exception 14 error 0x2 at ",
       "d": PANIC + "exception 8 error 0x0 at ", "t": TRIPLE}
HOST = "memory-min-mib = <320>;\n"
FAILED = r"isthmus: FAILED stage [^\n]*\n"
RUNS = "60 host-bridge started|6[246] |68 agent ready"
ONE_PANIC = "the host partition crashed: reason "
CRASHED = "host-bridge crashed: page fault"
END = "\nisthmus: " + CRASHED      # not where the next program repeats it

# The hypervisor's panics that are not above, and what it says without one: the
# letter of qemu-test/mutants/black_box.c, the stage after which it does that, the
# stage that is told, the sentence, the machine. A machine check, and the end of the
# host partition, have tests of their own.
PANICS = (
    ("A", 44, 44, "interrupts cannot reach CPU 0: APIC id 300 needs"),
    ("B", 44, 44, "no memory for what was injected: 1073741824 KiB"),
    ("C", 46, 44, "the CPU with APIC id 99 does not answer", "-smp", "2"),
    ("E", 44, 44, "page 0x200000000000 is not memory"),
    ("F", 40, 40, "KiB of free memory in one piece for the page owners"),
    ("G", 44, 44, "partition host: interrupt 200 is not at the I/O APIC"),
    ("I", 44, 44, "the I/O APIC's interrupts cannot be remapped",
     "-device", "amd-iommu,intremap=on"),
    ("M", 44, 44, "partition host: 0x"),
    ("O", 44, 44, "belongs to owner 2, not 3"),
    ("P", 48, 48, "partitions are not apart"),
    ("S", 48, 48, "the host partition does not start"),
    ("T", 40, 40, "the memory map is in too many pieces"),
    ("V", 46, 46, "CPU 1 (APIC id 1) does not enter AMD-V", "-smp", "2"),
    ("X", 40, 40, "a CPU has APIC id 300, which needs x2APIC mode",
     "-cpu", "EPYC-Rome,-monitor,-x2apic"),
)


class Disks:
    """The boot disks of a case, each made when it is wanted."""

    def __init__(self, t):
        self.t = t
        self.made = {}

    def mutant(self, host="", linux="vcpus = <1>;"):
        """With the mutant, which fails as told by fail_by(); more properties of
        the host partition, others of Linux's."""
        if (host, linux) not in self.made:
            self.made[host, linux] = self._mutant(host, linux)
        return self.made[host, linux]

    def _mutant(self, host, linux):
        t = self.t
        program = "build/hypervisor/mutant-black_box.elf"
        t.tool(["make", "-s", program])
        dts = changed(t, OWN, f'{OWN} file = "{program}";')
        with open(dts, encoding="utf-8") as f:
            text = f.read()
        before, node, after = text.partition("\t\tlinux {\n")
        for part, old, new in ((0, "chosen {\n", f"""chosen {{
        mark = "{MARK}";
        panic-resets;
"""), (0, HOST, HOST + host), (2, "vcpus = <1>;", linux)):
            parts = [before, node, after]
            t.check(old in parts[part], f"the manifest has no '{old}'")
            parts[part] = parts[part].replace(old, new, 1)
            before, node, after = parts
        with open(dts, "w", encoding="utf-8") as f:
            f.write(before + node + after)
        path = t.path(f"mutant-{len(self.made)}.img")
        os.rename(image(t, "--manifest", dts), path)
        return path

    def usual(self, *options):
        """A fresh one, of the usual hypervisor."""
        return image(self.t, *options)


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


def told(t, disk, stage, cause, *options, smp=1, until=None, then=Box.reset):
    """The machine fails and is reset (by hand once it has said `until`, or
    else what is done `then`); what its next boot says of it, and has written.
    stage: a regular expression."""
    with Box(t, disk, *options, smp=smp) as box:
        if until:
            box.wait(until)
            then(box)
        said = box.wait(TOLD)[1]
        box.wait(WRITTEN)
    text = crash_text(t, disk)
    name = f"{stage}: {cause}"
    t.check(re.match(f"(?:{stage})[^:]*: ", said) and cause in said,
            f"expected '{name}': {said}")
    t.check(re.search(rf"\nstage: (?:{stage})[^:]*\ncause: ", text)
            and cause in text, f"expected '{name}':\n{text[:500]}")
    t.check("isthmus: stage 10 firmware\n" in text, f"no log:\n{text[:500]}")
    t.check("[damaged]" not in text and " damaged: " not in text,
            f"'{name}' is damaged:\n{text[-3000:]}")
    return text


def exits_of(text, cpu):
    """The lines of a CPU's last exits."""
    part = re.search(rf"\nCPU {cpu}, ([^;]*);[^\n]*\n((?:  [^\n]*\n)*)", text)
    return part[1], part[2].splitlines()


def at_stage(t, disk, how, code):
    fail_by(t, disk, how, code)
    name = BACKENDS.get(t.platform) if code == 46 else None
    told(t, disk, f"{code} {name or STAGES[code]}", HOW[how])


def running(t, disk, how, cpu, cause, smp=2):
    """It fails at an exit of that CPU."""
    fail_by(t, disk, how, cpu)
    text = told(t, disk, RUNS, cause, smp=smp)
    doing, exits = exits_of(text, cpu)
    t.check(doing == ("in a guest" if how == "b" else "in the hypervisor") and
            len(exits) == 256 and
            re.fullmatch(r"  \d+ \d+/\d+ [-a-z]+ at 0x[0-9a-f]+ 0x[0-9a-f]+",
                         exits[-1]),
            f"CPU {cpu}: {doing}, {len(exits)} exits, the last {exits[-1:]}")
    return text


def other_build(t, disks):
    told(t, disks.usual("--manifest", changed(
        t, OWN, f'{OWN} file = "{other_version(t)}";')), "40 " + STAGES[40],
        "the loader is of another version", until=FAILED)


def hypervisor_stages():
    """Each stage of the hypervisor's, in each way."""
    for how in HOW:
        for code in STAGES:
            yield f"stage {code}, {how}", lambda t, disks, h=how, c=code: \
                at_stage(t, disks.mutant(), h, c)

    def hangs(t, disks):
        # before the deadline of the new stage is set
        fail_by(t, disks.mutant(), "h", 48)
        told(t, disks.mutant(), "44 all CPUs started",
             "the next stage has not been reached")

    def hangs_closed(t, disks):
        fail_by(t, disks.mutant(), "c", 46)
        told(t, disks.mutant(), "46 " + STAGES[46], "the chipset's watchdog")

    yield "stage 48, h", hangs
    yield "stage 46, c", hangs_closed
    yield "stage 40, another build", other_build


def panics():
    """Each panic of the hypervisor's."""
    for how, after, stage, words, *options in PANICS:
        def make(t, disks, how=how, after=after, stage=stage, words=words,
                 options=tuple(options)):
            fail_by(t, disks.mutant(), how, after)
            told(t, disks.mutant(), str(stage), words, *options)
        yield f"panic {how}", make

    def machine_check(t, disks):
        # not while Linux comes up: with CR4.MCE clear it is a shutdown. QEMU
        # gives it to who runs, past the intercept: the hypervisor or host-bridge
        mce = f"mce 0 1 {MC_FATAL:#x} {MCG_STATUS:#x} 0x12345000 0"
        fail_by(t, disks.mutant(), "0", 0)
        told(t, disks.mutant(), "68|70", "machine check",
             until="stage 68 agent ready", then=lambda box: box.ask(
                 "human-monitor-command", **{"command-line": mce}))

    def no_memory(t, disks):
        disk = disks.mutant("restarts = <1>;")
        fail_by(t, disk, "N", 0)
        told(t, disk, RUNS, "no memory to start the host partition again")

    def no_stop(t, disks):
        disk = disks.mutant("restarts = <1>;")
        fail_by(t, disk, "I", 0)
        told(t, disk, RUNS, "cannot be stopped", "-device",
             "amd-iommu,intremap=on")

    yield "panic, machine check", machine_check
    yield "panic N", no_memory
    yield "panic, I while it runs", no_stop


def cpus():
    """Each of four CPUs: they hang, with interrupts or without, or not even an
    NMI is taken, or have a triple fault; two of them by panics, too."""
    four = "vcpus = <3>;"
    for cpu in range(4):
        for how, words in (("t", TRIPLE), ("h", f"CPU {cpu} hangs at 0x"),
                           ("c", f"CPU {cpu} hangs at 0x"),
                           ("n", f"CPU {cpu} hangs, and takes no NMI")):
            yield f"CPU {cpu}, {how}", \
                lambda t, disks, h=how, c=cpu, w=words: running(
                    t, disks.mutant(linux=four), h, c, w, smp=4)
    for cpu in 0, 1:
        for how in "puf":
            yield f"CPU {cpu}, {how}", lambda t, disks, h=how, c=cpu: running(
                t, disks.mutant(), h, c, HOW[h])
    yield "CPU 0, l", lambda t, disks: running(
        t, disks.mutant(), "l", 0, "CPU 0 hangs at 0x")
    yield "the only CPU, c", lambda t, disks: running(
        t, disks.mutant(), "c", 0, "the chipset's watchdog", smp=1)


def host():
    """host-bridge crashes, with and without a next program, and its stages."""
    yield "host-bridge, b", lambda t, disks: running(
        t, disks.mutant(), "b", 0, CRASHED)
    yield "host-bridge, r", lambda t, disks: running(
        t, disks.mutant(), "r", 0, PANIC + ONE_PANIC)

    def again(t, disks):
        disk = disks.mutant("restarts = <2>;")
        fail_by(t, disk, "e", 0)
        text = told(t, disk, RUNS, PANIC + ONE_PANIC, smp=2)
        t.check(text.count(END) == 3 and "for the 2. time of 2" in text,
                f"not three ends: {text[:9000]}")

    def once(t, disks):
        disk = disks.mutant("restarts = <2>;")
        fail_by(t, disk, "b", 0)
        text = told(t, disk, "6[02468]", OUTSIDE, smp=2,
                    until="host-bridge was started again, the 1. time")
        t.check(text.count(END) == 1 and
                "host-bridge was started again" in text,
                f"the first end is not there: {text[:9000]}")

    yield "host-bridge again and again", again
    yield "host-bridge once, then a reset", once

    def volume(t, disks):
        # it goes on without: that may have reached the next stage
        text = told(t, disks.usual("--manifest", changed(
            t, "chosen {\n", 'chosen {\nvolume-disk = "none";\n')),
            "6[246]", "", until=FAILED)
        t.check('FAILED stage 62 volume ready: volume-disk "none": there is '
                "no such disk" in text, f"it is not told:\n{text[-5000:]}")

    def kernel(t, disks):
        path = t.path("old")
        with open(os.path.join(ROOT, "build", "guest", "bzImage"), "rb") as f:
            data = f.read()
        with open(path, "wb") as f:     # of an old boot protocol
            f.write(data[:0x206] + b"\x01\x02" + data[0x208:])
        told(t, disks.usual("--kernel", path), "64 linux loaded", "protocol",
             until=FAILED)

    def linux(t, disks):
        told(t, disks.usual("--append", "rdinit=/bin/cat"), "66 linux started",
             OUTSIDE, until="stage 66 linux started")

    def agent(t, disks):
        told(t, disks.usual("--append", "rdinit=/none"), "68 agent ready",
             "Linux says: Kernel panic", until=FAILED)

    yield "stage 62", volume
    yield "stage 64", kernel
    yield "stage 66", linux
    yield "stage 68", agent


def loader():
    """Failures before there is a hypervisor, and a reset by hand."""
    def processor(t, disks):
        told(t, disks.usual(), "11 processor", "AMD-V", "-cpu",
             "Skylake-Client", until=FAILED)

    def manifest(t, disks):
        disk = disks.usual()
        t.tool(["mdel", "-i", disk + ESP, "::isthmus/isthmus.dtb"])
        told(t, disk, "12 manifest", "no such file", until=FAILED)

    def modules(t, disks):
        disk = disks.usual()
        t.tool(["mdel", "-i", disk + ESP, "::isthmus/initrd"])
        told(t, disk, "13 modules", "initrd: no such file", until=FAILED)

    def firmware(name, stage, cause, *flags, until=FAILED):
        def make(t, disks):
            disk = disks.usual()
            firmware_on(t, disk, name, *flags)
            told(t, disk, stage, cause, until=until)
        return make

    def memory(t, disks):
        told(t, disks.usual("--manifest", changed(
            t, "memory-min-mib = <128>;", "memory-min-mib = <384>;")),
            "15 memory", "too little memory", "-m", "384", until=FAILED)

    def entered(t, disks):
        told(t, disks.usual("--manifest", changed(
            t, OWN, f'{OWN} file = "{without_stack(t)}";')), "18 enter",
            TRIPLE)

    yield "stage 11", processor
    yield "stage 12", manifest
    yield "stage 13", modules
    yield "stage 14", firmware("hang", "14 machine",
                               "nothing has happened for 20 s")
    yield "stage 15", memory
    yield "stage 16", firmware("fail", "16 exit", "refused 8 times to let go",
                               "-DSTAGE=16")
    yield "stage 17", firmware("fail", "17 devices", TRIPLE, "-DSTAGE=17",
                               until=None)
    yield "stage 18", entered


def without_stack(t):
    """A hypervisor whose first instructions are xor esp, esp and push rax,
    while there are no handlers of its own."""
    path = t.path("hypervisor.elf")
    with open(os.path.join(ROOT, OURS), "rb") as f:
        data = f.read()
    first = b"\xfa\xfc\x0f\x20\xe0"          # cli; cld; mov rax, cr4
    t.check(data.count(first) == 1, "its first instructions are others")
    with open(path, "wb") as f:
        f.write(data.replace(first, b"\x31\xe4\x50" + first[3:]))
    return path


def other_version(t):
    """A hypervisor that takes the loader for one of another build."""
    isolation.make("x86/start.c", "bi->version == BOOT_INFO_VERSION",
                   "bi->version != BOOT_INFO_VERSION", t.path("other"))
    return t.path("other")


def each(t, failures):
    """All of them, or those whose name has what BOX says; one that is not told
    does not hide the others."""
    disks, wrong = Disks(t), []
    chosen = [f for f in failures if os.environ.get("BOX", "") in f[0]]
    for name, make in chosen:
        try:
            make(t, disks)
        except Failed as reason:
            wrong.append((name, f"{name}: {reason}"))
    t.note = f": {len(chosen) - len(wrong)} of {len(chosen)} were named"
    t.check(not wrong, "\n".join(text for _, text in wrong) + "\nnot named: "
            + "; ".join(name for name, _ in wrong))


@case("black-box", "three failures, each named after the reset", only=QEMU,
      why="Bochs has its own")
def black_box(t):
    disks = Disks(t)
    at_stage(t, disks.mutant(), "p", 48)
    running(t, disks.mutant(), "t", 0, TRIPLE, smp=1)
    running(t, disks.mutant(), "b", 0, CRASHED, smp=1)


ALL = {"stages": hypervisor_stages, "panics": panics, "cpus": cpus,
       "host": host, "loader": loader}


def _case(name, failures):
    count = len(list(failures()))

    @case(f"box-failures-{name}", f"{count} of them, each named after the "
          "reset", only=QEMU, later=QEMU, why="Bochs has its own")
    def run(t):
        each(t, failures())
    return run


for _name, _failures in ALL.items():
    _case(_name, _failures)


@case("box-bochs", "seven failures on Bochs", only=BOCHS, later=BOCHS,
      why="QEMU has its own")
def box_bochs(t):
    """Its reset keeps memory; see boxes.py for what OVMF needs."""
    def failures():
        for how, code in ("p", 48), ("t", 46), ("d", 40):
            yield f"stage {code}, {how}", lambda t, disks, h=how, c=code: \
                at_stage(t, disks.mutant(), h, c)
        yield "CPU 0, t", lambda t, disks: running(
            t, disks.mutant(), "t", 0, TRIPLE)
        for how in "hc":
            yield f"CPU 1, {how}", lambda t, disks, h=how: running(
                t, disks.mutant(), h, 1, "CPU 1 hangs at 0x")
        yield "host-bridge, b", lambda t, disks: running(
            t, disks.mutant(), "b", 0, CRASHED)
    each(t, failures())
