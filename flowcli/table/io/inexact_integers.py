"""Integers that a float64 cannot hold: read all the same, and said once for each column."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.table.io.csv_reader import Chunk
from flowcli.table.io.csv_scan import records
from flowcli.table.read_options import ReadOptions
from flowcli.table.values.numbers import LARGEST_EXACT, rounded_integer
from flowcli.text import printable, quoted

Notice = Callable[[str], None]


class InexactIntegers:
    """Says, once for each column, that integers above 2^53 were rounded."""

    def __init__(self, names: Sequence[str], source: str, options: ReadOptions, notice: Notice) -> None:
        self._names = names
        self._source = source
        self._separator = options.delimiter.encode()
        self._notice = notice
        self._said: set[int] = set()

    def inspect(self, chunk: Chunk, positions: Sequence[int]) -> None:
        """Look at the next rows; only rows with a value above 2^53 cost anything."""
        large = np.abs(chunk.values) >= LARGEST_EXACT
        columns = [index for index in np.flatnonzero(large.any(axis=0)).tolist() if index not in self._said]
        if not columns:
            return
        rows = np.flatnonzero(large[:, columns].any(axis=1)).tolist()
        wanted = set(rows)
        cells = [r.cells for i, r in enumerate(records(chunk.data, self._separator)) if i in wanted]
        for index in columns:
            texts = [row[positions[index]].decode() for row in cells]
            found = rounded_integer(texts, chunk.values[rows, index])
            if found is not None:
                self._said.add(index)
                say_rounded(
                    f"{source_name(self._source)}:{chunk.line(rows[found])}",
                    self._names[index],
                    texts[found].strip(),
                    chunk.values[rows[found], index],
                    self._notice,
                )


class InexactTypedIntegers:
    """Watches the typed columns of Parquet files and frames."""

    def __init__(self, names: Sequence[str], source: str, notice: Notice) -> None:
        self._names = names
        self._source = source
        self._notice = notice
        self._said: set[int] = set()

    def inspect(self, table: pa.Table, values: NDArray[np.float64], first_row: int) -> None:
        """Look at the next rows."""
        for index, name in enumerate(self._names):
            column = table.column(name)
            if index in self._said or not pa.types.is_integer(column.type) or column.type.bit_width < 64:
                continue
            rows = np.flatnonzero(np.abs(values[:, index]) >= LARGEST_EXACT)
            exact = column.take(pa.array(rows)).to_pylist()
            found = rounded_integer([str(cell) for cell in exact], values[rows, index])
            if found is not None:
                self._said.add(index)
                where = f"{source_name(self._source)}, row {first_row + int(rows[found]) + 1}"
                say_rounded(where, name, str(exact[found]), values[rows[found], index], self._notice)


def source_name(source: str) -> str:
    """Return a source as the start of a notice."""
    return "standard input" if source == "-" else printable(source)


def say_rounded(where: str, name: str, written: str, value: float, notice: Notice) -> None:
    """Give the notice."""
    became = f"{quoted(written)} became {int(value)}"
    notice(f"{where}, column {name!r}: integers above 2^53 are rounded: {became}")
