# SPDX-License-Identifier: MIT
"""A guest that does what comes by chance, on both vendors: the answers are the
same, and the partitions are apart afterwards."""

import hashlib
import os
import re
import time

from runner import BUILD, ROOT, case

PROGRAM = "build/guest/payload.bzImage"
SEED = int(os.environ.get("RANDOM_SEED", "1"), 0) % (1 << 32)
# random-long: so many guests, of seeds one after the other, a machine of each
# platform for each.
ROUNDS = int(os.environ.get("RANDOM_ROUNDS", "10"))
STEPS_EACH = 1000000
STEPS = re.compile(r"PAYLOAD (random-\S+ ok \S+)")
# What a guest that hangs would not reach, in seconds of a busy computer.
PATIENCE = 3600


def _answers(t, platform, seed, steps):
    """The sums of all answers, by kinds, at each place where they are told."""
    console = t.console("--platform", platform, "--kernel", PROGRAM,
                        "--append", f"isthmus.test=random:{seed:x}{steps:08x}",
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


def _programs():
    """A number of what runs: answers are kept for the same only."""
    number = hashlib.sha256()
    for name in (PROGRAM, "build/hypervisor/hypervisor.elf"):
        with open(os.path.join(ROOT, name), "rb") as f:
            number.update(f.read())
    return number.hexdigest()[:16]


def _kept(t, platform, seed, steps):
    """_answers(), which an earlier run may have left."""
    folder = os.path.join(BUILD, "random", _programs())
    path = os.path.join(folder, f"{platform}-{seed:x}-{steps}")
    if os.path.exists(path):
        with open(path, encoding="ascii") as f:
            return f.read().splitlines()
    found = _answers(t, platform, seed, steps)
    os.makedirs(folder, exist_ok=True)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("\n".join(found) + "\n")
    os.rename(path + ".new", path)
    return found


def alike(t, seed, steps, answers=_answers):
    on = {platform: answers(t, platform, seed, steps)
          for platform in ("qemu-tcg", "bochs")}
    qemu, bochs = on["qemu-tcg"], on["bochs"]
    t.check(len(qemu) >= 9, f"only {len(qemu)} sums were told")
    wrong = [pair for pair in zip(qemu, bochs) if pair[0] != pair[1]]
    t.check(len(qemu) == len(bochs) and not wrong,
            f"seed {seed:#x}: {len(qemu)} and {len(bochs)} sums; the first "
            f"that differ: {wrong[:9]}")


@case("random", "20,000 random steps of a guest get the same answers on VT-x "
      "and AMD-V", only=())
def random(t):
    alike(t, SEED, 20000)


@case("random-long", "and 10,000,000 of ten guests, or of RANDOM_ROUNDS; begun "
      "anew it goes on where it was", only=())
def random_long(t):
    for n in range(ROUNDS):
        alike(t, (SEED + n) % (1 << 32), STEPS_EACH, _kept)
        t.note = f": {(n + 1) * STEPS_EACH:,} steps on each"
