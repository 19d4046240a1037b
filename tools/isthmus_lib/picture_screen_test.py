# SPDX-License-Identifier: MIT
"""Tests of `isthmus picture --screen`: text, colours, folds, marks."""

import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import picture_screen  # noqa: E402
from isthmus_lib.common import Failure  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
LOG = ("BdsDxe: loading\r\n\x1b[2J\x1b[01;01H\x1e0123456789abcdefisthmus: one\r\n"
       "\x1b[1m\x1b[31m\x1b[40misthmus: bad <a> & b\r\n\x1b[0m"
       "isthmus: " + "x" * 150 + "\r\n\r\n")


class Screen(unittest.TestCase):
    def drawn(self, text, first=None):
        """(colour, text) of each piece, by row."""
        tree = ElementTree.fromstring("\n".join(
            picture_screen.draw(text, first)))
        return [[(span.get("fill"), span.text) for span in row]
                for row in tree.iter(SVG + "text")]

    def test_rows(self):
        rows = self.drawn(LOG, "isthmus: ")
        self.assertEqual(["".join(t for _, t in row) for row in rows], [
            "isthmus: one", "isthmus: bad <a> & b",
            "isthmus: " + "x" * 91, "x" * 59])

    def test_colours(self):
        rows = self.drawn(LOG, "isthmus: ")
        self.assertEqual([row[0][0] for row in rows], [
            picture_screen.PLAIN, picture_screen.COLOURS[31],
            picture_screen.PLAIN, picture_screen.PLAIN])

    def test_all_of_it(self):
        self.assertEqual(self.drawn(LOG)[0][0][1], "BdsDxe: loading")
        self.assertEqual(self.drawn(""), [])

    def test_file(self):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
            f.write(LOG)
            f.flush()
            self.assertTrue(picture_screen.picture(f.name, None)
                            .endswith("</svg>\n"))
        with self.assertRaises(Failure):
            picture_screen.picture("/none", None)


if __name__ == "__main__":
    unittest.main(verbosity=0)
