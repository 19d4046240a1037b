# SPDX-License-Identifier: MIT
"""What is on a machine's screen, as text: QEMU's picture of it, compared cell
by cell with the font that our terminal draws by."""

import os
import tempfile
import time

from isthmus_lib import font

BLANK = bytes(font.WIDTH)


class Picture:
    """A binary PPM [Netpbm "PPM Format Specification"] as cells."""

    glyphs = None

    def __init__(self, data):
        kind, size, depth, pixels = data.split(b"\n", 3)
        if kind != b"P6" or depth != b"255":
            raise ValueError("no PPM of 8 bits a colour")
        self.width, self.height = map(int, size.split())
        self.pixels = pixels
        self.cols = self.width // font.WIDTH
        self.known = {}
        if not Picture.glyphs:
            Picture.glyphs = {rows: chr(code)
                              for code, rows in font.read().items()}
            Picture.glyphs[(0,) * font.HEIGHT] = " "

    def _cell(self, col, row):
        """The colours of a cell's points, 16 lines of eight, as bytes."""
        line, wide = self.width * 3, font.WIDTH * 3
        at = row * font.HEIGHT * line + col * wide
        return b"".join(self.pixels[at + y * line:at + y * line + wide]
                        for y in range(font.HEIGHT))

    def _read(self, cell):
        """The character of a cell and its colour; "\\0": none of ours. A cell
        of two colours may be a cursor: either may be the ink."""
        colours = sorted({cell[i:i + 3] for i in range(0, len(cell), 3)})
        if len(colours) > 2:
            return "\0", None
        for ink in reversed(colours):
            rows = tuple(
                sum(128 >> x for x in range(font.WIDTH)
                    if cell[(y * font.WIDTH + x) * 3:][:3] == ink)
                for y in range(font.HEIGHT))
            if rows in self.glyphs and len(colours) == 2:
                return self.glyphs[rows], ink
        return (" ", None) if len(colours) == 1 else ("\0", None)

    def at(self, col, row):
        cell = self._cell(col, row)
        if cell not in self.known:
            self.known[cell] = self._read(cell)
        return self.known[cell]

    @property
    def lines(self):
        """Its text; what is no character of ours is a NUL."""
        return ["".join(self.at(col, row)[0] for col in range(self.cols))
                .rstrip(" ") for row in range(self.height // font.HEIGHT)]

    @property
    def text(self):
        return "\n".join(self.lines)

    def colours(self, words):
        """Those of a text's characters where it stands first."""
        for row, line in enumerate(self.lines):
            if words in line:
                at = line.index(words)
                return {self.at(at + i, row)[1]
                        for i, c in enumerate(words) if c != " "}
        return set()


def take(qmp):
    """A picture of now."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "screen.ppm")
        qmp.run("screendump", filename=path)
        with open(path, "rb") as f:
            return Picture(f.read())


SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./"))
NAMES = {" ": "spc", "\n": "ret", "-": "minus", "=": "equal", "/": "slash",
         ".": "dot", ",": "comma", ";": "semicolon", "'": "apostrophe",
         "[": "bracket_left", "]": "bracket_right", "\\": "backslash",
         "`": "grave_accent"}


def type_text(qmp, text):
    """Types on the machine's keyboard, which is American."""
    for char in text:
        plain = SHIFTED.get(char, char.lower())
        keys = [NAMES.get(plain, plain)]
        if plain != char:
            keys.insert(0, "shift")
        qmp.run("send-key", **{"keys": [{"type": "qcode", "data": key}
                                        for key in keys], "hold-time": 20})
        time.sleep(0.04)
