"""Samples over data: each column by itself on the diagonal, each pair of columns below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowcli.evaluation.pictures import notes, words
from flowcli.evaluation.pictures.choice import Choice, telling
from flowcli.evaluation.pictures.labels import Below, below, beside
from flowcli.evaluation.pictures.panels import Places, draw_one, draw_two, points_for
from flowcli.evaluation.pictures.scale import Scale
from flowcli.evaluation.pictures.sheet import (
    INK,
    LABEL,
    LABEL_HEIGHT,
    POINT,
    Heading,
    Room,
    Sheet,
    label_x,
    label_y,
    name_above,
    room_above,
    tick_room,
    write,
)
from flowcli.evaluation.pictures.theme import unaffected
from flowcli.table import Schema

Rows = NDArray[np.float64]

MOST = 8  # columns: the panels of more could not be read on a page
SIDES = (3.4, 2.6, 2.1, 1.75, 1.5, 1.35, 1.2, 1.1)  # inches of a panel, by how many columns there are


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
        choice = telling(samples, rows, schema, MOST)
        said = _chosen(choice, schema)
    else:
        choice = Choice(tuple(schema.names.index(name) for name in columns), (), len(schema.columns))
        said = ""
    places = choice.places
    if rows is not None:
        rows = rows[np.random.default_rng([seed, 43]).permutation(len(rows))]  # the first of them are drawn as points
    scales = [_scale(schema, place, samples, rows) for place in places]
    side = SIDES[min(len(places), len(SIDES)) - 1]
    lines = [
        notes.beside_name(s, samples[:, p], None if rows is None else rows[:, p])
        for s, p in zip(scales, places, strict=True)
    ]
    points = points_for(side, side)
    under = [below(scale, side) for scale in scales]
    left = [beside(scale, side) for scale in scales]
    names = [schema.columns[place].name for place in places]
    explained = notes.explained(lines, rows)
    sheet = Sheet(
        len(places),
        len(places),
        (side, side),
        _room(under, left, lines),
        Heading(
            notes.titled(model, "samples over data" if rows is not None else "samples"),
            notes.keys(samples, rows, total),
            tuple(note for note in (said, _legend(scales, rows, points), *explained) if note),
        ),
    )
    columns_ = [
        Places.of(scale, samples[:, place], None if rows is None else rows[:, place], seed + number, points)
        for number, (scale, place) in enumerate(zip(scales, places, strict=True))
    ]
    last = len(places) - 1
    for i, up in enumerate(columns_):
        for j, across in enumerate(columns_[: i + 1]):
            axes = sheet.panel(i, j)
            if i == j:
                draw_one(axes, across)
                name_above(axes, names[i], lines[i], side, side)
            else:
                draw_two(axes, across, up, seed)
            if i == last:
                label_x(axes, under[j].ticks, under[j].turned)
                room = side / POINT
                write(
                    axes,
                    0.5,
                    -(under[j].height + 0.02) / side,
                    words.fitted(names[j], LABEL, room),
                    LABEL,
                    color=INK,
                    ha="center",
                    va="top",
                )
            if j == 0 and i > 0:
                label_y(axes, left[i])
                x = -(tick_room(text for _, text in left[i]) + 0.03) / side
                write(
                    axes,
                    x,
                    0.5,
                    words.fitted(names[i], LABEL, side / POINT),
                    LABEL,
                    color=INK,
                    ha="right",
                    va="center",
                    rotation=90,
                )
    return sheet.figure


def _scale(schema: Schema, place: int, samples: Rows, rows: Rows | None) -> Scale:
    groups = [samples[:, place]] if rows is None else [samples[:, place], rows[:, place]]
    return Scale.of(schema.columns[place], *groups)


def _legend(scales: list[Scale], rows: Rows | None, points: int) -> str:
    """How the panels of pairs are to be read."""
    numbers = sum(not scale.count for scale in scales)
    parts = []
    if numbers > 1:
        parts.append("shades are the densest 20%, 50%, 80% and 95% of the samples")
    if numbers and len(scales) > 1 and rows is not None and len(rows) > points:
        parts.append(f"points are {points:,} of the rows, at random")
    if len(scales) - numbers > 1:
        parts.append("boxes are shares of pairs of levels")
    text = "; ".join(parts)
    return text and f"{text[0].upper()}{text[1:]}."


def _room(under: list[Below], left: list[list[tuple[float, str]]], lines: list[list[str]]) -> Room:
    """The inches around the panels."""
    texts = [text for ticks in left[1:] for _, text in ticks]
    above = [room_above(own) for own in lines]
    return Room(
        left=(tick_room(texts) + LABEL_HEIGHT if texts else 0.05) + 0.03,
        right=0.12,
        bottom=max(each.height for each in under) + LABEL_HEIGHT,
        top=above[0],
        across=0.1,
        # Above a panel of the diagonal its name stands in the row's gap.
        down=[max(0.1, each) for each in above[1:]],
    )


def _chosen(choice: Choice, schema: Schema) -> str:
    """Which columns are shown and why, if they are not all."""
    shown = len(choice.places)
    if shown == choice.total:
        return ""
    if choice.total - shown and shown < MOST:
        return f"{shown} of {choice.total} columns; the others always are the same."
    why = "those that depend the most on each other"
    if choice.apart:
        apart = words.listed([schema.columns[place].name for place in choice.apart])
        why = f"where samples and data differ the most ({apart}), and {why}"
    return f"{shown} of {choice.total} columns: {why}."
