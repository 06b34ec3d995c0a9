"""Which columns of many are the most telling ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogi

from flowcli.table import Column, Schema

Rows = NDArray[np.float64]

BINS = 8  # of a column, for how much two of them tell of each other
CERTAIN = 0.95  # of twenty perfect models one has a column that differs so much
VISIBLE_DIFFERENCE = 0.02  # a difference that can be seen


@dataclass(frozen=True)
class Choice:
    """Some columns of a table.

    Attributes:
        positions: Which, in the order of the table.
        differing: Those of them that were chosen since samples and data differ there, the worst first.
        total: How many there are in all.
    """

    positions: tuple[int, ...]
    differing: tuple[int, ...]
    total: int


def telling(samples: Rows, rows: Rows | None, schema: Schema, most: int) -> Choice:
    """At most so many columns: where samples and data differ the most, then what depends the most on each other.

    No more than half of them are chosen for their difference, and none for one that chance may have made.

    Args:
        samples: Draws of the model (M, C).
        rows: Data (N, C), if there are any.
        schema: The columns.
        most: How many columns are wanted at most.
    """
    total = len(schema.columns)
    positions = [index for index, column in enumerate(schema.columns) if not _says_nothing(column)]
    if not positions:
        positions = list(range(min(1, total)))
    if len(positions) <= most:
        return Choice(tuple(positions), (), total)
    worst: list[int] = []
    if rows is not None and len(rows) and len(samples):
        found = {p: distance(samples[:, p], rows[:, p]) for p in positions}
        chance = kolmogi((1 - CERTAIN) / len(positions)) * math.sqrt(1 / len(samples) + 1 / len(rows))
        worst = [p for p in sorted(positions, key=lambda p: -found[p]) if found[p] > max(chance, VISIBLE_DIFFERENCE)]
        worst = worst[: most // 2]
    chosen = set(worst)
    tells = dependence(samples if rows is None or len(rows) < len(positions) else rows, schema)
    for first, second in _strongest(tells, positions):
        new = {first, second} - chosen
        if len(chosen) + len(new) <= most:
            chosen |= new
    for index in positions:  # an odd one is left
        if len(chosen) < most:
            chosen.add(index)
    return Choice(tuple(sorted(chosen)), tuple(worst), total)


def telling_pair(values: Rows, schema: Schema, positions: list[int]) -> tuple[int, int]:
    """Return the two columns that say the most about each other."""
    return _strongest(dependence(values, schema), positions)[0]


def distance(samples: Rows, rows: Rows) -> float:
    """Return how far samples (M,) and data (N,) differ: the largest difference of the shares below a value.

    Texts are taken in their order. A difference of what is missing counts, too.
    """
    both = [samples, rows]
    lacking = [float(np.isnan(values).mean()) for values in both]
    difference = abs(lacking[0] - lacking[1])
    present = [np.sort(values[~np.isnan(values)]) for values in both]
    if not all(len(values) for values in present):
        return difference
    every = np.unique(np.concatenate(present))
    below = [np.searchsorted(values, every, side="right") / len(values) for values in present]
    return max(difference, float(np.abs(below[0] - below[1]).max()))


def dependence(values: Rows, schema: Schema) -> NDArray[np.float64]:
    """Return how much any two columns of rows (N, C) tell of each other, (C, C), from 0 to 1.

    It is sqrt(1 - exp(-2 I)) with I their mutual information over eighths of the rows (or levels), less what chance
    alone makes of it: for two normals nearly the size of their correlation (Linfoot, 1957).
    """
    parts = [_binned(values[:, index], column) for index, column in enumerate(schema.columns)]
    widths = [int(part.max(initial=-1)) + 1 for part in parts]
    starts = np.concatenate([[0], np.cumsum(widths)])
    hot = np.zeros((len(values), int(starts[-1])), dtype=np.float32)
    for start, part in zip(starts, parts, strict=False):
        hot[np.arange(len(values)), start + part] = 1.0
    joint = (hot.T @ hot).astype(np.float64) / max(1, len(values))
    count = len(parts)
    found = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            table = joint[starts[i] : starts[i + 1], starts[j] : starts[j + 1]]
            expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
            present = table > 0
            information = float((table[present] * np.log(table[present] / expected[present])).sum())
            chance = (widths[i] - 1) * (widths[j] - 1) / (2 * max(1, len(values)))
            found[i, j] = found[j, i] = math.sqrt(1 - math.exp(-2 * max(0.0, information - chance)))
    return found


def _says_nothing(column: Column) -> bool:
    """Return whether all cells are the same."""
    return column.kind == "constant" and not column.has_gaps and not column.subtracted_columns


def _strongest(tells: NDArray[np.float64], positions: list[int]) -> list[tuple[int, int]]:
    """Return all pairs of some columns, the strongest first."""
    pairs = [(a, b) for number, a in enumerate(positions) for b in positions[number + 1 :]]
    return sorted(pairs, key=lambda pair: -tells[pair])


def _binned(values: Rows, column: Column) -> NDArray[np.int64]:
    """Return values (N,) as numbers of bins: eighths of the values, or frequent levels; one bin for missing cells."""
    out = np.zeros(len(values), dtype=np.int64)
    present = ~np.isnan(values)
    own = values[present]
    if not len(own):
        return out
    if column.text:
        levels, counts = np.unique(own, return_counts=True)
        frequent = np.sort(levels[np.argsort(-counts, kind="stable")][: BINS - 1])
        found = np.searchsorted(frequent, own)
        known = np.isin(own, frequent)
        out[present] = np.where(known, found, len(frequent))
    else:
        edges = np.unique(np.quantile(own, np.linspace(0, 1, BINS + 1)[1:-1]))
        out[present] = np.searchsorted(edges, own, side="left")
    out[~present] = out[present].max() + 1
    return out
