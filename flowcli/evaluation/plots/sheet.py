"""A sheet of panels of known size, with a heading above: one look for all pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from flowcli.evaluation.plots import words

# Blue and vermilion of a palette that people with colour-blindness can tell apart (Okabe & Ito, 2008).
SAMPLES, DATA = "#0072B2", "#D55E00"
PALE = "#A6CBE3"  # an area of samples
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, QUIET, FAINT, PAPER = "#222222", "#666666", "#D9D9D9", "#FFFFFF"

# Points. What is saved is 150 dots an inch, where the small ones can still be read.
HEADING, TEXT, LABEL, SMALL = 12.0, 8.5, 8.0, 7.0
LINE = 1.35  # of a line of text to its size
POINT = 1 / 72  # of an inch
DPI = 150

EDGE, AIR = 0.15, 0.12  # inches around everything, and below the heading


@dataclass(frozen=True)
class Key:
    """What a colour stands for.

    Attributes:
        colour: The colour.
        words: What it stands for, drawable.
        shape: An ``area``, a ``line``, or a ``dot``.
    """

    colour: str
    words: str
    shape: str = "area"


@dataclass(frozen=True)
class Heading:
    """What stands above the panels.

    Attributes:
        title: What is shown, drawable.
        keys: What the colours stand for.
        notes: What else is to be known, drawable, a paragraph each.
    """

    title: str
    keys: tuple[Key, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Room:
    """Inches around panels and in between, for what stands beside their axes.

    Attributes:
        left: Left of the first panels.
        right: Right of the last ones.
        bottom: Below the lowest row.
        top: Above the first row.
        across: Between panels side by side.
        down: Between one row and the next, for each row but the last; or the same for all.
    """

    left: float = 0.5
    right: float = 0.1
    bottom: float = 0.4
    top: float = 0.1
    across: float = 0.1
    down: float | Sequence[float] = 0.1


class Sheet:
    """A figure of panels in rows, each panel of a given size in inches.

    Args:
        rows: How many rows there are.
        columns: How many panels a row has.
        panel: Width and height of a panel, in inches; a sequence of widths and one of heights where they differ.
        room: What is left free around the panels.
        heading: What stands above them.
        least_width: Of the whole, in inches, so that a heading has room.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        panel: tuple[float | Sequence[float], float | Sequence[float]],
        room: Room,
        heading: Heading,
        least_width: float = 4.6,
    ) -> None:
        widths, heights = panel
        self._widths = [widths] * columns if isinstance(widths, int | float) else list(widths)
        self._heights = [heights] * rows if isinstance(heights, int | float) else list(heights)
        self._gaps = [room.down] * (rows - 1) if isinstance(room.down, int | float) else list(room.down)
        self._room = room
        inner = sum(self._widths) + room.across * (columns - 1)
        self.width = max(least_width, inner + room.left + room.right + 2 * EDGE)
        lines = _heading_lines(heading, self.width - 2 * EDGE)
        above = sum(height for _, height in lines) + AIR
        below = sum(self._heights) + sum(self._gaps)
        self.height = above + below + room.top + room.bottom + 2 * EDGE
        # In the middle, if the heading is wider.
        self._left = EDGE + room.left + (self.width - 2 * EDGE - inner - room.left - room.right) / 2
        self._top = self.height - EDGE - above - room.top
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor=PAPER)
        self._write(heading, lines)

    def panel(self, row: int, column: int) -> Axes:
        """Return the panel of that row and column, empty: its axes go from 0 to 1, without ticks."""
        width, height = self._widths[column], self._heights[row]
        left = self._left + sum(self._widths[:column]) + self._room.across * column
        bottom = self._top - sum(self._heights[: row + 1]) - sum(self._gaps[:row])
        axes = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height), facecolor="none"
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        for edge, spine in axes.spines.items():
            spine.set(color="#999999", linewidth=0.6, visible=edge in ("left", "bottom"))
        return axes

    def _write(self, heading: Heading, lines: list[tuple[str | tuple[Key, ...], float]]) -> None:
        """Write the heading from the top down."""
        y = self.height - EDGE
        for number, (line, height) in enumerate(lines):
            middle = (y - height / 2) / self.height
            y -= height
            if isinstance(line, str):
                size, colour, weight = (HEADING, INK, "bold") if number == 0 else (TEXT, QUIET, "normal")
                write(self.figure, EDGE / self.width, middle, line, size, color=colour, weight=weight, va="center")
            else:
                self._write_keys(line, middle)

    def _write_keys(self, keys: Sequence[Key], y: float) -> None:
        x = EDGE
        for key in keys:
            self._mark(key, x, y)
            write(self.figure, (x + _MARK) / self.width, y, key.words, TEXT, color=INK, va="center")
            x += _key_width(key)

    def _mark(self, key: Key, x: float, y: float) -> None:
        size = 0.1
        if key.shape == "area":
            corner = (x / self.width, y - size / 2 / self.height)
            self.figure.add_artist(
                Rectangle(
                    corner,
                    1.3 * size / self.width,
                    size / self.height,
                    facecolor=key.colour,
                    edgecolor="none",
                    transform=self.figure.transFigure,
                )
            )
            return
        ends = [x / self.width, (x + 1.5 * size) / self.width]
        line = (
            Line2D(ends, [y, y], color=key.colour, linewidth=1.6)
            if key.shape == "line"
            else Line2D([sum(ends) / 2], [y], color=key.colour, marker="o", markersize=4, linestyle="none")
        )
        line.set_transform(self.figure.transFigure)
        self.figure.add_artist(line)


_MARK = 0.2  # inches of a key's mark, with the gap to its words


def write(where: Figure | Axes, x: float, y: float, text: str, size: float, **draw_frame: object) -> None:
    """Write a drawable text, in the fonts of all pictures, at shares of the figure's or the panel's sides."""
    placed = where.text(x, y, text, fontsize=size, fontfamily=words.families())
    placed.set(transform=where.transSubfigure if isinstance(where, Figure) else where.transAxes, **draw_frame)


def _key_width(key: Key) -> float:
    return _MARK + words.width(key.words, TEXT) * POINT + 0.22


def _heading_lines(heading: Heading, room: float) -> list[tuple[str | tuple[Key, ...], float]]:
    """Return the lines of a heading, each with its height in inches."""
    title = LINE * HEADING * POINT + 0.04
    lines: list[tuple[str | tuple[Key, ...], float]] = []
    for number, line in enumerate(_titles(heading.title, room)):
        lines.append((line, title if number == 0 else LINE * TEXT * POINT))
    height = LINE * TEXT * POINT
    row: list[Key] = []
    for key in heading.keys:
        if row and sum(map(_key_width, [*row, key])) > room + 0.22:
            lines.append((tuple(row), height + 0.04))
            row = []
        row.append(key)
    if row:
        lines.append((tuple(row), height + 0.04))
    for note in heading.notes:
        lines += [(line, height) for line in words.wrapped(note, TEXT, room / POINT)]
    return lines


def _titles(title: str, room: float) -> list[str]:
    """Return the title; what there is no room for in its line goes to the next one."""
    if words.width(title, HEADING, bold=True) * POINT <= room:
        return [title]
    kept: list[str] = []
    others = title.split()
    while others and words.width(" ".join([*kept, others[0]]), HEADING, bold=True) * POINT <= room:
        kept.append(others.pop(0))
    if not kept:
        return [words.fitted(title, HEADING, room / POINT, bold=True)]
    return [" ".join(kept), *words.wrapped(" ".join(others), TEXT, room / POINT)]


def label_x(axes: Axes, ticks: Iterable[tuple[float, str]], turned: bool = False) -> None:
    """Ticks below a panel: places from 0 to 1, and drawable words."""
    _label(axes, "x", list(ticks), 90 if turned else 0)


def label_y(axes: Axes, ticks: Iterable[tuple[float, str]]) -> None:
    """Ticks left of a panel: places from 0 to 1, and drawable words."""
    _label(axes, "y", list(ticks), 0)


def _label(axes: Axes, which: Literal["x", "y"], ticks: list[tuple[float, str]], turn: float) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis=which, length=2.5, width=0.6, pad=2, color="#999999", labelsize=SMALL, labelcolor=INK)
    for text in axis.get_ticklabels():
        text.set(fontfamily=words.families(), rotation=turn)


def tick_room(texts: Iterable[str]) -> float:
    """Inches that ticks with these words need, beside the widest of them."""
    return 0.08 + max((words.width(text, SMALL) for text in texts), default=0.0) * POINT


def name_below(axes: Axes, text: str, ticks: float, height: float, *, colour: str = INK, size: float = LABEL) -> None:
    """A drawable text below a panel of some height and its ticks, all in inches."""
    write(axes, 0.5, -(ticks + 0.02) / height, text, size, color=colour, ha="center", va="top")


def name_left(axes: Axes, text: str, ticks: float, width: float, *, colour: str = INK) -> None:
    """A drawable text that runs upwards, left of a panel of some width and its ticks, all in inches."""
    write(axes, -(ticks + 0.03) / width, 0.5, text, LABEL, color=colour, ha="right", va="center", rotation=90)


def head(axes: Axes, text: str, height: float) -> None:
    """A drawable text above a panel of some height, in inches."""
    write(axes, 0.5, 1 + 0.05 / height, text, LABEL, color=INK, weight="bold", ha="center", va="bottom")


def name_above(axes: Axes, name: str, lines: Sequence[str], width: float, height: float) -> None:
    """The name of what a panel of this size shows, above it, and under the name what it cannot show."""
    small, large = LINE * SMALL * POINT, LINE * LABEL * POINT
    for number, line in enumerate(reversed(lines)):
        y = 1 + (0.04 + (number + 0.5) * small) / height
        write(axes, 0.5, y, line, SMALL, color=QUIET, ha="center", va="center")
    y = 1 + (0.04 + len(lines) * small + 0.5 * large) / height
    text = words.fitted(name, LABEL, width / POINT, bold=True)
    write(axes, 0.5, y, text, LABEL, color=INK, weight="bold", ha="center", va="center")


def room_above(lines: Sequence[str]) -> float:
    """Return the inches that ``name_above`` needs."""
    return 0.06 + LINE * LABEL * POINT + LINE * SMALL * POINT * len(lines)


TICK_HEIGHT = 0.08 + LINE * SMALL * POINT  # inches below a panel that ticks need
LABEL_HEIGHT = LINE * LABEL * POINT + 0.03
