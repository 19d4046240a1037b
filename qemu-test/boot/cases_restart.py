# SPDX-License-Identifier: MIT
"""host-bridge ends, wherever it is just then, and is started again; Linux goes
on. docs/restart.md."""

import os
import re

from cases_failures import manifest as changed
from cases_mutants import OWN
from cases_resets import WANTED, WORKERS, judge, overlay_of
from runner import BOCHS, QEMU, case

HOST = "memory-min-mib = <320>;\n"
LINE = "isthmus: host-bridge was started again, the {}. time: "
ALL = BOCHS + QEMU
NOT_UP = "Linux's side of the channel is not up"
CRASHES = int(os.environ.get("CRASHES") or
              (100 if os.environ.get("TEST_ALL") else 6))
SEED = int(os.environ.get("CRASH_SEED") or 1)


def mutant(t, restarts):
    """The default manifest, with a hypervisor that ends host-bridge when a
    program in Linux wishes it: qemu-test/mutants/restart.c."""
    program = "build/hypervisor/mutant-restart.elf"
    t.tool(["make", "-s", program])
    path = changed(t, OWN, f'{OWN} file = "{program}";')
    with open(path, encoding="utf-8") as f:
        text = f.read()
    t.check(HOST in text, f"the manifest has no '{HOST}'")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(HOST, f"{HOST} restarts = <{restarts}>;\n"))
    return path


def command(console, line):
    """Run when Linux's side of the channel is up again."""
    while NOT_UP in (said := console.run(line)):
        pass
    return said


@case("restart-host", "host-bridge ends three times, Linux runs on; the "
      "fourth time the machine stops", later=BOCHS)
def restart_host(t):
    overlay = t.overlay({"bin/resets": t.guest_program("resets")})
    console = t.console("--manifest", mutant(t, 3), "--overlay", overlay)
    console.ready()
    said = console.run("exec sh -c 'sleep 9999 >/dev/null 2>&1 & echo $!'")
    pid = re.search(r"^(\d+)", said, re.M)[1]
    for n in 1, 2, 3, 4:
        console.send(f"exec setsid resets crash 1 /tmp/o {n} </dev/null "
                     ">/tmp/said 2>&1 &")
        if n == 4:
            break
        console.expect(LINE.format(n))
        said = console.run("log")
        t.check("isthmus: partition host stopped: reason 1 " in said and
                f"started again, for the {n}. time of 3" in said,
                f"the hypervisor's log: {said!r}")
        said = command(console, f"exec sh -c 'kill -0 {pid} && uptime'")
        t.check("load average" in said, f"Linux said {said!r}")
        said = console.run("isolation")
        t.check("isolation holds" in said, f"isolation said {said!r}")
    console.expect("the host partition crashed: reason 1 ")


WORK = f"""\
over=/tmp/over
export HOME=/tmp
mkdir /mnt/host/work
cd /mnt/host/work
{WORKERS}
mkdir hold once
resets hold hold $over &
resets once once $over &
untar &
commits &
rows wal &
rows delete &
resets disk /dev/isthmus0 $over &
sleep 1
resets crash {CRASHES} $over {SEED}
wait
ls
"""


@case("restart-files", "host-bridge ends again and again, in the middle of "
      "tar, git, SQLite, writes to a disk, and with files open, locked, "
      "without a name: nobody notices, nothing is lost", later=ALL)
def restart_files(t):
    overlay = overlay_of(t, "restarts", WORK)
    console = t.console("--manifest", mutant(t, CRASHES), "--overlay", overlay,
                        "--disk", t.path("volume.img"), "--disk-volume",
                        "--disk-size", "512", "--linux-disk", "16",
                        timeout=300 + 30 * CRASHES)
    console.ready()
    judge(t, console, "restarts", CRASHES,
          (*WANTED, "resets: disk right, N turns"))
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    t.tool(["e2fsck", "-fn", t.path("volume.img")])
