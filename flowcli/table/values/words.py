"""Words among the numbers of a column: ``<0.1``, ``unknown``, ``5+``.

A table in memory is float64, and a cell that is no number is not a number there either: a missing cell is the usual
NaN, the k-th word of a column a NaN whose lowest bits say k + 1. Whatever is computed from numbers alone leaves both
out in the same way, and what copies cells keeps their bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_NAN = 0x7FF8_0000_0000_0000  # a quiet one
PAYLOAD = 0xFFFF_FFFF  # the bits of a NaN that say which word it is


def as_cells(indices: NDArray[np.int64]) -> Numbers:
    """Return the cells that stand for words, by their indices among a column's words, (n,)."""
    return (indices.astype(np.int64) + 1 + _NAN).view(np.float64)


def indices_of(cells: Numbers) -> NDArray[np.int64]:
    """Return which word stands in each cell, (...); -1 where it is a number, or missing."""
    bits = np.ascontiguousarray(cells).view(np.int64)
    return np.where(np.isnan(cells), (bits & PAYLOAD) - 1, -1)


def is_missing(cells: Numbers) -> NDArray[np.bool_]:
    """Return which cells (...) are neither numbers nor words, (...)."""
    return np.asarray(np.isnan(cells) & (indices_of(cells) < 0))
