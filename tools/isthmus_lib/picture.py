# SPDX-License-Identifier: MIT
"""`isthmus picture`: draws a run, as an SVG, from the `status --json` lines
of its log: memory by owner, exits by reason, and what went over channels,
disks and the network, over time."""

import json
import re
from xml.sax.saxutils import escape, quoteattr

from isthmus_lib.common import Failure

VERSION = 1
DOCUMENT = re.compile(r'\{"version": .*\}')
# By M. Okabe and K. Ito: people who see fewer colours can tell these apart. In
# an order in which neighbours differ in lightness, too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#56B4E9",
           "#D55E00", "#999999")
# Yellow is too light for a line.
LINES = tuple(c if c != "#F0E442" else "#222222" for c in COLOURS)
DASHES = ("", "8 3", "2 3", "8 3 2 3")
BANDS = len(COLOURS)            # more than that are one: the last
OTHERS = "others"
WIDTH, LEFT, RIGHT = 960, 70, 250
TOP, PLOT, GAP = 60, 200, 70    # a chart's plot, and what is below
TICKS = 5
CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Series:
    """One quantity over time, for a legend's line and a band or line."""

    def __init__(self, name, values):
        self.name = name
        self.values = values

    @property
    def most(self):
        return max(self.values)


def samples(text):
    """The documents of a log, those of the last start of its machine; each of
    another time than the one before."""
    found = []
    for line in text.splitlines():
        match = DOCUMENT.search(line)
        if not match or '"partitions": [' not in line:
            continue
        try:
            told = json.loads(match[0])
            if told["version"] != VERSION:
                raise Failure(f"a sample has version {told['version']}, not "
                              f"{VERSION}: this tool does not know it")
            told["memory"]["all"], told["cpus"], told["linux_disks"]
        except (ValueError, KeyError, TypeError):
            continue                    # cut short, or mixed with other text
        if found and told["uptime"] < found[-1]["uptime"]:
            found = []
        if not found or told["uptime"] > found[-1]["uptime"]:
            found.append(told)
    return found


def text_of(value):
    """What may stand in XML."""
    return escape(CONTROL.sub("\ufffd", str(value)))


def nice(most):
    """A round step for an axis that goes up to `most`."""
    step = 1.0
    while step * TICKS < most:
        step *= 10
    while step * TICKS / 10 >= most and most > 0:
        step /= 10
    for part in (0.1, 0.2, 0.5):
        if step * part * TICKS >= most:
            return step * part
    return step


def figure(value):
    """Three digits, or all of the whole ones."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def largest(table):
    """Series by size, the smaller ones added up to one when there are many."""
    ordered = sorted((Series(n, v) for n, v in table.items() if max(v) > 0),
                     key=lambda s: -sum(s.values))
    if len(ordered) > BANDS:
        rest = [s.values for s in ordered[BANDS - 1:]]
        ordered[BANDS - 1:] = [Series(OTHERS, [sum(v) for v in zip(*rest)])]
    return ordered


def memory(told):
    """MiB by owner, but what is free: first what does not change."""
    names = []
    for one in told:
        names += [n for n in one["memory"] if n not in names]
    names = [n for n in names if n not in ("free", "all")]
    table = {n: [one["memory"].get(n, 0) / 2**20 for one in told]
             for n in names}
    if len(names) <= BANDS:
        return [Series(n, table[n]) for n in names]
    return largest(table)


def rates(told, table):
    """What came in a second, of counts: at each sample since the one before,
    at the first since the start. A count that is smaller begins anew."""
    spans = [max(told[0]["uptime"], 1)]
    spans += [b["uptime"] - a["uptime"] for a, b in zip(told, told[1:])]
    return {name: [max(now - was, 0) * 1000 / span for was, now, span in
                   zip([0] + values, values, spans)]
            for name, values in table.items()}


def counts(told, of):
    """{name: values} from a function that gives {name: count} of a sample."""
    each = [of(one) for one in told]
    names = []
    for one in each:
        names += [n for n in one if n not in names]
    return {n: [one.get(n, 0) for one in each] for n in names}


def exits(one):
    """Of all partitions, by reason."""
    total = {}
    for partition in one["partitions"]:
        for reason, n in partition["exits"].items():
            total[reason] = total.get(reason, 0) + n
    return total


def transfers(one):
    """MiB over channels, disks and the card."""
    total = {}
    for partition in one["partitions"]:
        if "channel" in partition:
            name = partition["name"]
            total[f"{name} to host"] = partition["channel"]["rx_bytes"]
            total[f"host to {name}"] = partition["channel"]["tx_bytes"]
    for disk in one["disks"]:
        total[f"{disk['name']} read"] = disk["read_bytes"]
        total[f"{disk['name']} written"] = disk["written_bytes"]
    if "network" in one:
        total["network in"] = one["network"]["rx_bytes"]
        total["network out"] = one["network"]["tx_bytes"]
    return {name: n / 2**20 for name, n in total.items()}


class Chart:
    """A plot with its axes and a legend; y grows downwards in an SVG."""

    def __init__(self, title, unit, times, top):
        self.title, self.unit, self.times = title, unit, times
        self.top, self.step, self.limit = top, 1, 1
        self.out = []

    def x(self, time):
        first, last = self.times[0], self.times[-1]
        return LEFT + (time - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return self.top + PLOT - value / self.limit * PLOT

    def text(self, x, y, what, more=""):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}"{more}>'
                        f'{text_of(what)}</text>')

    def axes(self, most):
        self.step = nice(most)
        self.limit = max(self.step * TICKS, 1e-9)
        self.text(LEFT, self.top - 12, f"{self.title}, {self.unit}",
                  ' class="head"')
        value = 0.0
        while value <= self.limit * 1.001:
            y = self.y(value)
            self.out.append(f'<path class="grid" d="M{LEFT} {y:.1f}'
                            f'H{WIDTH - RIGHT}"/>')
            self.text(LEFT - 6, y + 4, figure(value), ' text-anchor="end"')
            value += self.step
        first, last = self.times[0], self.times[-1]
        step = nice((last - first) / 2)
        value = -(-first // step) * step
        while value <= last:
            x = self.x(value)
            self.out.append(f'<path class="tick" d="M{x:.1f} '
                            f'{self.top + PLOT}v5"/>')
            self.text(x, self.top + PLOT + 18, figure(value),
                      ' text-anchor="middle"')
            value += step
        self.text((LEFT + WIDTH - RIGHT) / 2, self.top + PLOT + 34,
                  "seconds since the start", ' text-anchor="middle"')

    def legend(self, row, series, mark):
        x, y = WIDTH - RIGHT + 16, self.top + 8 + row * 18
        self.out.append(mark(x, y))
        name = series.name if len(series.name) < 24 else \
            series.name[:22] + "\u2026"
        self.text(x + 30, y + 4, f"{name}: {figure(series.most)}")

    def stack(self, series):
        """Bands on each other; in the legend as they lie."""
        below = [0.0] * len(self.times)
        self.axes(max(sum(v) for v in zip(*(s.values for s in series)))
                  if series else 0)
        for n, one in enumerate(series):
            above = [a + b for a, b in zip(below, one.values)]
            edge = [f"{self.x(t):.1f},{self.y(v):.1f}"
                    for t, v in zip(self.times, above)]
            edge += [f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in
                     reversed(list(zip(self.times, below)))]
            self.out.append(
                f'<polygon class="band" fill="{COLOURS[n % BANDS]}" points='
                f'"{" ".join(edge)}"><title>{text_of(one.name)}</title>'
                '</polygon>')
            self.legend(len(series) - 1 - n, one, lambda x, y, n=n:
                        f'<rect class="band" x="{x}" y="{y - 6}" width="22" '
                        f'height="12" fill="{COLOURS[n % BANDS]}"/>')
            below = above

    def lines(self, series):
        """A line each, told apart by its dashes, too."""
        self.axes(max((s.most for s in series), default=0))
        for n, one in enumerate(series):
            look = f'stroke="{LINES[n % BANDS]}" stroke-dasharray=' \
                   f'{quoteattr(DASHES[n % len(DASHES)] or "none")}'
            points = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}"
                              for t, v in zip(self.times, one.values))
            self.out.append(f'<polyline class="line" {look} points="{points}">'
                            f'<title>{text_of(one.name)}</title></polyline>')
            self.legend(n, one, lambda x, y, look=look:
                        f'<path class="line" {look} d="M{x} {y}h22"/>')


STYLE = """text{font:12px sans-serif;fill:#222}.head{font-weight:bold}
.title{font-size:16px}.grid{stroke:#ddd}.tick{stroke:#222}
.band{stroke:#fff;stroke-width:.5}.line{fill:none;stroke-width:2}"""


def draw(told, title):
    """The picture of some samples, at least two."""
    times = [one["uptime"] / 1000 for one in told]
    charts = [Chart("memory by owner", "MiB; the most is in the list", times,
                    TOP + 20)]
    charts[0].stack(memory(told))
    charts.append(Chart("exits of all partitions by reason",
                        "in a second; the most is in the list", times,
                        charts[-1].top + PLOT + GAP))
    charts[1].stack(largest(rates(told, counts(told, exits))))
    charts.append(Chart("transfers",
                        "MiB in a second; the most is in the list", times,
                        charts[-1].top + PLOT + GAP))
    charts[2].lines(largest(rates(told, counts(told, transfers))))
    height = charts[-1].top + PLOT + GAP - 20
    last = told[-1]
    under = (f"{last['platform']}, {len(last['cpus'])} CPU, "
             f"{last['memory']['all'] >> 20} MiB; {len(told)} samples")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<title>{text_of(title)}</title>", f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="26">{text_of(title)}</text>',
        f'<text x="{LEFT}" y="44">{text_of(under)}</text>',
        *(line for chart in charts for line in chart.out), "</svg>", ""])


def picture(path, title):
    """The picture of a log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            told = samples(f.read())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from error
    if len(told) < 2:
        raise Failure(f"{path}: it has {len(told)} samples, and a picture "
                      "takes two; \"sample 1\" at the console, or "
                      "sample-seconds in the manifest, makes them")
    return draw(told, title)
