# SPDX-License-Identifier: MIT
"""`isthmus picture --isolation`: draws who reaches which memory, as an SVG,
from what `isolation --json` told in a log. Physical memory goes down the
page; each partition is a column, with its pieces at their heights: what lies
at one height in two columns is shared, and a line joins it."""

import json
import re

from isthmus_lib.common import Failure
from isthmus_lib.picture import COLOURS, STYLE, text_of

VERSION = 1
DOCUMENT = re.compile(r'\{"version": .*\}')
WIDTH, LEFT, TOP, BOTTOM = 960, 150, 84, 60
COLUMN, SPACE = 110, 40
SEGMENT_GAP = 16 << 20          # where nobody has anything, this is cut out
GAP, PLOT, LEAST = 26, 720, 14  # a cut; all segments; the smallest of them
THIN = 1.5                      # a page is seen
# What a piece may do: its colour, and what the legend says.
RIGHTS = (("rwx", "#D55E00", "read, written, executed"),
          ("rw-", "#0072B2", "read and written"),
          ("r-x", "#009E73", "read and executed"),
          ("r--", "#F0E442", "read"))
OTHER = "#999999"


def last_document(text):
    """What `isolation --json` told last, or None."""
    found = None
    for line in text.splitlines():
        match = DOCUMENT.search(line)
        if not match or '"holds": ' not in line:
            continue
        try:
            told = json.loads(match[0])
            version = told["version"]
            told["manifest"], told["violation"]
            for partition in told["partitions"]:
                spans(partition), partition["name"]
        except (ValueError, KeyError, TypeError):
            continue                    # cut short, or mixed with other text
        if version != VERSION:
            raise Failure(f"isolation --json has version {version}, not "
                          f"{VERSION}: this tool does not know it")
        found = told
    return found


def united(pieces):
    """[(first, end)] in order, what touches as one."""
    joined = []
    for first, end in sorted(pieces):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def spans(partition, rights=None):
    """Where it has something, of some rights or of any."""
    return united((m["physical"], m["physical"] + m["size"])
                  for m in partition["memory"]
                  if rights in (None, m["rights"]))


class Scale:
    """Physical addresses to heights; long stretches of nobody are cut out."""

    def __init__(self, partitions):
        taken = united(s for p in partitions for s in spans(p))
        self.segments = []
        for first, end in taken:
            if self.segments and first - self.segments[-1][1] < SEGMENT_GAP:
                self.segments[-1] = (self.segments[-1][0], end)
            else:
                self.segments.append((first, end))
        all_of_it = sum(end - first for first, end in self.segments)
        self.places, y = [], TOP
        for first, end in self.segments:
            height = max((end - first) * PLOT / all_of_it, LEAST)
            self.places.append((first, end, y, height))
            y += height + GAP
        self.bottom = y - GAP

    def y(self, address):
        """The height of an address that somebody has, or its end."""
        for first, end, top, height in self.places:
            if first <= address <= end:
                return top + (address - first) / (end - first) * height
        raise ValueError(address)


def shared(partitions):
    """[(column, column, first, end)]: what two have, neighbours by column."""
    events, pairs = [], []
    for column, partition in enumerate(partitions):
        for first, end in spans(partition):
            events += [(first, 1, column), (end, 0, column)]
    holders, since = set(), 0
    for at, starts, column in sorted(events):
        if len(holders) > 1 and at > since:
            order = sorted(holders)
            pairs += [(a, b, since, at) for a, b in zip(order, order[1:])]
        since = at
        (holders.add if starts else holders.discard)(column)
    joined = []
    for pair in pairs:
        if joined and joined[-1][:2] == pair[:2] and joined[-1][3] == pair[2]:
            joined[-1] = (*pair[:2], joined[-1][2], pair[3])
        else:
            joined.append(pair)
    return joined


def size_of(size):
    """Of memory, in words."""
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if size >> shift:
            return f"{size / (1 << shift):,.4g} {unit}"
    return f"{size} bytes"


def left(column):
    return LEFT + column * (COLUMN + SPACE)


def column_of(partition, column, scale):
    """A partition's column: its name, its sum, its pieces."""
    sums = sum(end - first for first, end in spans(partition))
    out = [f'<text x="{left(column)}" y="{TOP - 24}" class="head">'
           f'{text_of(partition["name"][:16])}</text>',
           f'<text x="{left(column)}" y="{TOP - 8}">{size_of(sums)}</text>']
    for first, end, top, height in scale.places:
        out.append(f'<rect x="{left(column)}" y="{top:.1f}" width="{COLUMN}" '
                   f'height="{height:.1f}" fill="#f4f4f4"/>')
    colours = {rights: colour for rights, colour, _ in RIGHTS}
    for rights in sorted({m["rights"] for m in partition["memory"]}):
        for first, end in spans(partition, rights):
            top = scale.y(first)
            out.append(
                f'<rect class="piece" x="{left(column)}" y="{top:.1f}" '
                f'width="{COLUMN}" height="'
                f'{max(scale.y(end) - top, THIN):.1f}" '
                f'fill="{colours.get(rights, OTHER)}"><title>'
                f'{first:#x} to {end - 1:#x}, {size_of(end - first)}, '
                f'{text_of(rights)}</title></rect>')
    return out


def axis(scale):
    out = []
    for first, end, top, height in scale.places:
        out += [f'<text x="{LEFT - 10}" y="{top + 4:.1f}" text-anchor="end">'
                f'{first:#x}</text>',
                f'<text x="{LEFT - 10}" y="{top + height + 4:.1f}" '
                f'text-anchor="end">{end:#x}</text>']
    return out


def joins(partitions, scale):
    """A bar for each piece that two have, from the one to the other, behind
    the columns between them."""
    out = []
    for a, b, first, end in shared(partitions):
        top = scale.y(first)
        told = (f'{text_of(partitions[a]["name"])} and '
                f'{text_of(partitions[b]["name"])}: {first:#x} to '
                f'{end - 1:#x}, {size_of(end - first)}')
        out += [f'<rect class="join" x="{left(n) + COLUMN}" y="{top:.1f}" '
                f'width="{SPACE}" height="'
                f'{max(scale.y(end) - top, THIN):.1f}" fill="{COLOURS[4]}">'
                f'<title>{told}</title></rect>' for n in range(a, b)]
    return out


def legend(y):
    out, x = [], LEFT
    for colour, what in [(c, w) for _, c, w in RIGHTS] + [
            (OTHER, "else"), (COLOURS[4], "shared")]:
        out += [f'<rect x="{x}" y="{y - 10}" width="14" height="12" '
                f'fill="{colour}"/>', f'<text x="{x + 19}" y="{y}">{what}'
                '</text>']
        x += 34 + 7 * len(what)
    return out


def draw(told, title):
    """The picture of one document."""
    partitions = [p for p in told["partitions"] if p["memory"]]
    if not partitions:
        raise Failure("isolation --json names no memory of a partition")
    scale = Scale(partitions)
    width = max(WIDTH, left(len(partitions)) + 20)
    height = int(scale.bottom + BOTTOM)
    said = "isolation holds" if told["holds"] else \
        "ISOLATION IS BROKEN: " + told["violation"]
    under = f"{said}; manifest {told['manifest']}" + \
        ("; not all pieces are told" if told.get("more") else "")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{text_of(title)}</title>", f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="26">{text_of(title)}</text>',
        f'<text x="{LEFT}" y="44">{text_of(under)}</text>',
        *axis(scale),
        *(line for n, p in enumerate(partitions)
          for line in column_of(p, n, scale)),
        *joins(partitions, scale), *legend(scale.bottom + 40), "</svg>", ""])


def picture(path, title):
    """The picture of what a log told last."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            told = last_document(f.read())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    if told is None:
        raise Failure(f"{path}: isolation --json is not in it; type that at "
                      "the console")
    return draw(told, title)
