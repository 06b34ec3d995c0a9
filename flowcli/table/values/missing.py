"""Which cells are missing: the empty one, and words or numbers that stand for one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

PADDING = " \t"
# Chosen, not pyarrow's default, which also takes '#N/A', 'n/a' and others: a word that is not here is reported.
USUAL = ("NA", "N/A", "NaN", "nan", "null", "NULL")


@dataclass(frozen=True)
class MissingWords:
    """What stands for a missing cell, beside the empty one.

    Attributes:
        words: Texts, without blanks around them. One that is a number stands for all cells of that number.
    """

    words: tuple[str, ...] = USUAL

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The words that are numbers, (n,)."""
        found = [value for word in self.words if (value := _finite(word)) is not None]
        return np.array(found, dtype=np.float64)

    def is_missing(self, cell: str) -> bool:
        """Return whether a cell is missing."""
        text = cell.strip(PADDING)
        return text in ("", *self.words) or (len(self.numbers) > 0 and _finite(text) in self.numbers)

    def among(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return which texts (n,), without blanks around them, are missing, (n,)."""
        return pc.is_in(texts, value_set=pa.array(["", *self.words]))

    def remove(self, values: NDArray[np.float64]) -> None:
        """Put NaN for the numbers among values (...) that stand for missing cells, in place."""
        if len(self.numbers):
            values[np.isin(values, self.numbers)] = np.nan


def _finite(text: str) -> float | None:
    """Return the finite number that a text is; ``None`` where it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
