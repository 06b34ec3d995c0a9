"""Some rows of a table of any length, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.random import Stream, numpy_generator
from flowcli.table.io.reader import BadRows, open_table
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column
from flowcli.text import printable

_BLOCK = 65_536


@dataclass(frozen=True)
class Subset:
    """Rows drawn from a table without replacement.

    Attributes:
        values: The rows (n, D), in the order of the table; see ``Block.values``.
        total: How many rows the table has that can be used.
        bad: How many it has that cannot.
    """

    values: NDArray[np.float64]
    total: int
    bad: int


def read_subset(
    source: str,
    columns: Sequence[Column],
    most: int,
    seed: int,
    options: ReadOptions,
    *,
    notice: Callable[[str], None],
    bad_rows: BadRows = "refuse",
) -> Subset:
    """Read a table and keep at most so many of its rows, each as likely as any other.

    Every row gets a random number by its place in the table, and those with the smallest ones stay: the same rows
    whatever the blocks are, in memory for these rows alone.

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, rows that cannot be used, or no rows.
    """
    random = numpy_generator(seed, Stream.RESERVOIR)
    kept = np.empty((0, len(columns)))
    keys = np.empty(0)
    total = bad = 0
    with open_table(source, columns, _BLOCK, options, notice=notice, bad_rows=bad_rows) as reader:
        for block in reader:
            values, own = block.values, random.random(len(block.values))
            if block.bad is not None:
                values, own = values[~block.bad], own[~block.bad]
                bad += int(block.bad.sum())
            total += len(values)
            kept, keys = np.concatenate([kept, values]), np.concatenate([keys, own])
            if len(keys) > most:
                selected = np.sort(np.argpartition(keys, most)[:most])
                kept, keys = kept[selected], keys[selected]
    if not total:
        what = "has no row that can be used" if bad else "has a header but no rows"
        raise DataError(what, source=printable(source))
    return Subset(kept, total, bad)
