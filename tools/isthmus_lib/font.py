# SPDX-License-Identifier: MIT
"""The font of the screen, text/font.txt: for the build, and for tests that
read what is on a screen."""

import os

from isthmus_lib.common import ROOT, Failure

FONT = os.path.join(ROOT, "text", "font.txt")
WIDTH, HEIGHT = 8, 16
SPECIALS = 32                   # pictures of what is not ASCII come first


def _code(name):
    return int(name[2:], 16) if name.startswith("U+") else ord(name)


def read(path=FONT):
    """Code points and their pictures, each a tuple of 16 numbers of 8 bits,
    the leftmost point the highest; in the file's order."""
    glyphs, rows = {}, None
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    for number, line in enumerate(lines, 1):
        head = line.split()
        if rows is not None and line.startswith("= ") and len(head) == 3 or \
                rows is None and line.startswith("="):
            rows = [0] * int(head[2])
            code = _code(head[1])
            if code in glyphs:
                raise Failure(f"{path}:{number}: {head[1]} is there twice")
            glyphs[code] = rows
        elif rows is not None:
            if set(line) - set("#.") or len(line) > WIDTH or \
                    len(rows) == HEIGHT:
                raise Failure(f"{path}:{number}: no row of a picture")
            rows.append(int(line.ljust(WIDTH, ".").replace(".", "0")
                            .replace("#", "1"), 2))
    return {code: tuple(rows + [0] * (HEIGHT - len(rows)))
            for code, rows in glyphs.items()}


def source(glyphs):
    """The same as C: see text/fbtext.h."""
    special = [code for code in glyphs if code > 0x7e]
    missing = [chr(c) for c in range(0x21, 0x7f) if c not in glyphs]
    if missing or len(special) > SPECIALS:
        raise Failure(f"{FONT}: without {missing}, or too many others")
    glyphs = dict(glyphs)
    glyphs[0x20] = (0,) * HEIGHT
    order = special + [None] * (SPECIALS - len(special)) + \
        list(range(0x20, 0x7f))
    blank = (0,) * HEIGHT
    rows = "".join(
        "\t{ " + ", ".join(f"0x{row:02x}" for row in glyphs.get(c, blank))
        + " },\n" for c in order)
    return ('/* Made by tools/make-font from text/font.txt. */\n'
            '#include "text/fbtext.h"\n\n'
            "const uint16_t fbtext_specials[FBTEXT_SPECIALS] = {\n\t"
            + ", ".join(f"0x{c:04x}" for c in special) + "\n};\n\n"
            "const uint8_t fbtext_font[FBTEXT_GLYPHS][FBTEXT_HEIGHT] = {\n"
            + rows + "};\n")
