# SPDX-License-Identifier: MIT
"""Test kernels that nobody here wrote, each as a partition and bare on the
same emulator: what they find must be equal, or the difference is in a list with
its reason (docs/judges.md). kvm-unit-tests is one's own, built: its folder is
named by KVM_UNIT_TESTS."""

import collections
import os
import re
import subprocess
import time

from isthmus_lib.qemu import TCG_CPU
from runner import BOCHS, NESTED, QEMU, Skipped, case

# Seconds for one of them, of a busy computer; and when it is taken to have
# ended, as it says nothing any more.
PATIENCE = 240
QUIET = 40
SILENT = "then silent"
# A line as long is cut where it comes from a partition.
SHOWN = 110
FOUND = re.compile(r"^((?:PASS|FAIL|SKIP|XFAIL|KFAIL|SUMMARY): .*|--- DONE: "
                   r"\d+ ---|unhandled .*|.*: .*exception \d+.*)$", re.M)
DONE = "--- DONE: "
# Each start of a kernel says so once.
BEGIN = "smp: waiting for"

# Name: (image, arguments, vCPUs).
TESTS = {
    "x2apic": ("apic", "", 2),
    "smptest": ("smptest", "", 2),
    "memory": ("memory", "", 1),
    "msr": ("msr", "", 1),
    "tsc": ("tsc", "", 1),
    "tscadjust": ("tsc_adjust", "", 1),
    "xsave": ("xsave", "", 1),
    "debug": ("debug", "", 1),
    "syscall": ("syscall", "", 1),
    "smap": ("smap", "", 1),
    "umip": ("umip", "", 1),
    "pcid": ("pcid", "", 1),
    "eventinj": ("eventinj", "", 1),
    "rdpru": ("rdpru", "", 1),
    "setjmp": ("setjmp", "", 1),
    "cpuid": ("vmexit", "cpuid", 1),
    "pku": ("pku", "", 1),
    "pks": ("pks", "", 1),
    "lam": ("lam", "", 1),
    "cet": ("cet", "", 1),
    "tsx": ("tsx-ctrl", "", 1),
    "hypercall": ("hypercall", "", 1),
    "rmap": ("rmap_chain", "", 1),
}
MEMORY = 160                    # MiB of each
AT_ONCE = 14                    # partitions of a boot

# What a partition finds that the bare emulator does not (+), and the other way
# round (-): patterns. docs/judges.md has the reasons.
SUMS = [r"[+-]SUMMARY: .*", r"[+-]--- DONE: \d+ ---"]
DIFFERENT = {
    "pcid": [r"-FAIL: Test on PCID when disabled",
             r"\+PASS: Test on PCID when disabled", *SUMS],
    "hypercall": [r"-FAIL: .*", r"\+PASS: .*", *SUMS],
    "msr": [r"-PASS: MSR_IA32_MISC_ENABLE", r"\+FAIL: MSR_IA32_MISC_ENABLE",
            r"-the emulator ended", r"\+crashed: triple fault.*"],
    "x2apic": [r"-.*DONE: 63.*", r"\+PASS: apic.*", r"\+crashed: access to "
               r"memory it does not have, .* fee00000 .*"],
    "lam": [rf"-{SILENT}", r"\+PASS: .*",
            r"\+crashed: access to memory it does not have, .* ff000000 .*"],
}
# On Bochs none of them starts bare, as its APIC, disabled once, stays so: what is
# no PASS there.
NO_PASS = {
    "msr": [r"FAIL: MSR_IA32_MISC_ENABLE", r"--- DONE: 63 ---"],
    "x2apic": [r"crashed: access to memory .* fee00000 .*"],
    "lam": [r"crashed: access to memory .* ff000000 .*"],
    "cpuid": [SILENT],
    "debug": [r"FAIL: Single-step #DB w/ MOVSS blocking and DR7.GD=1",
              r"FAIL: MOV SS \+ watchpoint \+ (int \$1|INT3)",
              r"SUMMARY: 25 tests, 3 unexpected failures", r"--- DONE: 1 ---"],
}
# .. and what may be there or not, as it falls.
PERHAPS = {
    "eventinj": [r"FAIL: NMI", r"SUMMARY: 13 tests, 1 unexpected failures",
                 r"--- DONE: 1 ---"],
}

HEAD = """/dts-v1/;
/ {
	compatible = "isthmus,manifest-1";
	chosen { };
	modules {
		hypervisor { path = "\\\\isthmus\\\\hypervisor.elf"; };
		host-bridge { path = "\\\\isthmus\\\\host-bridge.elf"; };
		env1 { path = "\\\\isthmus\\\\env1"; file = "@env1"; };
		env2 { path = "\\\\isthmus\\\\env2"; file = "@env2"; };
%s	};
	partitions {
		host {
			id = <0>;
			host;
			module = "host-bridge";
			vcpus = <1>;
			memory-mib = <128>;
			memory-min-mib = <64>;
			ports = <0x3f8 0x3ff 0x2f8 0x2ff 0x70 0x71 0xcf9 0xcf9
				 0x604 0x605 0xb004 0xb005 0x8900 0x8900>;
			irqs = <4 0 3 0>;
		};
%s	};
};
"""
MODULE = """		k-{name} {{
			path = "\\\\isthmus\\\\k-{name}";
			file = "{file}";
		}};
"""
PARTITION = """		{name} {{
			id = <{id}>;
			on-demand;
			vcpus = <{vcpus}>;
			memory-mib = <160>;
			memory-min-mib = <16>;
			forward-ports = <0x3f8 0x3ff 0x600 0x60f>;
			kernel = "k-{name}";
			initrd = "env{vcpus}";
			bootargs = "{name} {args}";
		}};
"""


def _folder():
    folder = os.environ.get("KVM_UNIT_TESTS", "")
    if not os.path.isfile(os.path.join(folder, "x86", "apic.flat")):
        raise Skipped("KVM_UNIT_TESTS names no folder with kvm-unit-tests, "
                      "built for x86_64")
    return os.path.join(os.path.abspath(folder), "x86")


def _wanted():
    names = os.environ.get("JUDGES", "").split()
    return {name: TESTS[name] for name in names} if names else TESTS


def _lines(text):
    """What a test has found, without what is another number each time."""
    text = text.replace("\r", "")
    return [re.sub(r"0x[0-9a-f]{5,}|\d{6,}", "N", line[:SHOWN]).rstrip()
            for line in FOUND.findall(text)]


def _environment(t):
    """What these kernels would ask QEMU for, as a file in their memory."""
    for count in (1, 2):
        with open(t.path(f"env{count}"), "w", encoding="ascii") as f:
            f.write(f"NR_CPUS={count}\nMEMSIZE={MEMORY}\nTEST_DEVICE=0\n")


def _bare(t, folder, name):
    image, args, vcpus = TESTS[name]
    command = [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial",
        "stdio", "-machine", "q35", "-accel", "tcg,thread=single", "-cpu",
        TCG_CPU, "-m", str(MEMORY), "-smp", str(vcpus), "-no-reboot",
        "-kernel", f"{folder}/{image}.flat", "-initrd",
        t.path(f"env{vcpus}"), "-append", args]
    with open(t.path(f"bare-{name}.txt"), "w+b") as out:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT) as process:
            wait = Waiting()
            while process.poll() is None and wait.goes_on(_text(out.name)):
                time.sleep(0.2)
            ended = process.poll() is not None
            process.kill()
    found = _lines(_text(out.name))
    if not any(DONE in line for line in found):
        found.append("the emulator ended" if ended else SILENT)
    return found


class Waiting:
    """For the end of a test."""

    def __init__(self):
        self.begun = self.heard = time.monotonic()
        self.size = 0

    def goes_on(self, text):
        """Whether more is to come; text: what it has said."""
        now = time.monotonic()
        if len(text) != self.size:
            self.size, self.heard = len(text), now
        return DONE not in text and now < self.heard + QUIET and \
            now < self.begun + PATIENCE


def _text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def _manifest(t, folder, names):
    modules = partitions = ""
    for number, name in enumerate(names, 1):
        image, args, vcpus = TESTS[name]
        modules += MODULE.format(name=name, file=f"{folder}/{image}.flat")
        partitions += PARTITION.format(name=name, id=number, vcpus=vcpus,
                                       args=args)
    text = HEAD % (modules, partitions)
    path = t.path("judges.dts")
    with open(path, "w", encoding="ascii") as f:
        f.write(text.replace("@", t.folder + "/"))
    return path


def _partition(console, log, name):
    """What one of them found."""
    start, wait = len(console.seen), Waiting()
    console.send(f"linux start {name}")
    ended = re.compile(rf"isthmus: [^\n]*\b{name}\b[^\n]*"
                       r"(crashed[^\n]*|asked for a reset)")
    while True:
        text = "".join(re.findall(rf"^{name}: (.*\n)", _text(log), re.M))
        crash = ended.search(console.seen, start)
        if crash or not wait.goes_on(text):
            break
        time.sleep(0.2)
    console.send(f"linux stop {name}")
    # one that has ended has begun again meanwhile: up to its second begin
    found = _lines("".join(text.partition(BEGIN)[::2]).partition(BEGIN)[0])
    if crash:
        found.append(crash[1].strip())
    elif not any(DONE in line for line in found):
        found.append(SILENT)
    return found


def _partitions(t, folder, names):
    """{name: what it found}, one after the other in one machine."""
    console = t.console("--manifest", _manifest(t, folder, names),
                        "--memory", "2048", timeout=PATIENCE * len(names))
    console.expect("isthmus> ")
    log, found = t.path(f"linux-{t.runs}.log"), {}
    for name in names:
        found[name] = _partition(console, log, name)
    said = console.run("isolation")
    t.check("isolation holds" in said, f"isolation: {said!r}")
    console.send("poweroff")
    console.finish()
    return found


def _changes(one, two):
    """What the second list has besides (+), and what it lacks (-)."""
    had, has = collections.Counter(one), collections.Counter(two)
    return ["-" + line for line in had - has] + \
        ["+" + line for line in has - had]


def _argued(lines, patterns):
    return [line for line in lines
            if not any(re.fullmatch(p, line) for p in patterns)]


def _beside_bare(t, folder, wanted, found):
    """{name: what is another result, without a reason}"""
    wrong = {}
    for name in wanted:
        changes = _changes(_bare(t, folder, name), found[name])
        left = _argued(changes, DIFFERENT.get(name, ()))
        if left or not changes and name in DIFFERENT:
            wrong[name] = left or "it has become equal"
    return wrong


def _alone(wanted, found):
    wrong = {}
    for name in wanted:
        bad = [line for line in found[name] if not re.match(
            r"PASS|SKIP|SUMMARY: (?!.*unexpected)|--- DONE: (0|38) ", line)]
        left = _argued(bad, NO_PASS.get(name, []) + PERHAPS.get(name, []))
        if left or not bad and name in NO_PASS:
            wrong[name] = left or "all pass now"
    return wrong


@case("judges", "kvm-unit-tests in partitions find what they find without us",
      only=(*BOCHS, *QEMU), why="only these are asked",
      later=(*BOCHS, *QEMU, *NESTED))
def judges(t):
    folder, wanted = _folder(), list(_wanted())
    _environment(t)
    found = {}
    for at in range(0, len(wanted), AT_ONCE):
        found |= _partitions(t, folder, wanted[at:at + AT_ONCE])
    wrong = _alone(wanted, found) if t.platform in BOCHS else \
        _beside_bare(t, folder, wanted, found)
    t.note = f": {len(wanted) - len(wrong)} of {len(wanted)} as they must be"
    t.check(not wrong, "\n".join(f"{name}: {lines}\n  of {found[name]}"
                                 for name, lines in wrong.items()))
