"""Columns that are sums of others, but for a few rows: a total and its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# A relation that fewer rows hold to says nothing that a flow would not find.
HOLDS = 0.9
ROWS = 20_000  # to look for relations in; all rows are asked whether they hold
TRIMMINGS = 6
# A column of one value mostly is a sum of others by chance, and one of few values, unless it is so in every row.
FEWEST_VALUES, MOST_OF_ONE = 20, 0.5
# Of a column's spread: the most that rounding of the parts may make of a sum, and its deviation if it explains all.
ROUNDING, ROUNDING_OF_ALL = 0.02, 0.05
CLOSE = 0.01  # of a column's spread: what is not explained so well at once is no sum
DIGITS, FEW_DIGITS = 6, 3  # of a factor
NEARLY_WHOLE = 0.05  # what is so near to a whole factor is tried as that
HALF = 1e-6  # of a step: what lies so close below a half is one, but for rounding


@dataclass(frozen=True)
class Relation:
    """A column is a sum of others, but for a few rows.

    Attributes:
        target: The column.
        parts: The others with their factors.
        step: The grid that what is left lies on.
        holds: The share of the rows with a target in which nothing but the usual remainder is left.
        rounding: By how many steps the remainder differs where every row's can be explained by rounding; else zero.
    """

    target: int
    parts: tuple[tuple[int, float], ...]
    step: float
    holds: float
    rounding: int = 0


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
        remaining, scale = remaining[~np.isnan(remaining)], _scale(rows[:, target])
        held, rounding = _held(remaining, grid, [factor for _, factor in parts], scale)
        if parts and held >= (HOLDS if distinct[target] >= FEWEST_VALUES else 1.0):
            found.append(Relation(target, parts, grid, held, rounding if held == 1 else 0))
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
    best = _factors(others, target, step)
    if best is None:
        return None
    for k in reversed(np.flatnonzero(best.factors).tolist()):  # of two ways to say it, the one with the earlier columns
        kept = [i for i in np.flatnonzero(best.factors).tolist() if i != k]
        if not kept:
            continue
        fewer = _factors(others[:, kept], target, step)
        if fewer is not None and fewer.exactly >= best.exactly:
            factors = np.zeros_like(best.factors)
            factors[kept] = fewer.factors
            best = replace(fewer, factors=factors)
    return best.factors


@dataclass(frozen=True)
class _Factors:
    """Factors with which columns add up to another one.

    Attributes:
        factors: One of each of the columns, (d,).
        holds: The share of the rows in which they do, or nearly so where that is what rounding does.
        exactly: The share of the rows in which they do to the digit.
    """

    factors: Numbers
    holds: float
    exactly: float

    @property
    def short(self) -> bool:
        """Whether they have few digits, as those that somebody chose: others can make any number of the rows."""
        return all(factor == float(f"{factor:.{FEW_DIGITS - 1}e}") for factor in self.factors)


def _factors(others: Numbers, target: Numbers, step: float) -> _Factors | None:
    """Simple factors with which the other columns add up to the target, for most of the rows; ``None`` without."""
    size = np.abs(others).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    unit = np.column_stack([others / size, np.ones(len(others))])
    scale = _scale(target)
    first = np.linalg.lstsq(unit, target, rcond=None)[0]
    off = np.abs(target - unit @ first)
    if np.median(off) > max(CLOSE * scale, step):
        return None
    close, solution = np.median(off) <= CLOSE * scale, first
    for _ in range(TRIMMINGS - 1):
        kept = off <= np.quantile(off, HOLDS)
        solution = np.linalg.lstsq(unit[kept], target[kept], rcond=None)[0]
        off = np.abs(target - unit @ solution)
    found = []
    # Where a few rows are no sum, trimming is nearer to the factors; where all are, but rounded, what they all say is.
    for factors in (solution[:-1] / size, first[:-1] / size):
        for simple in _simple(factors, others, step):
            if not close and (simple != np.round(simple)).any():  # a grid so coarse brings much to one number
                continue
            left = on_grid(target - others @ simple, step)
            holds, _ = _held(left, step, simple[simple != 0].tolist(), scale)
            if holds >= HOLDS:
                found.append(_Factors(simple, holds, float(np.unique(left, return_counts=True)[1].max() / len(left))))
    return max(found, key=lambda each: (each.short, each.holds, each.exactly), default=None)


def _simple(factors: Numbers, others: Numbers, step: float) -> tuple[Numbers, Numbers]:
    """Return factors (d,) with few digits, of which those near to whole numbers are whole, and such with few digits."""
    # What moves the sum by less than the grid shows is no part of it.
    moves = np.abs(factors) * np.ptp(others, axis=0)
    factors = np.where(moves < step / 2, 0.0, factors)
    simple = np.array([float(f"{factor:.{DIGITS - 1}e}") for factor in factors])
    whole = np.round(simple)
    return np.where(np.abs(simple - whole) < NEARLY_WHOLE, whole, simple), simple


def _held(remaining: Numbers, step: float, factors: Sequence[float], scale: float) -> tuple[float, int]:
    """Return the share of the rows in which the usual remainder is left, or one that rounding makes of it, and how far.

    Args:
        remaining: What is left in each row, on the lattice, (N,).
        step: That of the lattice.
        factors: Those of the columns that were taken from the target; each was rounded, and so was the target.
        scale: That of the target, of which what rounding does is a small part.
    """
    left, counts = np.unique(np.round(remaining / step), return_counts=True)
    off = np.abs(left - left[np.argmax(counts)])
    reach = (len(factors) + 1) // 2
    explains_all = bool(off.max() <= reach) and all(abs(factor) == 1 for factor in factors)
    deviation = math.sqrt((len(factors) + 1) / 12) * step
    small = (2 * reach + 1) * step <= ROUNDING * scale or (explains_all and deviation <= ROUNDING_OF_ALL * scale)
    if not small or any(factor != round(factor) for factor in factors):
        reach = 0
    return float(counts[off <= reach].sum() / len(remaining)), reach


def _scale(target: Numbers) -> float:
    """Return how far nine tenths of the values (N,) reach, or all, if these are one value."""
    return float(np.subtract(*np.quantile(target, [0.95, 0.05]))) or float(np.ptp(target))
