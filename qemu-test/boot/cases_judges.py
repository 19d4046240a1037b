# SPDX-License-Identifier: MIT
"""Test kernels that nobody here wrote, each as a partition and bare on the
same emulator: what they find must be equal, or the difference is listed here
with its reason (docs/judges.md). kvm-unit-tests is one's own, built: its
folder is named by KVM_UNIT_TESTS."""

import os
import re
import subprocess
import time

from isthmus_lib.qemu import TCG_CPU
from runner import BOCHS, NESTED, QEMU, Skipped, case

# Seconds for one of them, of a busy computer.
PATIENCE = 240
# A line as long is cut where it comes from a partition.
SHOWN = 110
FOUND = re.compile(r"^((?:PASS|FAIL|SKIP|XFAIL|KFAIL|SUMMARY): .*|--- DONE: "
                   r"\d+ ---|unhandled .*|.*: .*exception \d+.*)$", re.M)
DONE = "--- DONE: "

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
    "deadline": ("tscdeadline_latency", "", 1),
    "rmap": ("rmap_chain", "", 1),
}
AT_ONCE = 14                    # partitions of a boot

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
    return [re.sub(r"\d{6,}", "N", line[:SHOWN]).rstrip()
            for line in FOUND.findall(text)]


def _environment(t):
    """What these kernels would ask QEMU for, as a file in their memory."""
    for count in (1, 2):
        with open(t.path(f"env{count}"), "w", encoding="ascii") as f:
            f.write(f"NR_CPUS={count}\nMEMSIZE=160\nTEST_DEVICE=0\n")


def _bare(t, folder, name):
    image, args, vcpus = TESTS[name]
    command = [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial",
        "stdio", "-machine", "q35", "-accel", "tcg,thread=single", "-cpu",
        TCG_CPU, "-m", "160", "-smp", str(vcpus), "-no-reboot",
        "-kernel", f"{folder}/{image}.flat", "-initrd",
        t.path(f"env{vcpus}"), "-append", args]
    with open(t.path(f"bare-{name}.txt"), "w+b") as out:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT) as process:
            end = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < end and \
                    DONE not in _text(out.name):
                time.sleep(0.2)
            process.kill()
    return _lines(_text(out.name))


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


def _partitions(t, folder, names):
    """{name: what it found}, one after the other in one machine."""
    console = t.console("--manifest", _manifest(t, folder, names),
                        "--memory", "2048", timeout=PATIENCE * len(names))
    console.expect("isthmus> ")
    log, found = t.path(f"linux-{t.runs}.log"), {}
    for name in names:
        console.send(f"linux start {name}")
        end = time.monotonic() + PATIENCE
        ended = re.compile(rf"isthmus: [^\n]*\b{name}\b[^\n]*"
                           r"(crashed[^\n]*|asked for a reset)")
        start = len(console.seen)
        while True:
            text = "".join(re.findall(rf"^{name}: (.*\n)", _text(log), re.M))
            crash = ended.search(console.seen, start)
            if DONE in text or crash or time.monotonic() > end:
                break
            time.sleep(0.2)
        found[name] = _lines(text)
        if crash:
            found[name].append(crash[1].strip())
        console.send(f"linux stop {name}")
    console.run("isolation")
    t.check("isolation holds" in console.seen, "isolation does not hold")
    console.send("poweroff")
    console.finish()
    return found


@case("judges", "kvm-unit-tests in partitions find what they find without us",
      only=(*BOCHS, *QEMU), why="only these are asked",
      later=(*BOCHS, *QEMU, *NESTED))
def judges(t):
    folder, wanted = _folder(), list(_wanted())
    _environment(t)
    bare = {name: _bare(t, folder, name) for name in wanted}
    found = {}
    for at in range(0, len(wanted), AT_ONCE):
        found |= _partitions(t, folder, wanted[at:at + AT_ONCE])
    wrong, equal = [], 0
    for name in wanted:
        if bare[name] and bare[name] == found[name]:
            equal += 1
        else:
            wrong.append(f"{name}:\n  bare: {bare[name]}\n"
                         f"  partition: {found[name]}")
    t.note = f": {equal} of {len(wanted)} equal"
    t.check(not wrong, "\n".join(wrong))
