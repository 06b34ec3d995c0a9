"""Samples over data, each column by itself: all columns of a table on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowcli.evaluation.plots import notes
from flowcli.evaluation.plots.labels import below
from flowcli.evaluation.plots.panels import AxisPositions, draw_one
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import Heading, Room, Sheet, label_x, name_above, room_above
from flowcli.evaluation.plots.theme import unaffected
from flowcli.table import Schema

Rows = NDArray[np.float64]

MOST_ACROSS = 7
WIDE, LARGE, SMALL = 3.4, (2.3, 1.35), (1.55, 0.95)  # inches of a panel: of one, of few, of many


@unaffected
def marginals(
    samples: Rows,
    rows: Rows | None,
    schema: Schema,
    *,
    columns: Sequence[str] | None = None,
    model: str = "",
    total: int | None = None,
    seed: int = 0,
) -> Figure:
    """Draw samples over data for each column by itself; see ``corner``.

    Args:
        samples: Draws of the model (M, C), NaN for a missing cell.
        rows: Data (N, C), or ``None``.
        schema: The columns.
        columns: The names of those that are wanted, in that order; all by default.
        model: Its name, for the heading.
        total: How many rows there are, if ``rows`` are some of them.
        seed: Of the places of rounded numbers within their cells.

    Returns:
        The picture.
    """
    positions = [schema.names.index(name) for name in columns or schema.names]
    across = min(MOST_ACROSS, math.ceil(math.sqrt(len(positions))))
    down = math.ceil(len(positions) / across)
    width, height = (WIDE, LARGE[1] * 1.4) if len(positions) == 1 else LARGE if len(positions) <= 6 else SMALL
    groups = [(samples[:, p], None if rows is None else rows[:, p]) for p in positions]
    scales = [
        Scale.of(schema.columns[p], *(g for g in both if g is not None))
        for p, both in zip(positions, groups, strict=True)
    ]
    lines = [notes.beside_name(scale, *both) for scale, both in zip(scales, groups, strict=True)]
    under = [below(scale, width) for scale in scales]
    by_row = [range(first, min(first + across, len(positions))) for first in range(0, len(positions), across)]
    heads = [max(room_above(lines[i]) for i in row) for row in by_row]
    feet = [max(under[i].height for i in row) for row in by_row]
    sheet = Sheet(
        down,
        across,
        (width, height),
        Room(
            left=0.1,
            right=0.1,
            top=heads[0],
            bottom=feet[-1],
            across=0.22,
            down=[foot + head + 0.06 for foot, head in zip(feet, heads[1:], strict=False)],
        ),
        Heading(
            notes.titled(model, "each column" if rows is None else "each column, samples over data"),
            notes.keys(samples, rows, total),
            notes.explained(lines, rows),
        ),
    )
    for number, (scale, both) in enumerate(zip(scales, groups, strict=True)):
        axes = sheet.panel(*divmod(number, across))
        axes.spines["left"].set_visible(False)  # heights are densities, and their numbers say nothing
        draw_one(axes, AxisPositions.of(scale, *both, seed + number))
        label_x(axes, under[number].ticks, under[number].turned)
        name_above(axes, schema.columns[positions[number]].name, lines[number], width, height)
    return sheet.figure
