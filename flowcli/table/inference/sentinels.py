"""Numbers that probably stand for missing cells: 999, -99, in several rows and far from all others."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from flowcli.text import counted, quoted

FEWEST_ROWS, FEWEST_OTHERS = 3, 20
_ALL_NINES = re.compile(r"-?99+")


def sentinel_of(numbers: NDArray[np.float64]) -> tuple[float, int] | None:
    """Return a number of nothing but nines that is farther from all others (N,) than these are from each other.

    Returns:
        The number, and how many rows have it; ``None`` where there is no such number.
    """
    found, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    if counts.sum() < FEWEST_OTHERS or len(found) < 3:
        return None
    for index, others in ((0, found[1:]), (-1, found[:-1])):
        number, rows = float(found[index]), int(counts[index])
        gap = float(np.abs(others - number).min())
        if rows >= FEWEST_ROWS and gap > np.ptp(others) and _ALL_NINES.fullmatch(f"{number:.0f}") and number % 1 == 0:
            return number, rows
    return None


def say_sentinel(name: str, number: float, rows: int) -> str:
    """Return a line that says what a number probably is, and what to do if it is that."""
    have = f"{counted(rows, 'row')} {'has' if rows == 1 else 'have'}"
    return (
        f"column {quoted(name)}: {have} {number:.0f}, far from all other numbers; if that stands for a missing cell,"
        f" give --missing 'NA,{number:.0f}'"
    )
