"""Parquet, some rows at a time, with the types that the file declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError, ResourceError
from flowcli.table.values.numbers import from_arrow
from flowcli.text import printable, quoted


class ParquetReader:
    """A Parquet file as tables of rows.

    Args:
        file: The open file.
        source: The name for messages.

    Raises:
        DataError: The file is not Parquet, is damaged, or has duplicate names.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        import pyarrow.parquet  # here, since reading CSV has no use for it

        self._name = printable(source)
        try:
            self._file = pyarrow.parquet.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.header: list[str] = list(self._file.schema_arrow.names)
        for name in self.header:
            if not name.strip():
                raise DataError("there is a column without a name; name it", source=self._name)
            if self.header.count(name) > 1:
                raise DataError(f"two columns have the same name {quoted(name)}; rename one", source=self._name)

    @property
    def schema(self) -> pa.Schema:
        """The ``pa.Schema`` of the file."""
        return self._file.schema_arrow

    def tables(self, rows: int, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """Yield ``pa.Table`` of at most ``rows`` rows, of the named columns or of all."""
        try:
            # A name with a dot would be taken for a path into a nested column unless the top level is asked for.
            names = None if columns is None else list(columns)
            for batch in self._file.iter_batches(batch_size=rows, columns=names):
                table = pa.Table.from_batches([batch])
                yield table if names is None else table.select(names)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError | ResourceError:
        text = " ".join(str(error).split())[:200]
        if isinstance(error, OSError) and error.errno is not None:
            return ResourceError(f"{self._name}: cannot be read: {error.strerror}")
        return DataError(f"cannot be read as Parquet ({text})", source=self._name)


def numbers(table: pa.Table, names: Sequence[str], source: str, first_row: int) -> NDArray[np.float64]:
    """Convert typed columns to float64, NaN where a cell is missing, (rows, D).

    Raises:
        DataError: A type that is not a number, a value that is not finite.
    """
    array = np.empty((table.num_rows, len(names)))
    for index, name in enumerate(names):
        array[:, index] = from_arrow(table.column(name), name, printable(source))
    faults = np.argwhere(np.isinf(array))
    if len(faults):
        row, index = (int(i) for i in faults[0])
        problem = f"is {array[row, index]}, not finite; drop the row or give a finite value"
        raise DataError(f"row {first_row + row + 1} {problem}", source=printable(source), column=names[index])
    return array
