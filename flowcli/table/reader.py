"""Rows in blocks, for scoring: the memory needed does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.csv_reader import CsvReader, Fault
from flowcli.table.parquet_reader import ParquetReader
from flowcli.table.parquet_reader import values as parquet_values
from flowcli.table.rounded import Notice, RoundedIntegers, RoundedTypedIntegers
from flowcli.table.select import positions
from flowcli.table.source import ReadOptions, Waiting, is_parquet, open_bytes, open_file, shown


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a table.

    Attributes:
        values: The columns asked for, in the order asked, (rows, D).
        cells: All columns as a ``pa.Table``: the text exactly as in a CSV file, the typed cells of a Parquet file;
            ``None`` unless they were asked for.
        first_row: The index in the file of the first row, from 0.
    """

    values: NDArray[np.float64]
    cells: pa.Table | None
    first_row: int


class Reader:
    """An open table; a context manager that is iterated once. See ``open_table``.

    Attributes:
        header: The names of all columns in the file, in its order.
        names: The names of the columns that are converted, in the order of ``Block.values``.
        types: The ``pa.Schema`` of ``Block.cells``.
    """

    def __init__(
        self,
        source: str,
        names: Sequence[str] | None,
        rows: int,
        options: ReadOptions,
        notice: Notice,
        keep_cells: bool,
    ) -> None:
        if rows < 1:
            raise ValueError(f"rows={rows}: must be at least 1")
        self._source = source
        self._rows = rows
        self._options = options
        self._notice = notice
        self._keep_cells = keep_cells
        self._stack = ExitStack()
        try:
            self._reader: CsvReader | ParquetReader
            if is_parquet(source):
                self._reader = ParquetReader(self._stack.enter_context(open_file(source)), source)
                self.types: pa.Schema = self._reader.schema
            else:
                self._reader = CsvReader(self._stack.enter_context(open_bytes(source, options)), source, options)
                self.types = pa.schema([(name, pa.string()) for name in self._reader.header])
            self.header: list[str] = self._reader.header
            self.names: list[str] = list(self.header if names is None else names)
            if isinstance(self._reader, CsvReader) and (names is None or not set(names) <= set(self.header)):
                self._reader.refuse_numeric_header()
            self._asked = positions(self.header, self.names, shown(source), notice)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Block]:
        return (block for block in self.arriving() if not isinstance(block, Waiting))

    def arriving(self) -> Iterator[Block | Waiting]:
        """The blocks, and a ``Waiting`` wherever the next one has not been written into a pipe yet.

        Who has something else to do meanwhile does it then; asking for the next one waits.
        """
        parts = self._csv_parts(self._reader) if isinstance(self._reader, CsvReader) else self._parquet_parts()
        return _in_blocks(parts, self._rows)

    def _csv_parts(self, reader: CsvReader) -> Iterator[Block | Waiting]:
        watch = RoundedIntegers(self.names, self._source, self._options, self._notice)
        for chunk in reader.arriving(self._asked, "all" if self._keep_cells else "none"):
            if isinstance(chunk, Waiting):
                yield chunk
                continue
            if chunk.faults:
                raise error_of(chunk.faults[0], self.names, self._source)
            watch.look(chunk, self._asked)
            yield Block(chunk.values, chunk.texts, chunk.first_row)

    def _parquet_parts(self) -> Iterator[Block]:
        assert isinstance(self._reader, ParquetReader)
        first_row = 0
        watch = RoundedTypedIntegers(self.names, self._source, self._notice)
        for table in self._reader.tables(self._rows, None if self._keep_cells else self.names):
            values = parquet_values(table, self.names, self._source, first_row)
            watch.look(table, values, first_row)
            yield Block(values, table if self._keep_cells else None, first_row)
            first_row += table.num_rows


def open_table(
    source: str,
    names: Sequence[str] | None,
    rows: int,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
    keep_cells: bool = False,
) -> Reader:
    """Open a CSV or Parquet file, or standard input (``-``), to be read in blocks.

    Args:
        source: A path, or ``-``.
        names: The columns to convert to float64; ``None`` for all.
        rows: The rows in each block; only the last one may have fewer.
        options: How a CSV file is written.
        notice: Called with each thing worth saying that is no error, as one line.
        keep_cells: Whether the blocks carry all columns as they came, too.

    Returns:
        A context manager with the ``header``, that iterates over ``Block``. A table of no rows gives no blocks.

    Raises:
        UsageError: A source that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Columns that are not there, or (while iterating) rows that cannot be used.
    """
    return Reader(source, names, rows, options, notice, keep_cells)


def read_blocks(
    source: str,
    names: Sequence[str] | None,
    rows: int,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
    keep_cells: bool = False,
) -> Iterator[Block]:
    """Like ``open_table``, for who does not need the header."""
    with open_table(source, names, rows, options, notice=notice, keep_cells=keep_cells) as reader:
        yield from reader


def error_of(fault: Fault, names: Sequence[str], source: str) -> DataError:
    """The error for one fault, with its place in the file."""
    column = None if fault.column is None else names[fault.column]
    problem = fault.problem
    if fault.kind == "missing":
        problem = "the cell is missing; missing cells are not modelled yet: drop the row or fill the cell in"
    return DataError(problem, source=shown(source), line=fault.line, column=column)


def _in_blocks(parts: Iterable[Block | Waiting], rows: int) -> Iterator[Block | Waiting]:
    waiting: list[Block] = []
    count, first_row = 0, 0
    for part in parts:
        if isinstance(part, Waiting):
            yield part
            continue
        waiting.append(part)
        count += len(part.values)
        while count >= rows:
            block, rest = _join(waiting, first_row, rows)
            yield block
            first_row += rows
            count -= rows
            waiting = [rest] if count else []
    if count:
        yield _join(waiting, first_row, count)[0]


def _join(parts: list[Block], first_row: int, rows: int) -> tuple[Block, Block]:
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    cells = None if parts[0].cells is None else pa.concat_tables([part.cells for part in parts])
    head = None if cells is None else cells.slice(0, rows)
    tail = None if cells is None else cells.slice(rows)
    return Block(values[:rows], head, first_row), Block(values[rows:], tail, first_row + rows)
