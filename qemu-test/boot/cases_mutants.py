# SPDX-License-Identifier: MIT
"""Hypervisors with one thing made wrong: what must never happen in the real
one is seen and told."""

import os

from runner import PROMPT, ROOT, case

MUTANT = "build/hypervisor/hypervisor-entry-fail.elf"
OWN = 'path = "\\\\isthmus\\\\hypervisor.elf";'


@case("entry-fail", "a VM entry that is refused names the field; the host "
      "partition goes on", only=("bochs",),
      why="the mutant is of the VT-x backend")
def entry_fail(t):
    t.tool(["make", "--no-print-directory", MUTANT])
    with open(os.path.join(ROOT, "boot", "isthmus.dts"),
              encoding="utf-8") as f:
        text = f.read()
    t.check(OWN in text, f"the manifest has no '{OWN}'")
    manifest = t.path("mutant.dts")
    with open(manifest, "w", encoding="utf-8") as f:
        f.write(text.replace(OWN, f'{OWN} file = "{MUTANT}";'))
    console = t.console("--manifest", manifest)
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
