"""Whether the days of a week, or the months of a year, differ: in how many rows they have, or in what these hold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flowcli.table.schema import Column
from flowcli.table.values.cell_format import unit_of
from flowcli.table.values.dates import DAY

Numbers = NDArray[np.float64]

PERIODS = {"day": 7, "second": 7, "month": 12, "quarter": 4}
ROWS_EACH = 20  # of one day of the week
ROUNDS = 40  # weeks: a date is known to half a week, which has to be little of its range
ROWS = 20_000  # to look at
CHANCE = 1e-3  # that a difference is seen where there is none, over all columns


def possible_period(column: Column) -> int | None:
    """Return into how many outcomes the density of a column of dates can be divided; ``None`` where it cannot."""
    if column.kind != "real" or column.format is None or column.has_gaps or column.atoms or column.subtracted_columns:
        return None
    unit = unit_of(column.format)
    if unit == "second" and column.step is not None and DAY % column.step:
        return None
    if unit != "second" and column.step != 1:
        return None
    return PERIODS.get(unit or "")


def seasonal_period(column: Column, values: Numbers, index: int) -> int | None:
    """Return into how many outcomes the density of a column of dates is to be divided; ``None`` where it is not.

    Args:
        column: The column.
        values: The rows (N, D), NaN where a cell is no number; texts as their places among the levels.
        index: Which of the table's columns it is.
    """
    period = possible_period(column)
    if period is None:
        return None
    length = DAY if unit_of(column.format or "") == "second" else 1
    rows = values[np.linspace(0, len(values) - 1, min(len(values), ROWS)).astype(np.int64)]
    days = np.floor(rows[:, index] / length)
    if len(rows) < ROWS_EACH * period or np.ptp(days) < ROUNDS * period:
        return None
    days = (days % period).astype(np.int64)
    counts = np.bincount(days, minlength=period)
    statistics = [float(np.square(counts - len(rows) / period).sum() / (len(rows) / period))]
    for position in range(values.shape[1]):
        if position != index:
            statistics.append(_rank_statistic(rows[:, position], days, period))
    return period if max(statistics) > _largest(period - 1, CHANCE / len(statistics)) else None


def _rank_statistic(cells: Numbers, groups: NDArray[np.int64], count: int) -> float:
    """Return by how much the ranks of cells (N,) differ between groups (N,) (Kruskal and Wallis, 1952)."""
    present = ~np.isnan(cells)
    _, indices, sizes = np.unique(cells[present], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[indices]
    if len(sizes) < 2:
        return 0.0
    ranks = (ranks - ranks.mean()) / ranks.std()
    rows = np.bincount(groups[present], minlength=count)
    sums = np.bincount(groups[present], weights=ranks, minlength=count)
    return float((np.square(sums) / np.maximum(rows, 1)).sum())


def _largest(degrees: int, chance: float) -> float:
    """Return what a chi-square variable exceeds with a small chance (Wilson and Hilferty, 1931)."""
    low, high = 0.0, 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > chance else (low, middle)
    share = 2 / (9 * degrees)
    return float(degrees * (1 - share + low * math.sqrt(share)) ** 3)
