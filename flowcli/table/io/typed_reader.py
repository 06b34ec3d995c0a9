"""Tables whose columns have types: Parquet files, some rows at a time, and pandas frames, whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flowcli.errors import DataError, ResourceError
from flowcli.table.io.chunks import Chunk
from flowcli.table.values.missing import missing_cells
from flowcli.table.values.numbers import from_arrow
from flowcli.text import printable, quoted

if TYPE_CHECKING:
    import pandas as pd

FRAME = "the frame"


@dataclass(frozen=True)
class TypedChunk(Chunk):
    """Rows of typed columns.

    Attributes:
        table: The cells of all columns that were asked for.
        header: The names of all columns.
    """

    table: pa.Table
    header: list[str]

    def column(self, position: int) -> pa.ChunkedArray:
        """Return the cells of a column."""
        return self.table.column(self.header[position])

    def error(self, row: int, position: int, problem: str | None = None) -> DataError:
        """Return the error for a cell, with the number of its row."""
        if problem is None:
            value = float(self.column(position)[row].as_py())
            problem = f"is {value}, not finite; drop the row or give a finite value"
        return DataError(f"row {self.first_row + row + 1} {problem}", source=self.source, column=self.header[position])


class TypedReader(ABC):
    """A table of typed columns as chunks of rows; a ``TableSource``.

    Args:
        name: What it is called in messages.
        header: The names of its columns.
        missing: The words for a missing cell; ``None`` for the usual ones.

    Raises:
        DataError: A column has no name, or two have the same.
    """

    typed = True

    def __init__(self, name: str, header: list[str], missing: tuple[str, ...] | None) -> None:
        self.name, self.header, self.missing = name, header, missing_cells(missing)
        for each in header:
            if header.count(each) > 1:
                raise DataError(f"two columns have the same name {quoted(each)}; rename one", source=name)

    @abstractmethod
    def types(self, positions: Sequence[int]) -> pa.Schema:
        """Return the types of some columns."""

    @abstractmethod
    def tables(self, positions: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the rows, with these columns at least, none of it empty."""

    def chunks(self, numbers: Sequence[int | None], kept: Sequence[int]) -> Iterator[TypedChunk]:
        """Read the rows; see ``TableSource.chunks``.

        Raises:
            DataError: The file is damaged, or a column's type is no number.
        """
        first_row = 0
        for table in self.tables(sorted({*kept, *(position for position in numbers if position is not None)})):
            values = np.empty((table.num_rows, len(numbers)))
            for index, position in enumerate(numbers):
                name = "" if position is None else self.header[position]
                values[:, index] = np.nan if position is None else from_arrow(table.column(name), name, self.name)
                self.missing.take_out(values[:, index])
            infinite = np.isinf(values)
            bad = infinite if infinite.any() else None
            if bad is not None:
                values[bad] = np.nan
            cells = table.select([self.header[position] for position in kept])
            yield TypedChunk(values, bad, cells, self.name, first_row, None, None, None, table, self.header)
            first_row += table.num_rows


class ParquetReader(TypedReader):
    """A Parquet file.

    Args:
        file: The open file.
        source: The name for messages.
        rows: The rows in a chunk, at most.
        missing: The words for a missing cell; ``None`` for the usual ones.

    Raises:
        DataError: The file is not Parquet, is damaged, or has names that cannot be used.
    """

    def __init__(self, file: IO[bytes], source: str, rows: int, missing: tuple[str, ...] | None) -> None:
        import pyarrow.parquet  # here, since reading CSV has no use for it

        self._source, self._rows = printable(source), rows
        try:
            self._file = pyarrow.parquet.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        header = list(self._file.schema_arrow.names)
        if not all(name.strip() for name in header):
            raise DataError("there is a column without a name; name it", source=self._source)
        super().__init__(self._source, header, missing)

    def types(self, positions: Sequence[int]) -> pa.Schema:
        """Return the types of some columns as the file has them."""
        schema = self._file.schema_arrow
        return pa.schema([schema.field(position) for position in positions], metadata=schema.metadata)

    def tables(self, positions: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the rows of the file, some at a time.

        Raises:
            DataError: The file is damaged.
        """
        names = [self.header[position] for position in positions]
        try:
            for batch in self._file.iter_batches(batch_size=self._rows, columns=names):
                # A name is taken for the start of others with a dot in them, too.
                yield pa.Table.from_batches([batch]).select(names)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError | ResourceError:
        text = " ".join(str(error).split())[:200]
        if isinstance(error, OSError) and error.errno is not None:
            return ResourceError(f"{self._source}: cannot be read: {error.strerror}")
        return DataError(f"cannot be read as Parquet ({text})", source=self._source)


class FrameReader(TypedReader):
    """A pandas frame as one chunk of rows. The index is not a column; names become text.

    Args:
        frame: The frame.
        missing: The words for a missing cell; ``None`` for the usual ones.

    Raises:
        DataError: Two columns have the same name.
    """

    def __init__(self, frame: pd.DataFrame, missing: tuple[str, ...] | None) -> None:
        super().__init__(FRAME, [str(name) for name in frame.columns], missing)
        self._frame = frame
        self._converted: dict[int, pa.ChunkedArray] = {}

    def types(self, positions: Sequence[int]) -> pa.Schema:
        """Return the types that some columns have in Arrow."""
        return pa.schema([(self.header[position], self._column(position).type) for position in positions])

    def tables(self, positions: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the whole frame, if it has rows."""
        if len(self._frame):
            names = [self.header[position] for position in positions]
            yield pa.table([self._column(position) for position in positions], names)

    def _column(self, position: int) -> pa.ChunkedArray:
        if position not in self._converted:
            series = self._frame.iloc[:, position]
            try:
                array = pa.Array.from_pandas(series)
            except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
                # A mixture of types: what stands in it decides how it is described.
                array = pa.array([None if cell is None else str(cell) for cell in series], pa.string())
            self._converted[position] = pa.chunked_array([array])
        return self._converted[position]
