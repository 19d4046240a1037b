# SPDX-License-Identifier: MIT
"""Tests of `isthmus picture --isolation`: each piece of a known document is
where it belongs."""

import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import picture_isolation as drawing  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402

MIB = 2**20
SVG = "{http://www.w3.org/2000/svg}"


def piece(physical, size, rights="rwx", at=0):
    return {"at": at, "size": size, "physical": physical, "rights": rights}


# A channel of the first and the third, at 8 MiB; a device far above.
PARTITIONS = [
    {"id": 0, "name": "host",
     "memory": [piece(0, 2 * MIB), piece(2 * MIB, 2 * MIB),
                piece(8 * MIB, MIB, "rw-"),
                piece(3072 * MIB, 4096, "rw-")]},
    {"id": 1, "name": "a <1>", "memory": [piece(4 * MIB, 2 * MIB)]},
    {"id": 2, "name": "b", "memory": [piece(8 * MIB, MIB, "r--"),
                                      piece(6 * MIB, 4096)]}]


def document(partitions=None, **more):
    """A line of the console, as `isolation --json` prints it."""
    told = {"version": 1, "uptime": 1, "time": 0, "holds": True,
            "violation": "", "manifest": "0123456789abcdef",
            "memory": 9 * MIB, "ticks": 5, "more": False,
            "partitions": PARTITIONS if partitions is None else partitions}
    told.update(more)
    return "host> " + json.dumps(told) + "\r\n"


def drawn(log, title="run"):
    """The picture's root."""
    return ElementTree.fromstring(
        drawing.draw(drawing.last_document(log), title))


def boxes(root, kind):
    """{title: (x, y, width, height)}; of a join, all its parts."""
    found = {}
    for rect in root.iter(SVG + "rect"):
        if rect.get("class") == kind:
            place = tuple(float(rect.get(k))
                          for k in ("x", "y", "width", "height"))
            found.setdefault((rect.find(SVG + "title").text,
                              place[0] if kind == "piece" else None),
                             []).append(place)
    return found


class Picture(unittest.TestCase):
    def test_pieces(self):
        found = boxes(drawn(document()), "piece")
        self.assertEqual(len(found), 6)
        host = found["0x0 to 0x3fffff, 4 MiB, rwx", drawing.left(0)][0]
        other = found["0x400000 to 0x5fffff, 2 MiB, rwx", drawing.left(1)][0]
        # One scale for all columns: b lies where a ends, and half as high.
        self.assertAlmostEqual(host[1] + host[3], other[1], delta=0.11)
        self.assertAlmostEqual(host[3], 2 * other[3], delta=0.21)
        small = found["0x600000 to 0x600fff, 4 KiB, rwx", drawing.left(2)][0]
        self.assertEqual(small[3], drawing.THIN)

    def test_shared(self):
        root = drawn(document())
        joined = boxes(root, "join")
        self.assertEqual(list(joined), [
            ("host and b: 0x800000 to 0x8fffff, 1 MiB", None)])
        parts = list(joined.values())[0]
        self.assertEqual([p[0] for p in parts],
                         [drawing.left(n) + drawing.COLUMN for n in (0, 1)])
        pieces = boxes(root, "piece")
        self.assertEqual(
            parts[0][1], pieces["0x800000 to 0x8fffff, 1 MiB, rw-",
                                drawing.left(0)][0][1])

    def test_stretches_of_nobody_are_cut_out(self):
        scale = drawing.Scale(PARTITIONS)
        self.assertEqual(scale.segments, [(0, 9 * MIB),
                                          (3072 * MIB, 3072 * MIB + 4096)])
        with self.assertRaises(ValueError):
            scale.y(1024 * MIB)

    def test_the_last_counts(self):
        log = document() + document(holds=False, violation="a: W <&> X") + \
            '{"version": 1, "holds": true, "partitions": [\n' + \
            document([{"name": 1, "memory": [[1, 2]]}])
        texts = ["".join(t.itertext()) for t in drawn(log).iter(SVG + "text")]
        self.assertIn("ISOLATION IS BROKEN: a: W <&> X; manifest "
                      "0123456789abcdef", texts)
        self.assertIn("a <1>", texts)

    def test_nothing_lies_outside(self):
        many = [dict(PARTITIONS[0], id=n, name=f"l{n}") for n in range(20)]
        root = drawn(document(many))
        width, height = int(root.get("width")), int(root.get("height"))
        for kind in ("piece", "join"):
            for places in boxes(root, kind).values():
                for x, y, w, h in places:
                    self.assertTrue(0 <= x and x + w <= width and 0 <= y and
                                    y + h <= height, (x, y, w, h))

    def test_none(self):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as f:
            f.write("isthmus: isolation holds\n")
            f.flush()
            with self.assertRaisesRegex(Failure, "isolation --json"):
                drawing.picture(f.name, "x")
        with self.assertRaisesRegex(Failure, "No such file"):
            drawing.picture("/nonexistent", "x")
        with self.assertRaisesRegex(Failure, "no memory"):
            drawn(document([]))
        with self.assertRaisesRegex(Failure, "version 2"):
            drawing.last_document(document(version=2))


if __name__ == "__main__":
    unittest.main()
