"""Columns that are sums of others, but for a few rows: a total and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# A relation that fewer rows hold to says nothing that a flow would not find.
HOLDS = 0.9
ROWS = 20_000  # to look for relations in; all rows are asked whether they hold
TRIMMINGS = 6
# A column of one value mostly is a sum of others by chance, and one of few values, unless it is so in every row.
FEWEST_VALUES, MOST_OF_ONE = 20, 0.5
ROUNDING = 0.02  # of a column's spread: the most that rounding of the parts may make of a sum
CLOSE = 0.01  # of a column's spread: what is not explained so well at once is no sum
DIGITS, NEARLY_WHOLE = 6, 2e-3  # of a factor, and what is so near to a whole one is tried as that
HALF = 1e-6  # of a step: what lies so close below a half is one, but for rounding


@dataclass(frozen=True)
class Relation:
    """A column is a sum of others, but for a few rows.

    Attributes:
        target: The column.
        parts: The others with their factors.
        step: The grid that what is left lies on.
        holds: The share of the rows with a target in which nothing but the usual remainder is left.
    """

    target: int
    parts: tuple[tuple[int, float], ...]
    step: float
    holds: float


def find_relations(
    values: Numbers, steps: Sequence[float | None], targets: Sequence[int], known: Sequence[Relation] = ()
) -> list[Relation]:
    """Find columns that are sums of others.

    Args:
        values: The rows (N, D); NaN in columns that may take no part, and where cells of a sum are missing.
        steps: The grid that each column is written on, where it is, (D,).
        targets: The columns that may be sums.
        known: Relations that were found before.

    Returns:
        The known relations and those found, of which none refers to the target of an earlier one, so that there are no
        circles.
    """
    varied = [i for i in range(values.shape[1]) if _varies(values[:, i])]
    whole = [i for i in varied if not np.isnan(values[:, i]).any()]
    if not whole or len(varied) < 2 or len(values) < 2 * len(whole) + 10:
        return [*known]
    sample = values[np.linspace(0, len(values) - 1, min(len(values), ROWS)).astype(np.int64)]
    distinct = {i: len(np.unique(sample[:, i])) for i in varied}
    found = [*known]
    # Those with the most values first: a total, and not the part that has few.
    for target in sorted((i for i in targets if i in varied), key=lambda i: -distinct[i]):
        step, taken = steps[target], {relation.target for relation in found}
        others = [i for i in whole if i != target and i not in taken]
        rows = sample[~np.isnan(sample[:, target])]
        _, counts = np.unique(rows[:, target], return_counts=True)
        if (
            step is None
            or target in {relation.target for relation in known}
            or len(rows) < 2 * len(others) + 10
            or counts.max() > MOST_OF_ONE * len(rows)
        ):
            continue
        factors = _sparse(rows[:, others], rows[:, target], step)
        if factors is None:
            continue
        parts = tuple((others[k], float(factors[k])) for k in np.flatnonzero(factors))
        grid = min([step, *(steps[i] or step for i, _ in parts)])
        remaining = remainder(values, target, parts, grid)
        held = _held(remaining[~np.isnan(remaining)], grid, [f for _, f in parts], _scale(rows[:, target]))
        if parts and held >= (HOLDS if distinct[target] >= FEWEST_VALUES else 1.0):
            found.append(Relation(target, parts, grid, held))
    return found


def _varies(cells: Numbers) -> bool:
    """Return whether the cells (N,) that are not missing have more than one value."""
    numbers = cells[~np.isnan(cells)]
    return len(numbers) > 0 and bool(np.ptp(numbers) > 0)


def remainder(values: Numbers, target: int, parts: Sequence[tuple[int, float]], step: float) -> Numbers:
    """Return what is left of a column (N,) once others are taken from it, on its grid."""
    remaining = values[:, target].copy()
    for index, factor in parts:
        remaining -= factor * values[:, index]
    return on_grid(remaining, step)


def difference(low: Numbers, high: Numbers, step: float | None) -> Numbers:
    """Return by how much one column (N,) is above another one (N,), on its lattice, if it has one."""
    return high - low if step is None else on_grid(high - low, step)


def on_grid(remaining: Numbers, step: float) -> Numbers:
    """Return numbers (…) rounded to a grid, halves always up.

    Whatever is taken from a column of that grid, neighbours then stay neighbours: halves that went up and down would
    bring two values to one.
    """
    return np.asarray(np.floor(remaining / step + (0.5 + HALF)) * step)


def off_grid(remaining: Numbers, taken: Numbers, step: float) -> Numbers:
    """Return the numbers of the grid of which ``on_grid`` leaves the rest (…), once so much is taken from them."""
    return np.asarray(np.ceil((remaining + taken) / step - (0.5 + HALF)) * step)


def _sparse(others: Numbers, target: Numbers, step: float) -> Numbers | None:
    """Simple factors, as few as will do, with which the other columns (n, d) add up to the target (n,)."""
    factors = _factors(others, target, step)
    if factors is None:
        return None
    for k in reversed(np.flatnonzero(factors).tolist()):  # of two ways to say it, the one with the earlier columns
        kept = [i for i in np.flatnonzero(factors).tolist() if i != k]
        if not kept:
            continue
        fewer = _factors(others[:, kept], target, step)
        if fewer is not None:
            factors = np.zeros_like(factors)
            factors[kept] = fewer
    return factors


def _factors(others: Numbers, target: Numbers, step: float) -> Numbers | None:
    """Simple factors with which the other columns add up to the target, for most of the rows; ``None`` without."""
    size = np.abs(others).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    unit = np.column_stack([others / size, np.ones(len(others))])
    scale = _scale(target)
    first = np.linalg.lstsq(unit, target, rcond=None)[0]
    off = np.abs(target - unit @ first)
    if np.median(off) > CLOSE * scale:
        return None
    solution = first
    for _ in range(TRIMMINGS - 1):
        kept = off <= np.quantile(off, HOLDS)
        solution = np.linalg.lstsq(unit[kept], target[kept], rcond=None)[0]
        off = np.abs(target - unit @ solution)
    # Where a few rows are no sum, trimming is nearer to the factors; where all are, but rounded, what they all say is.
    for factors in (solution[:-1] / size, first[:-1] / size):
        # What moves the sum by less than the grid shows is no part of it.
        moves = np.abs(factors) * np.ptp(others, axis=0)
        factors = np.where(moves < step / 2, 0.0, factors)
        simple = np.array([float(f"{factor:.{DIGITS - 1}e}") for factor in factors])
        whole = np.round(simple)
        for each in (np.where(np.abs(simple - whole) < NEARLY_WHOLE, whole, simple), simple):
            remaining = target - others @ each
            if _held(on_grid(remaining, step), step, each[each != 0].tolist(), scale) >= HOLDS:
                return each
    return None


def _held(remaining: Numbers, step: float, factors: Sequence[float], scale: float) -> float:
    """Return the share of the rows in which the usual remainder is left, or one that rounding makes of it.

    Args:
        remaining: What is left in each row, on the lattice, (N,).
        step: That of the lattice.
        factors: Those of the columns that were taken from the target; each was rounded, and so was the target.
        scale: That of the target, of which what rounding does is a small part.
    """
    left, counts = np.unique(np.round(remaining / step), return_counts=True)
    reach = (len(factors) + 1) // 2
    if (2 * reach + 1) * step > ROUNDING * scale or any(factor != round(factor) for factor in factors):
        reach = 0
    usual = np.abs(left - left[np.argmax(counts)]) <= reach
    return float(counts[usual].sum() / len(remaining))


def _scale(target: Numbers) -> float:
    """Return how far nine tenths of the values (N,) reach, or all, if these are one value."""
    return float(np.subtract(*np.quantile(target, [0.95, 0.05]))) or float(np.ptp(target))
