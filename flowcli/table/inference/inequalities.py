"""Columns that are never below another one: a start and an end, a low and a high, a part and a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FEWEST_ROWS, FEWEST_VALUES = 100, 20
ROWS, PROBED = 20_000, 500  # to look in, and to look in first; all rows are asked whether they hold
# Rows that would go against it, were the columns independent, or their difference normal.
FEWEST_BELOW, SHARE_BELOW = 10.0, 0.01
# Of the rows: as many would, were the ratio log-normal, where columns differ in size more than from one another.
SHARE_BELOW_RATIO = 0.05
NARROW = 2.0  # between the ends of such a range ratios are differences


class Inequality(NamedTuple):
    """A column is at least another one, in every row; both are given by their indices."""

    low: int
    high: int


def find_inequalities(
    values: Numbers, columns: Sequence[int], comparable: Callable[[int, int], bool], amounts: Collection[int]
) -> list[Inequality]:
    """Find columns that are never below another one, which is nearer to them than all others that are never above.

    That it holds in every row is not enough. Columns that lie apart are in order by accident, and so are those in two
    units. So their ranges must overlap, and the boundary must be felt: a normal difference would cross it.

    Args:
        values: The rows (N, D).
        columns: Those that may take part, without missing cells.
        comparable: Whether a column may be the lower one of another.
        amounts: The columns for which ratios make sense.

    Returns:
        At most one inequality for each higher column, by that. There are no circles among them.
    """
    if len(values) < FEWEST_ROWS:
        return []
    rows = values[np.linspace(0, len(values) - 1, min(len(values), ROWS)).astype(np.int64)]
    varied = [index for index in columns if len(np.unique(rows[:, index])) >= FEWEST_VALUES]
    found = []
    for high in varied:
        for low in _never_above(rows, [i for i in varied if i != high and comparable(i, high)], high):
            if not _is_felt(rows[:, low], rows[:, high], low in amounts and high in amounts):
                continue
            if (values[:, low] <= values[:, high]).all():
                found.append(Inequality(low, high))
                break
    return found


def _never_above(rows: Numbers, others: Sequence[int], high: int) -> Iterator[int]:
    """Yield which other columns of rows (n, D) are nowhere above one, the nearest first."""
    probed = rows[:: max(1, len(rows) // PROBED)]
    left = [low for low in others if (probed[:, low] <= probed[:, high]).all()]
    left = [low for low in left if (rows[:, low] <= rows[:, high]).all()]
    yield from sorted(left, key=lambda low: float((rows[:, high] - rows[:, low]).mean()))


def _is_felt(low: Numbers, high: Numbers, amounts: bool) -> bool:
    """Return whether that no row of a column (n,) is above that of another says more than where the two lie."""
    difference = high - low
    if not difference.std() > 0 or not (_reaches(low, high) and _reaches(high, low)):
        return False
    independent = float(np.searchsorted(np.sort(high), low).mean()) / len(high)
    least = max(FEWEST_BELOW / len(low), SHARE_BELOW)
    if independent < least or share_below_zero(difference) < FEWEST_BELOW / len(low):
        return False
    above = low > 0
    if not amounts or low.min() < 0 or above.mean() < 0.5 or low.max() < NARROW * low.min():
        return True
    return share_below_zero(np.log(high[above] / low[above])) >= max(FEWEST_BELOW / len(low), SHARE_BELOW_RATIO)


def _reaches(column: Numbers, other: Numbers) -> bool:
    """Return whether the range of a column (n,) holds the middle of another one (n,)."""
    return bool(column.min() < np.median(other) < column.max())


def share_below_zero(numbers: Numbers) -> float:
    """Return how much of a normal with the mean and the deviation of numbers (n,) lies below zero."""
    deviation = float(numbers.std())
    return 0.5 * math.erfc(float(numbers.mean()) / deviation / math.sqrt(2)) if deviation > 0 else 0.0
