"""Calibration: whether as many rows as should be lie below each quantile of the model, column by column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import kolmogi, ndtri

from flowcli.errors import UsageError
from flowcli.evaluation.metrics.calibration import column_ranks
from flowcli.evaluation.plots import notes, words
from flowcli.evaluation.plots.labels import below, beside
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import (
    DATA,
    INK,
    LABEL_HEIGHT,
    OTHERS,
    PALE,
    POINT,
    QUIET,
    SMALL,
    TEXT,
    Heading,
    Key,
    Room,
    Sheet,
    head,
    label_x,
    label_y,
    name_below,
    name_left,
    tick_room,
)
from flowcli.evaluation.plots.theme import unaffected
from flowcli.table import Column, Schema

Rows = NDArray[np.float64]

WIDTH, HEIGHT = 4.6, 3.3
BAND, LINES = "#EFEFEF", "#AAAAAA"
COLOURS = OTHERS
CERTAIN = 0.95
GRID = np.linspace(0.0, 1.0, 201)
QUANTILES = Scale(Column("quantile"), low=0.0, high=1.0)
LONGEST_KEY = 150.0  # points of a column's name
MISSING_WIDTH, MOST_MISSING = 2.0, 16  # inches, and columns whose missing cells are shown
NAME_ROOM = 1.1  # inches


@dataclass(frozen=True)
class _Line:
    """How the ranks of a column are spread.

    Attributes:
        name: Of the column.
        gap: Share of rows with ranks up to each point of the grid, less the point itself, (G,).
        worst: The largest gap, in units of that which chance makes in one of twenty perfect models.
    """

    name: str
    gap: Rows
    worst: float


@dataclass(frozen=True)
class _Missing:
    """The share of missing cells: of the data, of the samples, and how far chance puts them apart."""

    name: str
    rows: float
    samples: float
    chance: float


@unaffected
def calibration(
    rows: Rows,
    samples: Rows,
    schema: Schema,
    *,
    columns: Sequence[str] | None = None,
    model: str = "",
    total: int | None = None,
    seed: int = 0,
) -> Figure:
    """Draw how far the ranks of rows among draws of the model are from uniform, a line for each column.

    A line is the share of rows whose values lie within the model's lowest quantiles, less the share that should. The
    band holds all lines at once for nineteen of twenty perfect models (Kolmogorov and Smirnov, with Bonferroni's share
    for each column). Missing cells have no rank; their shares are compared beside.

    Args:
        rows: Data (N, C), NaN for a missing cell.
        samples: Draws of the model, (M, C), or each row's own, (N, K, C); see ``column_ranks``.
        schema: The columns.
        columns: The names of those that are wanted; all by default.
        model: Its name, for the heading.
        total: How many rows there are, if ``rows`` are some of them.
        seed: Of the ranks of values that equal draws.

    Returns:
        The picture.

    Raises:
        UsageError: There are no rows, no draws, or no columns that a draw could be compared in.
    """
    wanted = [schema.names.index(name) for name in columns or schema.names]
    wanted = [p for p in wanted if not (schema.columns[p].given or _is_constant(schema.columns[p]))]
    if not (wanted and len(rows) and samples.shape[-2]):
        raise UsageError("calibration needs rows, draws of the model, and a column that varies")
    ranks = column_ranks(rows, samples, schema, seed)
    found = [_line(schema.columns[p], ranks[:, p], samples[..., p], len(wanted)) for p in wanted]
    lines = sorted((line for line in found if line is not None), key=lambda line: -line.worst)
    lacking = [_missing(schema.columns[p], rows[:, p], samples[..., p]) for p in wanted]
    missing = sorted((m for m in lacking if m is not None), key=lambda m: -abs(m.rows - m.samples) / m.chance)
    band = _quantile(len(wanted)) * math.sqrt(1 / len(rows) + (1 / len(samples) if samples.ndim == 2 else 0.0))
    reach = 1.15 * max([band, *(float(np.abs(line.gap).max()) for line in lines)])
    up = Scale(Column("gap"), low=-reach, high=reach)
    left, under = [(at, _percent(text)) for at, text in beside(up, HEIGHT)], below(QUANTILES, WIDTH)
    ticks = tick_room(text for _, text in left)
    sheet = Sheet(
        1,
        1 + bool(missing),
        ([WIDTH, MISSING_WIDTH] if missing else WIDTH, HEIGHT),
        Room(
            left=ticks + LABEL_HEIGHT + 0.05,
            right=0.2,
            bottom=under.height + LABEL_HEIGHT,
            top=LABEL_HEIGHT + 0.05,
            across=NAME_ROOM + 0.35,
        ),
        _heading(model, lines, bool(missing), notes.counted(len(rows), total), samples),
    )
    axes = sheet.panel(0, 0)
    _draw_lines(axes, lines, up, band)
    label_x(axes, [(at, _percent(text)) for at, text in under.ticks])
    label_y(axes, left)
    name_below(axes, "quantile of the model", under.height, HEIGHT, colour=QUIET)
    name_left(axes, "rows below it, too many or too few", ticks, WIDTH, colour=QUIET)
    if missing:
        _draw_missing(sheet.panel(0, 1), missing[:MOST_MISSING], len(missing))
    return sheet.figure


def _heading(model: str, lines: list[_Line], missing: bool, rows: str, samples: Rows) -> Heading:
    outside = [line for line in lines if line.worst > 1]
    keys = [
        Key(colour, words.fitted(line.name, TEXT, LONGEST_KEY), "line")
        for colour, line in zip(COLOURS, outside, strict=False)
    ]
    against = "own draws of each" if samples.ndim == 3 else f"{len(samples):,} draws"
    wider = " (a wider one where cells are missing)" if missing else ""
    return Heading(
        notes.titled(model, "calibration"),
        tuple(keys),
        (
            f"{_verdict(outside, lines)} {rows[0].upper()}{rows[1:]} against {against}.",
            "Above zero more rows lie below a quantile of the model than should; the band holds every line of 19 in 20"
            f" perfect models{wider}.",
        ),
    )


def _draw_lines(axes: Axes, lines: list[_Line], up: Scale, band: float) -> None:
    """The lines upon the band, the worst in front and in colours of their own if they leave it."""
    axes.spines["bottom"].set_visible(False)
    axes.axhspan(*up.positions(np.array([-band, band])), color=BAND, linewidth=0, zorder=0)
    axes.axhline(0.5, color="#999999", linewidth=0.6, zorder=1)
    for number, line in reversed(list(enumerate(lines))):
        named = line.worst > 1 and number < len(COLOURS)
        colour, width = (COLOURS[number], 1.6) if named else (LINES, 0.8)
        axes.plot(GRID, up.positions(line.gap), color=colour, linewidth=width, zorder=2)


def _is_constant(column: Column) -> bool:
    return column.kind == "constant" and not column.subtracted_columns and not column.has_gaps


def _line(column: Column, ranks: Rows, samples: Rows, columns: int) -> _Line | None:
    own = np.sort(ranks[~np.isnan(ranks)])
    if not len(own) or (column.kind == "constant" and not column.subtracted_columns):
        return None
    # Of each row's own draws the ranks are independent; draws that all rows share are as uncertain as rows are.
    shared = 0.0 if samples.ndim == 2 else 1 / max(1, int(np.count_nonzero(~np.isnan(samples))))
    chance = _quantile(columns) * math.sqrt(1 / len(own) + shared)
    gap = np.searchsorted(own, GRID, side="right") / len(own) - GRID
    return _Line(column.name, gap, float(np.abs(gap).max()) / chance)


def _missing(column: Column, rows: Rows, samples: Rows) -> _Missing | None:
    of_rows, of_samples = float(np.isnan(rows).mean()), float(np.isnan(samples).mean())
    if not (of_rows or of_samples):
        return None
    pooled = (np.isnan(rows).sum() + np.isnan(samples).sum()) / (rows.size + samples.size)
    shared = 0.0 if samples.ndim == 2 else 1 / samples.size
    chance = ndtri(0.5 + CERTAIN / 2) * math.sqrt(pooled * (1 - pooled) * (1 / rows.size + shared))
    return _Missing(column.name, of_rows, of_samples, max(float(chance), 1e-12))


def _quantile(columns: int) -> float:
    """Return the Kolmogorov statistic that all of so many columns stay below in nineteen of twenty cases."""
    return float(kolmogi((1 - CERTAIN) / columns))


def _verdict(outside: list[_Line], lines: list[_Line]) -> str:
    if not lines:
        return "No column has ranks."
    if not outside:
        return "All columns lie within the band." if len(lines) > 1 else "The column lies within the band."
    names = words.listed([line.name for line in outside], len(COLOURS))
    return f"{len(outside)} of {len(lines)} column{'s' * (len(lines) != 1)} beyond what chance makes: {names}."


def _percent(text: str) -> str:
    return f"{words.number(100 * float(text), 4)}%"


def _draw_missing(axes: Axes, missing: list[_Missing], total: int) -> None:
    """The shares of missing cells: a dot for the data, a bar for where chance puts it, given the samples."""
    largest = max(max(m.rows, m.samples + m.chance) for m in missing) * 1.05
    scale = Scale(Column("missing"), low=0.0, high=largest)
    height = max(8, len(missing))
    names = []
    for number, each in enumerate(missing):
        y = 1 - (number + 0.5) / height
        ends = scale.positions(np.clip([each.samples - each.chance, each.samples + each.chance], 0, None))
        axes.plot(ends, [y, y], color=PALE, linewidth=5, solid_capstyle="butt", zorder=1)
        off = abs(each.rows - each.samples) > each.chance
        axes.plot(
            scale.positions(np.array([each.rows])),
            [y],
            marker="o",
            markersize=4.5,
            color=DATA if off else INK,
            zorder=2,
        )
        names.append((y, words.fitted(each.name, SMALL, NAME_ROOM / POINT)))
    axes.spines["left"].set_visible(False)
    label_y(axes, names)
    axes.tick_params(axis="y", length=0)
    under = below(scale, MISSING_WIDTH)
    label_x(axes, [(at, _percent(text)) for at, text in under.ticks])
    more = f" ({len(missing)} of {total})" if total > len(missing) else ""
    head(axes, f"missing cells{more}", HEIGHT)
    name_below(axes, "dot: data; bar: samples, and chance", under.height, HEIGHT, colour=QUIET, size=SMALL)
