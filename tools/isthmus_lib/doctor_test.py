# SPDX-License-Identifier: MIT
"""Tests of what is made of the doctor's reports."""

import contextlib
import copy
import io
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import doctor  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402


def item(name, verdict="ok", found="0x1", advice=""):
    return {"id": name, "verdict": verdict, "what": f"what {name} is",
            "found": found, "advice": advice, "manual": "SDM3 \"X\""}


REPORT = {
    "version": 1,
    "machine": {"maker": "M", "product": "P", "firmware": "F",
                "processor": "C", "time": "2026-11-30 12:00:00", "cpus": 2,
                "tsc_khz": 3000000, "memory_mib": 4096},
    "counts": {"ok": 2, "warning": 0, "failure": 1, "not there": 0},
    "checks": [item("uefi"), item("virt", "failure", "none", "Turn it on."),
               item("tsc-rate", found="3000000 kHz")],
    "cpus": [{"apic_id": "0x0", "cr4": "0x668"},
             {"apic_id": "0x1", "cr4": "0x668"}],
    "memory": [], "pci": []}


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, report, name="a.json"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(report if isinstance(report, str) else json.dumps(report))
        return path

    def shown(self, function, *args):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = function(*args)
        return status, out.getvalue()

    def test_show(self):
        status, text = self.shown(doctor.show, self.write(REPORT))
        self.assertEqual(status, doctor.BROKEN)
        self.assertIn("failure   virt ", text)
        self.assertIn("-> Turn it on.", text)
        self.assertIn("2 ok, 0 warning, 1 failure, 0 not there", text)
        good = copy.deepcopy(REPORT)
        good["counts"]["failure"] = 0
        self.assertEqual(self.shown(doctor.show, self.write(good))[0],
                         doctor.OK)

    def test_no_report(self):
        for text in ("", "[]", "{}", "{\"version\": 2}", "null", "{",
                     "{\"version\": 1, \"checks\": []}"):
            with self.assertRaises(Failure) as raised:
                doctor.load(self.write(text))
            self.assertIn("no report", str(raised.exception))
        with self.assertRaises(Failure):
            doctor.load(os.path.join(self.folder.name, "none"))

    def test_same(self):
        other = copy.deepcopy(REPORT)
        other["machine"]["time"] = "2027-01-01 00:00:00"
        other["checks"][2]["found"] = "3000001 kHz"     # of the day
        status, text = self.shown(doctor.compare, [self.write(REPORT),
                                                   self.write(other, "b")])
        self.assertEqual((status, text), (doctor.OK, "0 differences\n"))

    def test_differences(self):
        other = copy.deepcopy(REPORT)
        other["checks"][0]["found"] = "0x2"
        other["checks"][1]["verdict"] = "ok"
        other["checks"][2]["verdict"] = "failure"
        other["checks"].append(item("new"))
        other["cpus"][1]["cr4"] = "0x2668"
        other["cpus"].append({"apic_id": "0x2"})
        found = dict((name, (a, b)) for name, a, b
                     in doctor.differences(REPORT, other))
        self.assertEqual(list(found), ["uefi", "virt", "tsc-rate", "new",
                                       "CPU 1 cr4", "CPU 2"])
        self.assertEqual(found["uefi"], ("ok: 0x1", "ok: 0x2"))
        self.assertEqual(found["new"], ("no such check", "ok: 0x1"))
        self.assertEqual(found["CPU 1 cr4"], ("0x668", "0x2668"))
        self.assertEqual(found["CPU 2"], ("not there", "there"))
        self.assertEqual(self.shown(doctor.compare, [
            self.write(REPORT), self.write(other, "b")])[0], doctor.BROKEN)


if __name__ == "__main__":
    unittest.main(verbosity=0)
