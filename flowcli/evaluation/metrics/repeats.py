"""Rows that are there more than once: repeats of one table, and what two tables have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

LEAST_SHARE = 0.01  # of rows that repeat another: fewer change no test
NATURAL = 0.1  # of the rows' repeats: what draws have of their own, where rows repeat for no reason that a model knows
MOST_TIMES = 10  # as often as rows usually are: one that is there more often is an atom, which a model should know
LEAST_SEEN = 0.05  # of the rows that are training rows, from where on figures are not of new rows


@dataclass(frozen=True)
class Seen:
    """Rows that are training rows, to the digit.

    Attributes:
        count: How many.
        rows: Of how many.
    """

    count: int
    rows: int


def numbered(*tables: Rows) -> list[NDArray[np.int64]]:
    """Return a number for each row of tables (N_i, C), the same for equal rows; missing cells are equal."""
    whole = np.concatenate(tables)
    whole = np.where(np.isnan(whole), np.nan, whole + 0.0)  # one bit pattern for each of NaN and zero
    bits = np.ascontiguousarray(whole).view(np.dtype((np.void, 8 * whole.shape[1]))).ravel()
    numbers = np.unique(bits, return_inverse=True)[1].astype(np.int64)
    return np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])


def once(rows: Rows, draws: Rows) -> NDArray[np.int64] | None:
    """The first of each distinct row, where rows repeat and a model's draws do not; ``None`` where there is no need.

    Tests take rows to be independent. A table that has been pasted to itself has as many independent rows as distinct
    ones, and a classifier that learned from a row knows its twin. Rows of categories or of rounded numbers repeat by
    chance, but then so do draws.

    Args:
        rows: (N, C).
        draws: (M, C).
    """
    first, counts = np.unique(numbered(rows)[0], return_index=True, return_counts=True)[1:]
    share = 1 - len(first) / len(rows)
    if share < LEAST_SHARE or counts.max() > MOST_TIMES * np.median(counts):
        return None
    again = len(draws) - len(np.unique(numbered(draws)[0]))
    # The more rows there are, the more are by chance like another.
    by_chance = (again + 1) / max(len(draws), 1) * len(rows) / max(len(draws), 1)
    return np.sort(first) if by_chance < NATURAL * share else None


def seen(rows: Rows, draws: Rows, train: Rows) -> Seen | None:
    """Return how many rows are training rows, where more are than by chance; ``None`` where that is not so.

    Args:
        rows: (N, C).
        draws: (M, C), which are training rows by chance alone, unless the model copies.
        train: (T, C), of which each is another by chance alone, unless they have been repeated.
    """
    ours, theirs, known = numbered(rows, draws, train)
    among = np.isin(ours, known)
    counts = np.bincount(known)
    by_chance = min(float(np.isin(theirs, known).mean()), float((counts[known] > 1).mean()))
    share = float(among.mean())
    return Seen(int(among.sum()), len(rows)) if share >= LEAST_SEEN and by_chance < share / 2 else None
