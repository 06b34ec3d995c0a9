"""Samples over data: each column by itself on the diagonal, each pair of columns below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowcli.evaluation.plots import notes, words
from flowcli.evaluation.plots.column_selection import Choice, telling
from flowcli.evaluation.plots.labels import Below, Ticks, below, beside
from flowcli.evaluation.plots.panels import AxisPositions, draw_one, draw_two, points_for
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import (
    LABEL,
    LABEL_HEIGHT,
    POINT,
    Heading,
    Room,
    Sheet,
    label_x,
    label_y,
    name_above,
    name_below,
    name_left,
    room_above,
    tick_room,
)
from flowcli.evaluation.plots.theme import unaffected
from flowcli.random import Stream, numpy_generator
from flowcli.table import Column, Schema

Rows = NDArray[np.float64]

MOST = 8  # columns: the panels of more could not be read on a page
PANEL_INCHES = (3.4, 2.6, 2.1, 1.75, 1.5, 1.35, 1.2, 1.1)  # inches of a panel, by how many columns there are


@unaffected
def corner(
    samples: Rows,
    rows: Rows | None,
    schema: Schema,
    *,
    columns: Sequence[str] | None = None,
    model: str = "",
    total: int | None = None,
    seed: int = 0,
) -> Figure:
    """Draw samples over data for each pair of columns, and for each column by itself.

    Two numbers are a density of the samples with the data as points upon it; a number beside levels is an area for each
    level, and levels beside levels are areas as large as their shares. Of more than eight columns the most telling ones
    are shown.

    Args:
        samples: Draws of the model (M, C), NaN for a missing cell.
        rows: Data (N, C), or ``None``.
        schema: The columns.
        columns: The names of those that are wanted, in that order; the most telling ones by default.
        model: Its name, for the heading.
        total: How many rows there are, if ``rows`` are some of them.
        seed: Of the places of rounded numbers within their cells.

    Returns:
        The picture.
    """
    if columns is None:
        selection = telling(samples, rows, schema, MOST)
    else:
        selection = Choice(tuple(schema.names.index(name) for name in columns), (), len(columns))
    if rows is not None:
        rows = rows[
            numpy_generator(seed, Stream.POINTS_ORDER).permutation(len(rows))
        ]  # the first of them are drawn as points
    edge = PANEL_INCHES[min(len(selection.positions), len(PANEL_INCHES)) - 1]
    points = points_for(edge, edge)
    shown = [
        _Column.of(
            schema.columns[position],
            samples[:, position],
            None if rows is None else rows[:, position],
            edge,
            points,
            seed + number,
        )
        for number, position in enumerate(selection.positions)
    ]
    lines = [column.lines for column in shown]
    said = (_chosen(selection, schema), _legend(shown, rows, points), *notes.explained(lines, rows))
    heading = Heading(
        notes.titled(model, "samples over data" if rows is not None else "samples"),
        notes.keys(samples, rows, total),
        tuple(note for note in said if note),
    )
    sheet = Sheet(len(shown), len(shown), (edge, edge), _room(shown), heading)
    beside_all = max((tick_room(text for _, text in column.left) for column in shown[1:]), default=0.0)
    for i, up in enumerate(shown):
        for j, across in enumerate(shown[: i + 1]):
            axes = sheet.panel(i, j)
            if i == j:
                draw_one(axes, up.positions)
                name_above(axes, up.name, up.lines, edge, edge)
            else:
                draw_two(axes, across.positions, up.positions, seed)
            if up is shown[-1]:
                label_x(axes, across.under.ticks, across.under.turned)
                name_below(axes, words.fitted(across.name, LABEL, edge / POINT), across.under.height, edge)
            if j == 0 < i:
                label_y(axes, up.left)
                name_left(axes, words.fitted(up.name, LABEL, edge / POINT), beside_all, edge)
    return sheet.figure


@dataclass(frozen=True)
class _Column:
    """A column as it is drawn: its name, what is said beside it, its ticks below and left of a panel, its values."""

    name: str
    lines: list[str]
    under: Below
    left: Ticks
    positions: AxisPositions

    @classmethod
    def of(cls, column: Column, samples: Rows, rows: Rows | None, edge: float, points: int, seed: int) -> _Column:
        scale = Scale.of(column, *(group for group in (samples, rows) if group is not None))
        return cls(
            column.name,
            notes.beside_name(scale, samples, rows),
            below(scale, edge),
            beside(scale, edge),
            AxisPositions.of(scale, samples, rows, seed, points),
        )

    @property
    def levels(self) -> bool:
        return bool(self.positions.scale.count)


def _legend(shown: Sequence[_Column], rows: Rows | None, points: int) -> str:
    """Return how the panels of pairs are to be read."""
    numbers = sum(not column.levels for column in shown)
    parts = []
    if numbers > 1:
        parts.append("shades are the densest 20%, 50%, 80% and 95% of the samples")
    if numbers and len(shown) > 1 and rows is not None and len(rows) > points:
        parts.append(f"points are {points:,} of the rows, at random")
    if len(shown) - numbers > 1:
        parts.append("boxes are shares of pairs of levels")
    text = "; ".join(parts)
    return text and f"{text[0].upper()}{text[1:]}."


def _room(shown: Sequence[_Column]) -> Room:
    """Return the inches around the panels."""
    texts = [text for column in shown[1:] for _, text in column.left]
    above = [room_above(column.lines) for column in shown]
    return Room(
        left=(tick_room(texts) + LABEL_HEIGHT if texts else 0.05) + 0.03,
        right=0.12,
        bottom=max(column.under.height for column in shown) + LABEL_HEIGHT,
        top=above[0],
        across=0.1,
        # Above a panel of the diagonal its name stands in the row's gap.
        down=[max(0.1, each) for each in above[1:]],
    )


def _chosen(selection: Choice, schema: Schema) -> str:
    """Return which columns are shown and why, if they are not all."""
    shown = len(selection.positions)
    if shown == selection.total:
        return ""
    if selection.total - shown and shown < MOST:
        return f"{shown} of {selection.total} columns; the others always are the same."
    why = "those that depend the most on each other"
    if selection.differing:
        distance = words.listed([schema.columns[position].name for position in selection.differing])
        why = f"where samples and data differ the most ({distance}), and {why}"
    return f"{shown} of {selection.total} columns: {why}."
