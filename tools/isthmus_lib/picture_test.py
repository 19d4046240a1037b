# SPDX-License-Identifier: MIT
"""Tests of `isthmus picture`: a known log's numbers are where they belong."""

import json
import os
import random
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import picture  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402

MIB = 2**20
SVG = "{http://www.w3.org/2000/svg}"


def sample(ms, linux=64, exits=0, read=0, name="linux", **more):
    """A `status --json` with these figures: MiB, counts, bytes."""
    told = {"version": 1, "uptime": ms, "time": 0, "platform": "A & B <1>",
            "memory": {"free": 500 * MIB, "hypervisor": 4 * MIB,
                       "channels": 2 * MIB, "host": 40 * MIB,
                       name: linux * MIB, "all": (546 + linux) * MIB},
            "partitions": [
                {"name": "host", "exits": {"hypercall": 2 * exits, "io": 0}},
                {"name": name, "exits": {"hypercall": exits, "io": exits},
                 "channel": {"rx_bytes": 10 * read, "tx_bytes": 0}}],
            "cpus": [{}], "linux_disks": [],
            "disks": [{"name": "nvme0", "read_bytes": read,
                       "written_bytes": 0}]}
    told.update(more)
    return "\x1b[Kisthmus: sample " + json.dumps(told) + "\r\n"


LOG = ("firmware\n" + sample(5000) + "isthmus: stage 68\n" +
       sample(1000, 30, 1000, 0) + sample(2000, 60, 3000, 4 * MIB) +
       sample(2000, 99) +
       "isthmus: sample {\"version\": 1, \"partitions\": [\n" +
       sample(4000, 20, 4000, 4 * MIB))


def drawn(log, title="run"):
    """The picture's texts, and its root."""
    root = ElementTree.fromstring(picture.draw(picture.samples(log), title))
    return ["".join(t.itertext()) for t in root.iter(SVG + "text")], root


class Picture(unittest.TestCase):
    def test_samples(self):
        self.assertEqual([s["uptime"] for s in picture.samples(LOG)],
                         [1000, 2000, 4000])

    def test_figures(self):
        texts, root = drawn(LOG)
        for wanted in ("run", "A & B <1>, 1 CPU, 566 MiB; 3 samples",
                       "memory by owner, MiB; the most is in the list",
                       "linux: 60", "host: 40", "hypervisor: 4",
                       "channels: 2", "hypercall: 6,000", "io: 2,000",
                       "linux to host: 40", "nvme0 read: 4",
                       "seconds since the start"):
            self.assertIn(wanted, texts)
        self.assertNotIn("nvme0 written: 0", texts)
        bands = [p for p in root.iter(SVG + "polygon")
                 if p.find(SVG + "title").text == "linux"]
        points = [tuple(map(float, p.split(",")))
                  for p in bands[0].get("points").split()]
        # Three there, three back; its height is Linux's memory, of a plot
        # that is 125 or 150 MiB high.
        self.assertEqual(len(points), 6)
        height = [points[5 - i][1] - points[i][1] for i in range(3)]
        self.assertAlmostEqual(height[1] / height[0], 2, delta=0.02)
        self.assertAlmostEqual(height[2] / height[0], 2 / 3, delta=0.02)
        x = [p[0] for p in points[:3]]
        self.assertAlmostEqual((x[2] - x[0]) / (x[1] - x[0]), 3, delta=0.02)

    def test_nothing_lies_outside(self):
        _, root = drawn(LOG)
        width, height = int(root.get("width")), int(root.get("height"))
        for shape in root.iter():
            for point in (shape.get("points") or "").split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= width and 0 <= y <= height, point)

    def test_hostile_names(self):
        name = "<script>&\"'\x00\x1b\ud800"
        text = (sample(1000, name=name) + sample(2000, name=name))
        texts, _ = drawn(text, "<b>&\x01")
        self.assertIn("<b>&\ufffd", texts)
        self.assertTrue(any(t.startswith("<script>&\"'\ufffd\ufffd")
                            for t in texts), texts)

    def test_many(self):
        memory = {"free": 0, "all": 90 * MIB}
        memory.update({f"l{n}": n * MIB for n in range(1, 16)})
        texts, root = drawn(sample(1000, memory=memory) +
                            sample(2000, memory=memory))
        self.assertIn("l15: 15", texts)
        self.assertIn("others: 36", texts)
        fills = {p.get("fill") for p in root.iter(SVG + "polygon")}
        self.assertLessEqual(fills, set(picture.COLOURS))

    def test_axes(self):
        random.seed(1)
        for most in [0, 1, 5, 5.1, 0.001] + \
                [10 ** random.uniform(-6, 12) for _ in range(1000)]:
            step = picture.nice(most)
            self.assertGreaterEqual(step * picture.TICKS, most)
            self.assertLess(step * picture.TICKS, max(most * 2.6, 1))
            self.assertRegex(f"{step:e}", r"^[125]\.0+e")

    def test_too_few(self):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as f:
            f.write(sample(1000))
            f.flush()
            with self.assertRaisesRegex(Failure, "has 1 samples"):
                picture.picture(f.name, "x")
        with self.assertRaisesRegex(Failure, "No such file"):
            picture.picture("/nonexistent", "x")

    def test_other_version(self):
        with self.assertRaisesRegex(Failure, "version 2"):
            picture.samples(sample(1, version=2))


if __name__ == "__main__":
    unittest.main()
