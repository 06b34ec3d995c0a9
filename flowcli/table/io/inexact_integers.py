"""Integers that a float64 cannot hold: read all the same, and said once for each column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.parallel.waiting import Waiting
from flowcli.table.io.chunks import Chunk, TableSource
from flowcli.table.values.numbers import LARGEST_EXACT, rounded_integer, to_arrow
from flowcli.text import quoted

Notice = Callable[[str], None]


def read_chunks(
    source: TableSource, numbers: Sequence[int | None], kept: Sequence[int], notice: Notice
) -> Iterator[Chunk | Waiting]:
    """Read a table, and say once for each column of numbers that integers above 2^53 were rounded.

    Only rows with such a value cost anything. See ``TableSource.chunks``.
    """
    unsaid = {index: position for index, position in enumerate(numbers) if position is not None}
    for chunk in source.chunks(numbers, kept):
        if not isinstance(chunk, Waiting) and chunk.malformed is None:
            large = np.abs(chunk.values) >= LARGEST_EXACT
            for index in np.flatnonzero(large.any(axis=0)).tolist():
                if index in unsaid and (where := _first_rounded(chunk, index, unsaid[index], large[:, index])):
                    name = source.header[unsaid.pop(index)]
                    row, cell = where
                    became = f"{quoted(cell)} became {int(chunk.values[row, index])}"
                    notice(f"{chunk.where(row)}, column {name!r}: integers above 2^53 are rounded: {became}")
        yield chunk


def _first_rounded(chunk: Chunk, index: int, position: int, large: NDArray[np.bool_]) -> tuple[int, str] | None:
    """Return the row and the text of the first of a column's large numbers that is an integer and was rounded."""
    column = chunk.column(position)
    if not (pa.types.is_string(column.type) or pa.types.is_integer(column.type)):
        return None
    rows = np.flatnonzero(large)
    cells = [str(cell).strip() for cell in column.take(to_arrow(rows)).to_pylist()]
    found = rounded_integer(cells, chunk.values[rows, index])
    return None if found is None else (int(rows[found]), cells[found])
