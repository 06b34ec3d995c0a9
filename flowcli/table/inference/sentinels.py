"""Numbers that stand for a missing cell: ``-999`` among temperatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.table.schema import Column
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.missing import missing_flag
from flowcli.text import and_more, quoted

Numbers = NDArray[np.float64]

FEWEST_ROWS = 3  # that have it
FEWEST_OTHERS = 3  # different numbers, without which nothing is far


def say_sentinels(
    columns: Sequence[Column], values: Numbers, words: tuple[str, ...] | None, notice: Callable[[str], None]
) -> None:
    """Say in one line which numbers may stand for a missing cell, and how to say that they do.

    Args:
        columns: The columns, (D,).
        values: The rows, (N, D).
        words: The words that stand for a missing cell; ``None`` for the usual ones.
        notice: Called with the line, if there is any.
    """
    parts: list[str] = []
    numbers: dict[str, None] = {}
    for column, cells in zip(columns, values.T, strict=True):
        if column.text or (column.format is not None and is_date(column.format)):
            continue
        for number, rows in sentinels(cells[~np.isnan(cells)]).items():
            shown = repr(number).removesuffix(".0")
            numbers[shown] = None
            parts.append(f"{shown} in {rows:,} rows of {quoted(column.name)}")
    if not parts:
        return
    one = "it stands for a missing cell" if len(numbers) == 1 else "they stand for missing cells"
    flag = missing_flag(words, list(numbers))
    notice(f"far from the other numbers: {and_more(parts)}; if {one}, give {flag}")


def sentinels(numbers: Numbers) -> dict[float, int]:
    """Find the numbers at the ends of a column (n,) that look like words for a missing cell; each with its rows.

    Such a number is made of nines, or is -1; some rows have it, and it lies farther from all others than these from
    each other.
    """
    if not len(numbers) or not (_looks_like_one(numbers.min()) or _looks_like_one(numbers.max())):
        return {}  # as nearly always, without sorting
    found, counts = np.unique(numbers, return_counts=True)
    first, last = 0, len(found)
    while first < last and counts[first] >= FEWEST_ROWS and _looks_like_one(found[first]):
        first += 1
    while first < last and counts[last - 1] >= FEWEST_ROWS and _looks_like_one(found[last - 1]):
        last -= 1
    others = found[first:last]
    if len(others) < FEWEST_OTHERS:
        return {}
    least, most = float(others[0]), float(others[-1])
    ends = [*range(first), *range(last, len(found))]
    outlying = [i for i in ends if max(least - found[i], found[i] - most) > most - least]
    return {float(found[i]): int(counts[i]) for i in outlying}


def _looks_like_one(number: float) -> bool:
    """Return whether a number is made of nines, more than one where it is above zero, or is -1."""
    digits = repr(abs(float(number))).removesuffix(".0").replace(".", "")
    nines = set(digits) == {"9"} and (number < 0 or len(digits) > 1)
    return nines or number == -1
