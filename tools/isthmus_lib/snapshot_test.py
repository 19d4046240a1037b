# SPDX-License-Identifier: MIT
"""Tests of what is made of a state that Bochs has saved."""

import json
import os
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import snapshot  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402

SEGMENT = """  {name} = {{
    selector = {selector:#x}
    valid = 0x00000001
    p = true
    dpl = 0x00
    segment = {s}
    type = 0x0b
    base = {base:#x}
    limit_scaled = 0xffffffff
    granularity = true
    d_b = false
{long}    avl = false
  }}
"""


def cpu_state():
    """cpu0 as Bochs 2.7 writes it, with another number in each place."""
    lines, number = ["cpu0 = {", "  icount = 1000", "  tsc_adjust = 0x18"], 0
    groups = {}
    for where in snapshot.REGISTERS.values():
        number += 1
        group = groups.setdefault(where[0], []) if len(where) > 1 else lines
        group.append(f"  {where[-1]} = {number:#x}")
    groups["local_apic"] = ["  task_priority = 0x00000050"]
    groups["VMX"] = ["  vmcsptr = 0x2000", "  in_vmx = true"]
    for i in range(8):
        groups["FPU"] += [f"  st{i} = {{", f"    exp = {i:#06x}",
                          "    fraction = 0x0", "  }"]
    for name in ("GDTR", "IDTR"):
        groups[name] = ["  base = 0xfffff000", "  limit = 0x0027"]
    for name, inside in groups.items():
        lines += [f"  {name} = {{", *("  " + line for line in inside), "  }"]
    text = "\n".join(lines) + "\n"
    for i, name in enumerate(snapshot.SEGMENTS):
        system = name in ("tr", "ldtr")
        text += SEGMENT.format(
            name=name.upper(), selector=8 * i, base=i << 12,
            s="false" if system else "true",
            long="" if system else "    l = true\n")
    return text + "}\n"


class Snapshot(unittest.TestCase):
    """A small state, as it is made into files."""

    def setUp(self):
        # pylint: disable=consider-using-with
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.state = os.path.join(self.scratch.name, "state")
        self.out = os.path.join(self.scratch.name, "out")
        os.mkdir(self.state)
        self.write("cpu0", cpu_state().encode())
        self.write("memory.ram", b"first".ljust(0x2000, b"\0") +
                   b"the VMCS".ljust(0x1000, b"\0") + b"last")

    def write(self, name, data):
        with open(os.path.join(self.state, name), "wb") as f:
            f.write(data)

    def read(self, name):
        with open(os.path.join(self.out, name), "rb") as f:
            return f.read()

    def test_registers(self):
        """Each comes from its own place."""
        snapshot.convert(self.state, 1, self.out)
        regs = json.loads(self.read("regs.json"))
        for number, key in enumerate(snapshot.REGISTERS, 1):
            self.assertEqual(regs[key], hex(number), key)
        self.assertEqual(regs["tsc"], hex(1024))
        self.assertEqual(regs["cr8"], "0x5")
        self.assertEqual(regs["cs"], {
            "present": True, "selector": "0x8", "base": "0x1000",
            "limit": "0xffffffff", "attr": "0xa09b"})
        self.assertEqual(regs["tr"]["attr"], "0x808b")
        self.assertEqual(regs["gdtr"], {"base": "0xfffff000",
                                        "limit": "0x27"})
        self.assertEqual(regs["fpst"][3], {"fraction": "0x0", "exp": "0x3"})

    def test_memory(self):
        """All of it, behind a header of 8 KiB; and the VMCS."""
        snapshot.convert(self.state, 1, self.out)
        dump = self.read("mem.dmp")
        self.assertEqual(len(dump), snapshot.HEADER + (1 << 20))
        self.assertEqual(dump[:8], b"PAGEDU64")
        self.assertEqual(struct.unpack_from("<IIQQQ", dump, 0x88),
                         (1, 0, 256, 0, 256))
        self.assertEqual(struct.unpack_from("<I", dump, 0xf98), (1,))
        memory = dump[snapshot.HEADER:]
        self.assertEqual(memory[:5], b"first")
        self.assertEqual(memory[0x3000:0x3005], b"last\0")
        self.assertEqual(self.read("vmcs.bin"),
                         b"the VMCS".ljust(4096, b"\0"))
        self.assertEqual(json.loads(self.read("vmcs.json")),
                         {"vmcsptr": 0x2000, "in_vmx": 1})

    def test_none(self):
        """What is no state is refused."""
        self.write("cpu0", b"cpu1 = {\n}\n")
        with self.assertRaisesRegex(Failure, "no state"):
            snapshot.convert(self.state, 1, self.out)


if __name__ == "__main__":
    unittest.main()
