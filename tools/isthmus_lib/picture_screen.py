# SPDX-License-Identifier: MIT
"""Draws what a machine said on its serial line, with the colours that it gave
it, as an SVG: `isthmus picture --screen`, for the pictures of docs/."""

import re
from xml.sax.saxutils import escape

from isthmus_lib.common import Failure

WIDTH, HEIGHT = 7.3, 15         # of a character, in pixels
MARGIN = 12
COLUMNS = 100                   # longer lines are folded, as a screen does it
COLOURS = {30: "#888888", 31: "#ff6b68", 32: "#6cd080", 33: "#f2c55c",
           34: "#7aa6f0", 35: "#d48fe0", 36: "#67c8cf", 37: "#d8d8d8"}
PLAIN = COLOURS[37]
# A sequence of a terminal, or a mark before a line of ours (machine.py).
SEQUENCE = re.compile(r"\x1b\[([0-9;?=]*)([A-Za-z])|[\x00-\x08\x0b-\x1f\x7f]")
SKIP = re.compile(r"\x1e[0-9a-f]{16}")


def pieces(text):
    """The lines of a text, each a list of (colour, characters)."""
    colour, line = PLAIN, []
    for raw in SKIP.sub("", text.replace("\r", "")).split("\n"):
        at = 0
        for found in SEQUENCE.finditer(raw):
            line.append((colour, raw[at:found.start()]))
            at = found.end()
            if found[2] == "m":
                for code in (found[1] or "0").split(";"):
                    code = int(code or 0)
                    colour = COLOURS.get(code, PLAIN if code == 0 else colour)
        line.append((colour, raw[at:]))
        yield [(c, t) for c, t in line if t]
        line = []


def folded(line):
    """A line cut into rows of COLUMNS characters."""
    row, left = [], COLUMNS
    for colour, text in line:
        while text:
            row.append((colour, text[:left]))
            text, left = text[left:], left - len(text[:left])
            if not left:
                yield row
                row, left = [], COLUMNS
    yield row


def plain(line):
    return "".join(text for _, text in line)


def chosen(lines, first):
    """Those from the first that has the text `first`."""
    inside = first is None
    for line in lines:
        inside = inside or first in plain(line)
        if inside:
            yield line


def draw(text, first=None):
    """The SVG, in lines."""
    rows = [row for line in chosen(pieces(text), first)
            for row in folded(line)]
    while rows and not plain(rows[-1]).strip():
        rows.pop()
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    height = len(rows) * HEIGHT + 2 * MARGIN
    yield "<!-- SPDX-License-Identifier: MIT -->"
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
           f'height="{height}" viewBox="0 0 {width} {height}">')
    yield f'<rect width="{width}" height="{height}" rx="6" fill="#101418"/>'
    yield ('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
           'font-size="12" xml:space="preserve">')
    for number, row in enumerate(rows):
        y = MARGIN + (number + 1) * HEIGHT - 4
        spans = "".join(f'<tspan fill="{colour}">{escape(part)}</tspan>'
                        for colour, part in row)
        yield f'<text x="{MARGIN}" y="{y}">{spans}</text>'
    yield "</g>"
    yield "</svg>"


def picture(path, first):
    """The SVG of a log, from the line on that has the text `first`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            lines = list(draw(f.read(), first))
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    return "\n".join(lines) + "\n"
