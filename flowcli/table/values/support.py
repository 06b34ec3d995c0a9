"""Which values a column can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.table.schema import Column

Numbers = NDArray[np.float64]

# How far printing and float32 move a number, as a share of it, and the share of a step that this is at most.
PRINTED, MOST_OF_STEP = 1e-6, 1 / 64
FLOAT = 4 * float(np.finfo(np.float64).eps)  # how far arithmetic moves one


def outside(column: Column, cells: Numbers) -> NDArray[np.bool_]:
    """Return which numbers (N,) lie outside of a continuous column's support."""
    lower, upper = column.support
    # The rounding interval around a value on the edge is cut by the bound, so the value is inside all the same, and a
    # share of 1 was measured as less; the two edges of a circle are one point of it.
    if column.step is not None or column.kind in ("circular", "bounded"):
        return np.asarray((cells < lower) | (cells > upper))
    return np.asarray((cells <= lower) | (cells >= upper))


def off_lattice(column: Column, cells: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which numbers (N,) a rounded column cannot hold, as they lie off its lattice, and which it may, though so.

    A column may hold numbers with more digits, or between steps that are coarser than its digits: the latter are those
    that are returned, as they are of small probability.
    """
    nowhere = np.zeros(len(cells), dtype=np.bool_)
    off = nowhere if column.takes_more_digits else between(column, cells)
    if not column.off_lattice:
        return off, nowhere
    longer = off_digits(column, cells) if column.integer else nowhere
    return off & longer, off & ~longer


def log_shares(column: Column, cells: Numbers) -> Numbers:
    """Return the logarithm of the probability with which numbers (N,) lie on their lattice or off it, as they do, (N,).

    Missing cells lie nowhere: zero.
    """
    impossible, unlikely = off_lattice(column, cells)
    shares = np.where(impossible, -np.inf, math.log1p(-column.off_lattice))
    if column.off_lattice:
        shares[unlikely] = math.log(column.off_lattice)
        shares[np.isnan(cells)] = 0.0
    return shares


def between(column: Column, cells: Numbers) -> NDArray[np.bool_]:
    """Return which numbers (N,) lie between those of a rounded column's lattice, farther than printing moves them."""
    if column.step is None:
        return np.zeros(len(cells), dtype=np.bool_)
    size = np.abs(cells)
    # So far out neighbours of float64 lie farther apart than numbers of the lattice do.
    cells = np.where(FLOAT * size > column.step, column.origin, cells)
    moved = np.minimum(PRINTED * size, MOST_OF_STEP * column.step)
    allowed = np.maximum(np.maximum(moved, column.tolerance), FLOAT * size)
    return np.asarray(np.abs(cells - column.nearest(cells)) > allowed)


def off_digits(column: Column, cells: Numbers) -> NDArray[np.bool_]:
    """Return which numbers (N,) have more digits after the point than a column has."""
    digits = 0 if column.integer else column.decimals
    if digits is None:
        return np.zeros(len(cells), dtype=np.bool_)
    return between(Column(column.name, step=float(f"1e-{digits}"), decimals=digits), cells)


def first_invalid(column: Column, cells: Numbers) -> tuple[int, str] | None:
    """Return the first cell (N,) that a column cannot hold, and what is wrong with it; ``None`` where all are fine."""
    if column.subtracted_columns:
        return None
    if column.text:
        wrong, be = cells < 0, "a text that is not among the rows that were fitted to"
    elif column.kind == "constant":
        wrong, be = cells != column.value, f"where the column was always {column.value!r}"
    elif column.kind == "discrete":
        if column.has_unseen_values:
            return None
        near = np.abs(cells[:, None] - np.array(column.values)).min(axis=1)
        wrong, be = near > 1e-6 * (column.step or 0.0), f"not one of the {len(column.values)} values of the column"
    else:
        wrong = outside(column, cells) & ~np.isin(cells, column.atoms)
        be = f"outside the column, which is {_described(column)}"
        if not (column.given or wrong.any()):
            wrong = off_lattice(column, cells)[0] & ~np.isin(cells, column.atoms)
            be = f"none of the column's numbers, which lie {column.step:g} apart" if column.step else ""
    wrong &= ~np.isnan(cells)
    if not wrong.any():
        return None
    row = int(np.argmax(wrong))
    return row, be if column.text else f"{float(cells[row])!r} is {be}"


def first_below(columns: Sequence[Column], values: Numbers) -> tuple[int, str, str] | None:
    """Return the first row (N, D) with a number below that of a column that it is never below, and what is wrong.

    Returns:
        The row, the name of the column, and what it is; ``None`` where all are fine.
    """
    names = [column.name for column in columns]
    for high, column in enumerate(columns):
        if column.at_least in names:
            below = values[:, high] < values[:, names.index(column.at_least)]
            if below.any():
                return int(np.argmax(below)), column.name, f"below {column.at_least!r}, which it was never in the fit"
    return None


def _described(column: Column) -> str:
    lower, upper = column.support
    if column.kind == "positive":
        return f"above {lower:g}" if lower else "positive"
    return f"{column.kind}, from {lower:g} to {upper:g}"
