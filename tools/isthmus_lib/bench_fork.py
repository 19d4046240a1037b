# SPDX-License-Identifier: MIT
"""`tools/bench --fork`: what a template's children cost, in instructions of
the whole machine, but for those of an idle processor."""

import json
import re

from isthmus_lib.bench_net import Console
from isthmus_lib.common import Failure

# Beside the default manifest's Linux, which has as much.
CHILD = """
/ {
	partitions {
		linux {
			memory-mib = <128>;
		};
		child {
			id = <2>;
			on-demand;
			vcpus = <1>;
			memory-mib = <128>;
			memory-min-mib = <4>;
			forward-ports = <0x3f8 0x3ff 0xcf8 0xcff 0x600 0x60f>;
			kernel = "kernel";
			initrd = "initrd";
			bootargs = "";
		};
	};
	channels {
		files-child {
			peers = <0 2>;
			output-kib = <1028>;
		};
	};
};
"""
TIMES = 20
TICKS_PER_US = 1000             # of QEMU's, when it counts instructions
# (figure, must, aim), and what it is.
FIGURES = (
    ("fork_told", None, None, "until a child's agent knows who it is, with "
     "what is waited for"),
    ("sandbox_true", 10_000_000, 3_000_000,
     "a child, a command in it, and the child's end"),
    ("save_template", None, None, "linux save, to a volume in memory, with "
     "the console's line"),
    ("restore_template", None, None, "linux restore of it"),
    ("child_kib", None, None, "memory of a child, tables included"),
    ("child_tables_kib", 1024, None, "of it, what is no pages of its own"),
)


def _number(value):
    return "" if value is None else f"{value:,}"


def _status(console):
    return json.loads(re.search(r"\{.*\}", console.run("status --json"))[0])


def _busy(console):
    """Ticks so far in which the processor was not idle, to a million."""
    cpu, = _status(console)["cpus"]
    return (cpu["up"] - cpu["idle"]) * 1000 * TICKS_PER_US


def _said(console, line, pattern):
    """What a command must say."""
    said = console.run(line)
    found = re.search(pattern, said)
    if not found:
        raise Failure(f"{line}: {said!r}")
    return found


def _figures(console):
    """{figure: value}"""
    told = []
    _said(console, "linux freeze linux", "is a template now")
    for _ in range(TIMES // 4):
        found = _said(console, "linux fork linux child", r"was, (\d+) us")
        told.append(int(found[1]) * TICKS_PER_US)
        _said(console, "linux stop child", "has shut down")
    before = _busy(console)
    looking = _busy(console) - before
    for _ in range(TIMES):
        _said(console, "sandbox true", "exit status 0")
    ticks = _busy(console) - before - 2 * looking
    _said(console, "linux fork linux child", "us later")
    child, = (p for p in _status(console)["partitions"]
              if p["name"] == "child")
    _said(console, "linux stop child", "has shut down")
    saved = []
    for line, pattern in (("save linux t", "is saved in t"),
                          ("stop linux", "no template any more"),
                          ("restore t", "is a template again, from t")):
        before = _busy(console)
        _said(console, f"linux {line}", pattern)
        saved.append(_busy(console) - before - looking)
    return {"fork_told": min(told), "sandbox_true": ticks / TIMES,
            "save_template": saved[0], "restore_template": saved[2],
            "child_kib": child["memory"] / 1024,
            "child_tables_kib": (child["memory"] - child["populated"]) / 1024}


def measure(options, manifest, overlay):
    """Prints the table; `options` of the platform's. Whether all that must be
    reached is."""
    with open(manifest, "a", encoding="utf-8") as f:
        f.write(CHILD)
    console = Console([*options, "--smp", "1", "--manifest", manifest,
                       "--overlay", overlay])
    found = _figures(console)
    console.close()
    reached = True
    print(f"{'ticks, or KiB':20} {'Isthmus':>11} {'must':>11} {'aim':>11}")
    for name, must, aim, what in FIGURES:
        value = found[name]
        missed = must is not None and value > must
        reached = reached and not missed
        print(f"{name:20} {value:11,.0f} {_number(must):>11} "
              f"{_number(aim):>11}  {'MISSED: ' if missed else ''}{what}")
    return reached
