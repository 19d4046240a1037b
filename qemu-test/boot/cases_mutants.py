# SPDX-License-Identifier: MIT
"""Hypervisors with one thing made wrong: what must never happen in the real
one is seen and told."""

import os

from runner import PROMPT, QEMU, ROOT, case

OURS = "build/hypervisor/hypervisor.elf"
MAGIC = b"HMUSBOOT"
OWN = 'path = "\\\\isthmus\\\\hypervisor.elf";'


def manifest(t, name):
    """The default manifest with that mutant for a hypervisor."""
    mutant = f"build/hypervisor/{name}.elf"
    t.tool(["make", "-s", mutant])
    return with_hypervisor(t, mutant)


def with_hypervisor(t, path):
    with open(os.path.join(ROOT, "boot", "isthmus.dts"),
              encoding="utf-8") as f:
        text = f.read()
    t.check(OWN in text, f"the manifest has no '{OWN}'")
    changed = t.path("mutant.dts")
    with open(changed, "w", encoding="utf-8") as f:
        f.write(text.replace(OWN, f'{OWN} file = "{path}";'))
    return changed


@case("entry-fail", "a VM entry that is refused names the field; the host "
      "partition goes on", only=("bochs",),
      why="the mutant is of the VT-x backend")
def entry_fail(t):
    console = t.console("--manifest", manifest(t, "mutant-entry_fail"))
    crash = console.expect(r"Linux crashed: [^\n]*\n")[0]
    console.send("linux stop")
    console.expect(PROMPT)
    said = console.run("log")
    t.check("VM entry refused: GUEST_TR_AR is 0x89, must be a busy TSS"
            in said, f"the log does not name the field: {said[-3000:]}")
    t.check(said.count("VM entry refused") == said.count("GUEST_TR_AR is"),
            f"other fields are named too: {said[-3000:]}")
    t.check("VM entry" in crash, f"the console says only: {crash}")
    # The host partition's own entries are not the mutant's.
    t.check(console.state("host") == "running", "no host after the crash")
    console.send("poweroff")
    # Powered off as asked, but Linux never came up.
    status = console.finish()
    t.check(status == 125, f"the tool ended with status {status}")


def stops(t, sentence, *options):
    """The hypervisor's start-up ends with this sentence."""
    result = t.boot("--exec", "true", *options, timeout=100)
    t.check(result.status == 125, f"status {result.status}, expected 125\n"
            f"{result.err}")
    t.check(sentence in result.serial, f"expected '{sentence}':\n"
            + result.serial[-2000:])
    t.check("isthmus: not finished after" not in result.err,
            "the machine did not say that it stopped")


@case("stuck", "a start-up that hangs, a CPU that does not answer, an early "
      "exception, a hypervisor of another build: none is silent",
      only=QEMU, why="four machines of a minute and a half each on Bochs")
def stuck(t):
    mutant = manifest(t, "mutant-stuck")
    stops(t, "FAILED stage 42 page owners set up: the next stage has not been "
          "reached in 20 s: CPU 0 hangs at 0xffffffff8", "--manifest", mutant)
    stops(t, "FAILED stage 44 cpus: the CPU with APIC id 1 does not answer",
          "--smp", "2", "--manifest", mutant)
    stops(t, "PANIC in the hypervisor: exception 6 error 0x0 at 0xffffffff8",
          "--smp", "3", "--manifest", mutant)
    with open(os.path.join(ROOT, OURS), "rb") as f:
        image = f.read()
    t.check(image.count(MAGIC) == 1, "where is BOOT_INFO_MAGIC?")
    other = t.path("other.elf")
    with open(other, "wb") as f:
        f.write(image.replace(MAGIC, MAGIC[::-1]))
    stops(t, "FAILED stage 40 hypervisor entered: the loader is of another "
          "version", "--manifest", with_hypervisor(t, other))
