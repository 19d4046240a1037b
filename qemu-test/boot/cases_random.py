# SPDX-License-Identifier: MIT
"""A guest that does what comes by chance, on both vendors: the answers are the
same, and the partitions are apart afterwards."""

import os
import re
import time

from runner import case

PROGRAM = "build/guest/payload.bzImage"
SEED = int(os.environ.get("RANDOM_SEED", "1"), 0) % (1 << 32)
STEPS = re.compile(r"PAYLOAD (random-\S+ ok \S+)")
# What a guest that hangs would not reach, in seconds of a busy computer.
PATIENCE = 3600


def _answers(t, platform, steps):
    """The sums of all answers, by kinds, at each place where they are told."""
    console = t.console("--platform", platform, "--kernel", PROGRAM,
                        "--append", f"isthmus.test=random:{SEED:x}{steps:08x}",
                        timeout=60 + steps // 1000)
    console.expect("isthmus> ")
    log, end = t.path(f"linux-{t.runs}.log"), time.monotonic() + PATIENCE
    text = ""
    while "PAYLOAD end" not in text and time.monotonic() < end:
        t.check(console.process.poll() is None,
                f"{platform}: the machine ended:\n{console.seen[-2000:]}")
        time.sleep(0.5)
        with open(log, encoding="utf-8", errors="replace") as f:
            text = f.read()
    t.check("PAYLOAD end" in text, f"{platform}: the guest is not at its end")
    said = console.run("isolation")
    t.check("isolation holds" in said, f"{platform}: {said}")
    t.check("running" in console.state(), f"{platform}: the guest has ended")
    console.send("poweroff")
    console.finish()
    return STEPS.findall(text)


def alike(t, steps):
    on = {platform: _answers(t, platform, steps)
          for platform in ("qemu-tcg", "bochs")}
    qemu, bochs = on["qemu-tcg"], on["bochs"]
    t.check(len(qemu) >= 9, f"only {len(qemu)} sums were told")
    wrong = [pair for pair in zip(qemu, bochs) if pair[0] != pair[1]]
    t.check(len(qemu) == len(bochs) and not wrong,
            f"{len(qemu)} and {len(bochs)} sums; the first that differ: "
            f"{wrong[:9]}")


@case("random", "20,000 random steps of a guest get the same answers on VT-x "
      "and AMD-V", only=())
def random(t):
    alike(t, 20000)


@case("random-long", "and 10,000,000", only=())
def random_long(t):
    alike(t, 10000000)
