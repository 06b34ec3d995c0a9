"""Rough pictures of letters, for a quick look over ssh: histograms of blocks, and clouds of Braille dots."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import click
import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from flowcli.cli.plot_inputs import PlotInputs
from flowcli.evaluation.plots import words
from flowcli.evaluation.plots.column_selection import telling_pair
from flowcli.evaluation.plots.panels import heights, shares
from flowcli.evaluation.plots.scale import Scale
from flowcli.random import Stream, numpy_generator
from flowcli.text import literal

Rows = NDArray[np.float64]

WIDEST, NARROWEST = 120, 60  # columns of a terminal that are made use of
SIDE, NUMBER, LEVEL = 7, 10, 14
MAP_HEIGHT = 14
MOST_DOTS = 1200  # of more, a cloud would be a blot

BLOCKS, BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"  # from nothing to all, as Unicode and as ASCII have it
BRAILLE = 0x2800
# The bits of a Braille letter's dots, row by row from above, left and right.
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
COLOURS = {"samples": "cyan", "data": "yellow"}


@dataclass(frozen=True)
class Terminal:
    """What a terminal can show.

    Attributes:
        width: Its columns.
        unicode: Whether its encoding has blocks and Braille dots.
        colour: Whether it shows colours, and the user wants any.
    """

    width: int
    unicode: bool
    colour: bool

    @classmethod
    def here(cls) -> Terminal:
        """Standard output."""
        width = shutil.get_terminal_size((80, 24)).columns
        try:
            (BLOCKS + chr(BRAILLE)).encode(sys.stdout.encoding or "ascii")
            unicode = True
        except (UnicodeEncodeError, LookupError):
            unicode = False
        dull = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
        return cls(min(max(width, NARROWEST), WIDEST), unicode, not dull)

    @property
    def name(self) -> int:
        """How wide the names of columns are."""
        return 20 if self.width >= 80 else 12

    def text(self, text: str) -> str:
        """Return the text with what the encoding has not written out."""
        return literal(text) if self.unicode else literal(text).encode("ascii", "backslashreplace").decode()

    def short(self, name: str, room: int) -> str:
        """Return a name in so many columns, with dots in the middle where it is longer."""
        name = self.text(name)
        if cell_len(name) <= room:
            return set_cell_size(name, room)
        dots = "…" if self.unicode else ".."
        head = (room - len(dots) + 1) // 2
        tail = room - len(dots) - head
        end = name[-tail:]
        while cell_len(end) > tail:  # letters that are two columns wide
            end = end[1:]
        return set_cell_size(set_cell_size(name, head) + dots + end, room)

    def paint(self, text: str, edge: str) -> str:
        """Return the text in the colour of samples or data."""
        return click.style(text, fg=COLOURS[edge]) if self.colour else text


def print_terminal_plot(inputs: PlotInputs) -> None:
    """Print a rough picture of each column, and of the two that say the most of each other."""
    terminal = Terminal.here()
    for line in terminal_plot(inputs, terminal):
        click.echo(line, color=terminal.colour)


def terminal_plot(inputs: PlotInputs, terminal: Terminal) -> list[str]:
    """Return the lines of that picture."""
    schema, names = inputs.density.schema, inputs.columns or inputs.density.schema.names
    positions = [schema.names.index(name) for name in names]
    edges = [("samples", inputs.samples)]
    if inputs.rows is not None:
        edges.insert(0, ("data", inputs.rows))
    scales = {p: Scale.of(schema.columns[p], *(values[:, p] for _, values in edges)) for p in positions}
    room = terminal.width - terminal.name - SIDE - 3 * NUMBER - 2
    head = f"{'column':<{terminal.name}} {'':<{SIDE}} {'':<{room}}" + "".join(
        f"{t:>{NUMBER}}" for t in ("least", "median", "most")
    )
    lines = [head]
    for p in positions:
        beside = [terminal.short(schema.columns[p].name, terminal.name)]
        if note := _missing([values[:, p] for _, values in edges]):
            beside.append(terminal.short(note, terminal.name))
        shown = []
        for edge, values in edges:
            bars = terminal.paint(_bars(scales[p], values[:, p], room, terminal), edge)
            shown.append(f" {edge:<{SIDE}} {bars}{_numbers(scales[p], values[:, p], terminal)}")
        beside += [" " * terminal.name] * (len(shown) - len(beside))
        lines += ["".join(pieces).rstrip() for pieces in zip_longest(beside, shown, fillvalue="")]
    numbers = [p for p in positions if not scales[p].count]
    if len(numbers) >= 2:
        pair = telling_pair(edges[0][1], schema, numbers)
        lines += ["", *_clouds(scales, pair, edges, terminal)]
    return lines


def _bars(scale: Scale, values: Rows, room: int, terminal: Terminal) -> str:
    """Return a histogram in so many columns, each level in columns of its own."""
    if scale.count:
        tops = np.repeat(shares(scale, scale.positions(values)), max(1, room // scale.count))[:room]
    else:
        tops = heights(scale.positions(values, numpy_generator(0, Stream.JITTER)), room)
    status = BLOCKS if terminal.unicode else BARS
    most = float(tops.max(initial=0.0))
    # What is there at all has a block, however low.
    filled = np.ceil(tops / (most or 1.0) * (len(status) - 1)).astype(int)
    return "".join(status[each] for each in filled).ljust(room)


def _missing(edges: Sequence[Rows]) -> str:
    """Return the shares of missing cells, if there are any."""
    lacking = [float(np.isnan(values).mean()) if len(values) else 0.0 for values in edges]
    return f" missing {' | '.join(map(words.share, lacking))}" if any(lacking) else ""


def _numbers(scale: Scale, values: Rows, terminal: Terminal) -> str:
    """Return the least, the middle and the largest value, or of levels the most frequent ones."""
    present = values[~np.isnan(values)]
    if not len(present):
        return ""
    if not scale.count:
        three = (float(present.min()), float(np.median(present)), float(present.max()))
        return "".join(f"{words.number(each):>{NUMBER}}" for each in three)
    tops, shown = shares(scale, scale.positions(values)), ""
    for level in np.argsort(-tops, kind="stable"):
        label = terminal.short(scale.labels[level], LEVEL).rstrip()
        text = f"{shown}{', ' if shown else ''}{label} {words.share(float(tops[level]))}"
        if cell_len(text) > 3 * NUMBER - 1 or not tops[level]:
            break
        shown = text
    return f" {shown}"


def _clouds(
    scales: dict[int, Scale], pair: tuple[int, int], edges: Sequence[tuple[str, Rows]], terminal: Terminal
) -> list[str]:
    """Two columns as clouds of dots, data and samples side by side, as many dots in each."""
    across, up = scales[pair[0]], scales[pair[1]]
    width = (terminal.width - 3 * (len(edges) - 1)) // len(edges) if len(edges) > 1 else terminal.width // 2
    dots = min(MOST_DOTS, *(len(values) for _, values in edges))
    draw = _braille if terminal.unicode else _shades
    blocks = []
    for edge, values in edges:
        order = numpy_generator(0, Stream.POINTS_ORDER).permutation(len(values))[:dots]
        x, y = (
            scale.positions(values[order, p], numpy_generator(0, Stream.JITTER, p))
            for p, scale in zip(pair, (across, up), strict=True)
        )
        inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        cloud = draw(x[inside], y[inside], width, MAP_HEIGHT)
        blocks.append([f"{edge:<{width}}", *(terminal.paint(line, edge) for line in cloud)])
    between = " │ " if terminal.unicode else " | "
    lines = [between.join(pieces).rstrip() for pieces in zip(*blocks, strict=True)]
    for arrow, scale in zip("→↑" if terminal.unicode else ">^", (across, up), strict=True):
        ends = " to ".join(words.number(float(v), 4) for v in scale.values(np.array([0.0, 1.0])))
        name = terminal.short(scale.column.name, terminal.width - 36).rstrip()
        lines.append(f"{arrow} {name}, {ends}{' (log)' if scale.log else ''}")
    return lines


def _braille(x: Rows, y: Rows, width: int, height: int) -> list[str]:
    """Return points (N,) between 0 and 1 as dots, two by four in a letter."""
    column = np.minimum((x * 2 * width).astype(int), 2 * width - 1)
    row = np.minimum(((1 - y) * 4 * height).astype(int), 4 * height - 1)
    letters = np.zeros((height, width), dtype=int)
    np.bitwise_or.at(letters, (row // 4, column // 2), DOTS[row % 4, column % 2])
    return ["".join(chr(BRAILLE + letter) for letter in line) for line in letters]


def _shades(x: Rows, y: Rows, width: int, height: int) -> list[str]:
    """Return points (N,) between 0 and 1 as letters that are the darker the more there are."""
    counts = np.histogram2d(1 - y, x, bins=(height, width), range=((0, 1), (0, 1)))[0]
    dark = np.ceil(np.sqrt(counts / max(1.0, counts.max())) * (len(BARS) - 1)).astype(int)
    return ["".join(BARS[each] for each in line) for line in dark]
