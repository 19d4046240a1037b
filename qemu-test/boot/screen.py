# SPDX-License-Identifier: MIT
"""A terminal that a test can look at: as much of ECMA-48 as `top` uses, and no
more, so that anything else is seen as wrong."""

import re

SEQUENCE = re.compile(r"\x1b(?:\[(\??[\d;]*)([A-Za-z])|([78]))")


class Screen:
    """Text goes in; `rows` is what a person sees. Its owner sends `answers`
    back, which the terminal has for who asks where the cursor is."""

    def __init__(self, rows, cols):
        self.size = (rows, cols)
        self.cells = [[" "] * cols for _ in range(rows)]
        self.row = self.col = 0
        self.kept = (0, 0)
        self.other = None           # the screen that is covered
        self.hidden = False         # the cursor
        self.left = ""              # a sequence whose end has not come
        self.answers = ""
        self.asked = 0              # times
        self.unknown = []
        self.overflows = 0          # lines that were too long, or too many

    @property
    def rows(self):
        return ["".join(row).rstrip() for row in self.cells]

    def resize(self, rows, cols):
        """As terminals do it: what is there stays where it is."""
        cells = [[" "] * cols for _ in range(rows)]
        for old, new in zip(self.cells, cells):
            new[:min(len(old), cols)] = old[:cols]
        self.cells, self.size = cells, (rows, cols)
        self.row, self.col = min(self.row, rows - 1), min(self.col, cols - 1)

    def feed(self, text):
        text = self.left + text
        self.left = ""
        while text:
            if text[0] != "\x1b":
                self._put(text[0])
                text = text[1:]
                continue
            found = SEQUENCE.match(text)
            if not found:
                if len(text) < 16:
                    self.left = text
                    return
                self.unknown.append(text[:16])
                text = text[1:]
                continue
            self._obey(found)
            text = text[found.end():]

    def _down(self):
        if self.row + 1 < self.size[0]:
            self.row += 1
            return
        self.cells = self.cells[1:] + [[" "] * self.size[1]]
        self.overflows += self.other is not None

    def _put(self, char):
        if char == "\r":
            self.col = 0
        elif char == "\n":
            self._down()
        elif char == "\b":
            self.col = max(self.col - 1, 0)
        elif char >= " ":
            if self.col == self.size[1]:
                self.overflows += self.other is not None
                self.col = 0
                self._down()
            self.cells[self.row][self.col] = char
            self.col += 1

    def _clear(self, row, col):
        # A cursor behind the last column is on it, and what is there goes.
        col = min(col, self.size[1] - 1)
        self.cells[row][col:] = [" "] * (self.size[1] - col)

    def _obey(self, found):
        params, final, plain = found.groups()
        rows, cols = self.size
        if plain == "7":
            self.kept = (self.row, self.col)
        elif plain == "8":
            self.row, self.col = self.kept
        elif final == "H":
            at = [int(p or 1) for p in (params or "1;1").split(";")]
            self.row = min(at[0], rows) - 1
            self.col = min(at[1], cols) - 1
        elif final == "K":
            self._clear(self.row, self.col)
        elif final == "J":
            self._clear(self.row, self.col)
            for row in range(self.row + 1, rows):
                self._clear(row, 0)
        elif (params, final) == ("6", "n"):
            self.asked += 1
            self.answers += f"\x1b[{self.row + 1};{self.col + 1}R"
        elif (params, final) == ("?1049", "h"):
            self.other = (self.cells, self.row, self.col)
            self.cells = [[" "] * cols for _ in range(rows)]
        elif (params, final) == ("?1049", "l"):
            old = self.other
            self.other = None
            self.cells, self.row, self.col = old
            self.resize(rows, cols)
        elif params == "?25":
            self.hidden = final == "l"
        elif final == "C":
            self.col = min(self.col + int(params or 1), cols - 1)
        elif final == "D":
            self.col = max(self.col - int(params or 1), 0)
        else:
            self.unknown.append(found[0])
