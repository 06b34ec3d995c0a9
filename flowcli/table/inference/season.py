"""Whether the days of a week, or the months of a year, differ: in how many rows they have, or in what these hold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flowcli.table.schema import Column
from flowcli.table.values.cell_format import unit_of
from flowcli.table.values.dates import DAY, WEEK, YEAR

Numbers = NDArray[np.float64]

PERIODS = {"day": (WEEK, YEAR, WEEK * YEAR), "second": (WEEK, YEAR, WEEK * YEAR), "month": (YEAR,), "quarter": (4,)}
ROWS_EACH = 20  # of one day of the week
ROUNDS = 40  # weeks: a date is known to half a week, which has to be little of its range
YEARS = 4  # of whole months, as their own year's mean is taken from them
ROWS = 20_000  # to look at
CHANCE = 1e-3  # that a difference is seen where there is none, over all columns


def possible_periods(column: Column) -> tuple[int, ...]:
    """Return into how many outcomes the density of a column of dates can be divided; none where it cannot."""
    if column.kind != "real" or column.format is None or column.has_gaps or column.atoms or column.subtracted_columns:
        return ()
    unit = unit_of(column.format)
    if unit == "second" and column.step is not None and DAY % column.step:
        return ()
    if unit != "second" and column.step != 1:
        return ()
    return PERIODS.get(unit or "", ())


def seasonal_period(column: Column, values: Numbers, index: int) -> int | None:
    """Return into how many outcomes the density of a column of dates is to be divided; ``None`` where it is not.

    Args:
        column: The column.
        values: The rows (N, D), NaN where a cell is no number; texts as their places among the levels.
        index: Which of the table's columns it is.
    """
    periods = possible_periods(column)
    if not periods:
        return None
    length = DAY if unit_of(column.format or "") == "second" else 1
    rows = values[np.linspace(0, len(values) - 1, min(len(values), ROWS)).astype(np.int64)]
    dates, others = np.floor(rows[:, index] / length).astype(np.int64), np.delete(rows, index, axis=1)
    if WEEK not in periods:
        return periods[0] if _rounds_differ(dates, others, periods[0]) else None
    by_day = _rounds_differ(dates, others, WEEK)
    if not _months_differ(dates, others):
        return WEEK if by_day else None
    if not by_day:
        return YEAR
    return WEEK * YEAR if len(rows) >= ROWS_EACH * WEEK * YEAR else WEEK


def _rounds_differ(dates: NDArray[np.int64], others: Numbers, period: int) -> bool:
    """Return whether days of a week, say, differ: in how many rows they have, or in other columns (N, D - 1)."""
    if len(dates) < ROWS_EACH * period or np.ptp(dates) < ROUNDS * period:
        return False
    groups = dates % period
    counts = np.bincount(groups, minlength=period)
    statistics = [float(np.square(counts - len(dates) / period).sum() / (len(dates) / period))]
    statistics += [_rank_statistic(cells, groups, period) for cells in others.T]
    return max(statistics) > _largest(period - 1, CHANCE / len(statistics))


def _months_differ(days: NDArray[np.int64], others: Numbers) -> bool:
    """Return whether the months of the year differ: in how many rows they have, or in other columns (N, D - 1).

    The rows of a month are no independent witnesses, as a year that was better is so in many of them. So the means of
    whole months are compared, less those of the year around each (as in the classical decomposition of a series).
    """
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    first = months.min() + 1  # the first and the last may not be whole
    count = int(months.max() - first)
    if len(days) < ROWS_EACH * YEAR or count < YEARS * YEAR:
        return False
    whole = (months >= first) & (months < first + count)
    groups, others = months[whole] - first, others[whole]
    lengths = np.diff((first + np.arange(count + 1)).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64))
    series = [np.bincount(groups, minlength=count) / lengths]
    for cells in others.T:
        present = ~np.isnan(cells)
        rows = np.bincount(groups[present], minlength=count)
        sums = np.bincount(groups[present], weights=_ranks(cells[present]), minlength=count)
        series.append(np.where(rows > 0, sums / np.maximum(rows, 1), np.nan))
    return min(_chance_of_months(each) for each in series) < CHANCE / len(series)


def _chance_of_months(means: Numbers) -> float:
    """Return how likely months of the year, which do not differ, would differ as much as these (count,) do."""
    from scipy.special import fdtrc  # here, since no other command than a fit to dates needs it

    half = YEAR // 2
    around = np.lib.stride_tricks.sliding_window_view(means, YEAR + 1)
    weights = np.r_[0.5, np.ones(YEAR - 1), 0.5] / YEAR
    left = means[half:-half] - around @ weights
    groups = [left[month::YEAR] for month in range(YEAR)]
    groups = [group[~np.isnan(group)] for group in groups]
    if min(len(group) for group in groups) < 2 or np.ptp(np.concatenate(groups)) < 1e-9 * np.abs(means).max():
        return 1.0
    within = sum(float(np.square(group - group.mean()).sum()) for group in groups)
    both = np.concatenate(groups)
    between = float(np.square(both - both.mean()).sum()) - within
    free = len(both) - YEAR
    return float(fdtrc(YEAR - 1, free, between / (YEAR - 1) / (within / free))) if within else 0.0


def _rank_statistic(cells: Numbers, groups: NDArray[np.int64], count: int) -> float:
    """Return by how much the ranks of cells (N,) differ between groups (N,) (Kruskal and Wallis, 1952)."""
    present = ~np.isnan(cells)
    ranks = _ranks(cells[present])
    if len(ranks) < 2 or not np.ptp(ranks):
        return 0.0
    ranks = (ranks - ranks.mean()) / ranks.std()
    rows = np.bincount(groups[present], minlength=count)
    sums = np.bincount(groups[present], weights=ranks, minlength=count)
    return float((np.square(sums) / np.maximum(rows, 1)).sum())


def _ranks(numbers: Numbers) -> Numbers:
    """Return the ranks of numbers (N,), those of equal ones the mean of theirs, (N,)."""
    _, indices, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[indices], dtype=np.float64)


def _largest(degrees: int, chance: float) -> float:
    """Return what a chi-square variable exceeds with a small chance (Wilson and Hilferty, 1931)."""
    low, high = 0.0, 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > chance else (low, middle)
    share = 2 / (9 * degrees)
    return float(degrees * (1 - share + low * math.sqrt(share)) ** 3)
