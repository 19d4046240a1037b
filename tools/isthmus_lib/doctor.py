# SPDX-License-Identifier: MIT
"""The doctor: a stick that tests a PC, and what is made of its reports. The
program is doctor/, a report's form docs/schema/doctor.json."""

import json
import os

from isthmus_lib import image, scratch
from isthmus_lib.common import BUILD, Failure, run, say

PROGRAM = os.path.join(BUILD, "doctor", "DOCTOR.EFI")
DONE = "doctor: finished; a key returns to the firmware"
REPORT = "isthmus/doctor.json"          # on the stick
OK, BROKEN = 0, 1
# A disk that is made for the doctor has nothing else on it.
REFUSED = ("image", "exec", "manifest", "kernel", "initrd", "append",
           "overlay", "linux_memory", "share", "linux_disk", "share_out",
           "distro", "control", "until", "samples")
# What differs between two runs of one machine.
CHANGING = frozenset(("clock", "timer-stall", "tsc-rate", "tsc-rate-told",
                      "virt-timer"))


def add_parser(commands):
    """`isthmus doctor`."""
    parser = commands.add_parser(
        "doctor", help="a USB stick that tests a PC, and its reports",
        description="Makes the image of a stick that looks whether Isthmus "
        "will run on a PC, in two minutes, without starting anything; shows "
        "a report that the stick has brought back; compares two.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("out", metavar="OUT", nargs="?", help="the image that "
                       "is made, for a USB stick")
    which.add_argument("--show", metavar="FILE", help="a report, by check; "
                       "status 1 if one has failed")
    which.add_argument("--compare", metavar=("A", "B"), nargs=2,
                       help="in which checks and registers two reports "
                       "differ; status 1 if they do")


def check(args):
    """Refuses what a doctor's run cannot have."""
    for name in REFUSED:
        if getattr(args, name):
            raise Failure(f"--{name.replace('_', '-')} is of no use with "
                          "--doctor, which starts no Isthmus", 2)


def make(disk):
    """The image."""
    if not os.path.exists(PROGRAM):
        raise Failure(f"{PROGRAM} is not there (run `make all`)", 2)
    image.write_disk(disk, {"EFI/BOOT/BOOTX64.EFI": PROGRAM})


def take(disk, path):
    """The report that a run has left on its disk, copied to `path`."""
    where = f"{disk}@@{image.FIRST_SECTOR * image.SECTOR}"
    run(["mcopy", "-n", "-i", where, "::" + REPORT, path],
        env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
    return show(path)


def load(path):
    """A report; what is none is refused with a sentence."""
    try:
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        if report["version"] != 1 or not report["checks"]:
            raise KeyError("version")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path}: it is no report of the doctor's", 2) \
            from error
    return report


def describe(report):
    """The lines that --show prints."""
    machine = report["machine"]
    name = f"{machine['maker']} {machine['product']}".strip()
    yield f"{name}, {machine['firmware']}, {machine['time']}"
    yield (f"{machine['processor']}, {machine['cpus']} CPUs, "
           f"{machine['memory_mib']} MiB, TSC {machine['tsc_khz']} kHz")
    for item in report["checks"]:
        yield f"{item['verdict']:9} {item['id']:20} {item['what']}"
        if item["found"]:
            yield f"{'':30} {item['found']}"
        if item["advice"]:
            yield f"{'':30} -> {item['advice']}"
            yield f"{'':30}    [{item['manual']}]"
    yield ", ".join(f"{count} {name}"
                    for name, count in report["counts"].items())


def show(path):
    """Prints a report; its exit status."""
    report = load(path)
    for line in describe(report):
        print(line)
    return BROKEN if report["counts"]["failure"] else OK


def _by_id(report):
    return {item["id"]: item for item in report["checks"]}


def _said(item):
    return f"{item['verdict']}: {item['found']}" if item else "no such check"


def differences(one, two):
    """What differs, by check and by CPU's register: (name, one, two). A
    figure that no two runs share counts only if the verdict differs."""
    a, b = _by_id(one), _by_id(two)
    for name in list(a) + [n for n in b if n not in a]:
        first, second = a.get(name), b.get(name)
        same = first and second and first["verdict"] == second["verdict"] \
            and (name in CHANGING or first["found"] == second["found"])
        if not same:
            yield name, _said(first), _said(second)
    for i in range(max(len(one["cpus"]), len(two["cpus"]))):
        regs = [cpus[i] if i < len(cpus) else {}
                for cpus in (one["cpus"], two["cpus"])]
        if not all(regs):
            yield f"CPU {i}", *("there" if r else "not there" for r in regs)
            continue
        for name in regs[0]:
            if regs[0][name] != regs[1].get(name):
                yield (f"CPU {i} {name}", regs[0][name],
                       regs[1].get(name, "not there"))


def compare(paths):
    """Prints the differences; 1 if there are any."""
    found = list(differences(*map(load, paths)))
    for name, one, two in found:
        print(f"{name}\n  {paths[0]}: {one}\n  {paths[1]}: {two}")
    print(f"{len(found)} differences")
    return BROKEN if found else OK


def command(args):
    """`isthmus doctor`."""
    if args.show is not None:
        return show(args.show)
    if args.compare is not None:
        return compare(args.compare)
    with scratch.result(args.out) as out:
        make(out)
    say(f"{args.out}: {os.path.getsize(args.out) >> 20} MiB, the doctor's "
        "stick")
    return 0
