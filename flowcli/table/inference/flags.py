"""Columns of zeros and ones that add up: the dummies of one category, a flag and its opposite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.random import Stream, numpy_generator
from flowcli.table.inference.relations import ROWS, Relation, remainder

Numbers = NDArray[np.float64]

FEWEST_AGAINST = 20  # rows that would go against a sum, were the columns independent
EXACT = 1e-9  # of the rows: what a sum of whole numbers misses by rounding alone


def find_sums_of_flags(values: Numbers, flags: Sequence[int], targets: Sequence[int]) -> list[Relation]:
    """Find flags that are sums and differences of others, and a constant, in every row.

    Args:
        values: The rows (N, D).
        flags: The columns of zeros and ones, both of which they have.
        targets: Those of them that may be sums.

    Returns:
        The relations, of which none refers to the target of an earlier one.
    """
    if len(values) < 2 * len(flags) + 10:
        return []
    left, found = list(flags), []
    while (relation := _next(values, left, targets)) is not None:
        found.append(relation)
        left.remove(relation.target)
    return found


def _next(values: Numbers, flags: Sequence[int], targets: Sequence[int]) -> Relation | None:
    """Return the first flag that the others add up to; ``None`` where there is none."""
    rows = values[np.linspace(0, len(values) - 1, min(len(values), ROWS)).astype(np.int64)][:, flags]
    table = np.column_stack([rows, np.ones(len(rows))])
    products = table.T @ table
    for number in _dependent(products):
        if flags[number] not in targets:
            continue
        factors = _factors(products, number)
        if factors is None:
            continue
        parts = tuple((flags[i], float(factors[i])) for i in np.flatnonzero(factors).tolist())
        remaining = remainder(values, flags[number], parts, 1.0)
        if (remaining == remaining[0]).all() and _is_felt(rows, number, factors):
            return Relation(flags[number], parts, 1.0, 1.0)
    return None


def _dependent(products: Numbers) -> Iterator[int]:
    """Yield the columns that have a part in a sum that is zero in every row, the constant aside."""
    sizes, directions = np.linalg.eigh(products)
    nothing = directions[:, sizes <= EXACT * np.trace(products)]
    yield from np.flatnonzero((np.abs(nothing[:-1]) > 1e-6).any(axis=1)).tolist()


def _factors(products: Numbers, target: int) -> Numbers | None:
    """Return whole factors (F,), as few as will do, with which the others and a constant add up to a column."""
    constant = len(products) - 1
    kept = [i for i in range(constant) if i != target]
    solution = _solved(products, [*kept, constant], target)
    if solution is None:
        return None
    for k in reversed(kept.copy()):  # of two ways to say it, the one with the earlier columns
        fewer = _solved(products, [*(i for i in kept if i != k), constant], target)
        if fewer is not None:
            solution = fewer
            kept.remove(k)
    factors = np.zeros(constant)
    factors[kept] = solution[:-1]
    whole = np.round(factors)
    return whole if kept and (np.abs(factors - whole) < 1e-6).all() else None


def _solved(products: Numbers, columns: Sequence[int], target: int) -> Numbers | None:
    """Return the factors with which columns add up to another one; ``None`` where they do not."""
    solution = np.linalg.lstsq(products[np.ix_(columns, columns)], products[columns, target], rcond=EXACT)[0]
    missed = products[target, target] - solution @ products[columns, target]
    return np.asarray(solution) if abs(missed) <= EXACT * len(products) * products[-1, -1] else None


def _is_felt(rows: Numbers, target: int, factors: Numbers) -> bool:
    """Return whether flags (n, F) that knew nothing of each other would go against the sum in many rows."""
    random = numpy_generator(0, Stream.MIXED_FLAGS)
    mixed = random.permuted(rows, axis=0)
    remaining = mixed[:, target] - mixed @ factors
    usual = rows[0, target] - rows[0] @ factors
    return int((remaining != usual).sum()) >= FEWEST_AGAINST
