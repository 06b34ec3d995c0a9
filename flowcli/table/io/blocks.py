"""Blocks of exactly as many rows as asked for, wherever the table was cut to be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.parallel.waiting import Waiting


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a table.

    Attributes:
        values: The columns asked for, in the order asked, (rows, D): NaN where a cell is missing, for a text its place
            among the column's levels, and -1 for one that is not among them.
        cells: All columns as a ``pa.Table``: the text exactly as in a CSV file, the typed cells of a Parquet file;
            ``None`` unless they were asked for.
        bad: The rows with a cell that cannot be used, all of whose values are NaN, (rows,); ``None`` where none has.
    """

    values: NDArray[np.float64]
    cells: pa.Table | None
    bad: NDArray[np.bool_] | None = None

    def rows(self, start: int, stop: int) -> Block:
        """Return some of the rows, without copying them."""
        cells = None if self.cells is None else self.cells.slice(start, stop - start)
        return Block(self.values[start:stop], cells, None if self.bad is None else self.bad[start:stop])


def in_blocks(parts: Iterable[Block | Waiting], rows: int) -> Iterator[Block | Waiting]:
    """Cut and join blocks so that each but the last has exactly so many rows."""
    waiting: list[Block] = []
    count = 0
    for part in parts:
        if isinstance(part, Waiting):
            yield part
            continue
        waiting.append(part)
        count += len(part.values)
        if count >= rows:
            joined, start = _joined(waiting), 0
            while count >= rows:
                yield joined.rows(start, start + rows)
                start, count = start + rows, count - rows
            waiting = [joined.rows(start, start + count)] if count else []
    if count:
        yield _joined(waiting)


def _joined(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    cells = None if parts[0].cells is None else pa.concat_tables([part.cells for part in parts])
    bad = None
    if any(part.bad is not None for part in parts):
        bad = np.concatenate([np.zeros(len(p.values), np.bool_) if p.bad is None else p.bad for p in parts])
    return Block(np.concatenate([part.values for part in parts]), cells, bad)
