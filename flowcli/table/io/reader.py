"""Rows in blocks, for scoring: the memory needed does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.parallel.waiting import Waiting
from flowcli.table.column_selection import positions
from flowcli.table.io.csv_reader import Chunk, CsvReader, Fault
from flowcli.table.io.inexact_integers import InexactIntegers, InexactTypedIntegers, Notice, source_name
from flowcli.table.io.parquet_reader import ParquetReader, numbers
from flowcli.table.io.source import is_parquet, open_bytes, open_file
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column
from flowcli.text import printable, quoted

BadRows = Literal["refuse", "nan"]


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a table.

    Attributes:
        values: The columns asked for, in the order asked, (rows, D): NaN where a cell is missing, for a text its place
            among the column's levels, and -1 for one that is not among them.
        cells: All columns as a ``pa.Table``: the text exactly as in a CSV file, the typed cells of a Parquet file;
            ``None`` unless they were asked for.
        first_row: The index in the file of the first row, from 0.
        bad: The rows with a cell that cannot be used, all of whose values are NaN, (rows,); ``None`` where none has.
    """

    values: NDArray[np.float64]
    cells: pa.Table | None
    first_row: int
    bad: NDArray[np.bool_] | None = None


class Reader:
    """An open table; a context manager that is iterated once. See ``open_table``.

    Attributes:
        header: The names of all columns in the file, in its order.
        columns: The columns that are converted, in the order of ``Block.values``.
        types: The ``pa.Schema`` of ``Block.cells``.
    """

    def __init__(
        self,
        source: str,
        columns: Sequence[Column | str] | None,
        rows: int,
        options: ReadOptions,
        notice: Notice,
        keep_cells: bool,
        bad_rows: BadRows | None,
    ) -> None:
        if rows < 1:
            raise ValueError(f"rows={rows}: must be at least 1")
        self._source = source
        self._rows = rows
        self._options = options
        self._notice = notice
        self._keep_cells = keep_cells
        self._bad_rows = bad_rows
        self._said: set[str] = set()
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
            wanted = self.header if columns is None else columns
            self.columns = [Column(each) if isinstance(each, str) else each for each in wanted]
            names = [column.name for column in self.columns]
            if isinstance(self._reader, CsvReader) and (columns is None or not set(names) <= set(self.header)):
                self._reader.refuse_numeric_header()
            self._positions = positions(self.header, names, printable(source), notice)
        except BaseException:
            self._stack.close()
            raise
        self._numeric = [column_index for column_index, column in enumerate(self.columns) if not column.text]
        self._textual = [column_index for column_index, column in enumerate(self.columns) if column.text]

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Block]:
        return (block for block in self.arriving() if not isinstance(block, Waiting))

    def arriving(self) -> Iterator[Block | Waiting]:
        """Return the blocks, and a ``Waiting`` wherever the next one has not been written into a pipe yet.

        Who has something else to do meanwhile does it then; asking for the next one waits.
        """
        parts = self._csv_parts(self._reader) if isinstance(self._reader, CsvReader) else self._parquet_parts()
        return _in_blocks(parts, self._rows)

    def _csv_parts(self, reader: CsvReader) -> Iterator[Block | Waiting]:
        names = [self.columns[column_index].name for column_index in self._numeric]
        asked = [self._positions[column_index] for column_index in self._numeric]
        kept = list(range(len(self.header))) if self._keep_cells else [self._positions[p] for p in self._textual]
        watch = InexactIntegers(names, self._source, self._options, self._notice)
        for chunk in reader.arriving(asked, kept):
            if isinstance(chunk, Waiting):
                yield chunk
                continue
            if not chunk.faults:
                watch.inspect(chunk, asked)
            texts = {
                column_index: chunk.texts.column(self.columns[column_index].name) for column_index in self._textual
            }
            values = self._joined(chunk.values, texts)
            self._tell_unseen(values, texts, partial(_line, chunk))
            bad = self._unusable(values, chunk.bad)
            if bad is not None and self._bad_rows != "nan":
                raise self._refused(reader, chunk, values, bad)
            if chunk.faults:  # of the wrong length, which no row may be
                raise error_of(chunk.faults[0], names, self._source, self._bad_rows)
            yield self._block(values, chunk.texts if self._keep_cells else None, chunk.first_row, bad)

    def _parquet_parts(self) -> Iterator[Block]:
        assert isinstance(self._reader, ParquetReader)
        first_row = 0
        numeric = [self.columns[column_index].name for column_index in self._numeric]
        watch = InexactTypedIntegers(numeric, self._source, self._notice)
        names = [column.name for column in self.columns]
        for table in self._reader.tables(self._rows, None if self._keep_cells else names):
            found = numbers(table, numeric, self._source, first_row)
            watch.inspect(table, found, first_row)
            texts = {column_index: table.column(self.columns[column_index].name) for column_index in self._textual}
            values = self._joined(found, texts)
            self._tell_unseen(values, texts, partial(_row, first_row))
            bad = self._unusable(values, None)
            if bad is not None and self._bad_rows != "nan":
                row = int(np.argmax(bad))
                column_index = int(
                    np.argmax([self._lacks(column, values[row, p]) for p, column in enumerate(self.columns)])
                )
                raise DataError(
                    f"row {first_row + row + 1} {MISSING}{OR_LEAVE if self._bad_rows else ''}",
                    source=printable(self._source),
                    column=self.columns[column_index].name,
                )
            yield self._block(values, table if self._keep_cells else None, first_row, bad)
            first_row += table.num_rows

    def _joined(self, found: NDArray[np.float64], texts: dict[int, pa.ChunkedArray]) -> NDArray[np.float64]:
        """Numbers, and places of texts among their levels, as one array (rows, D)."""
        if not texts:
            return found
        from flowcli.table.values.texts import as_text, indices

        values = np.empty((len(found), len(self.columns)))
        values[:, self._numeric] = found
        for column_index, column in texts.items():
            values[:, column_index] = indices(as_text(column), self.columns[column_index].levels)
        return values

    def _unusable(self, values: NDArray[np.float64], bad: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return the rows with a cell that is neither what its column holds nor may be missing, (rows,)."""
        complete = [column_index for column_index, column in enumerate(self.columns) if not column.missing]
        wrong: NDArray[np.bool_] = np.any(np.isnan(values[:, complete]), axis=1)
        if bad is not None:
            wrong = wrong | bad.any(axis=1)
        return wrong if wrong.any() else None

    def _refused(
        self, reader: CsvReader, chunk: Chunk, values: NDArray[np.float64], bad: NDArray[np.bool_]
    ) -> DataError:
        row = int(np.argmax(bad))
        if chunk.faults and chunk.faults[0].row <= row:
            return error_of(chunk.faults[0], (), self._source)
        for column_index, column in enumerate(self.columns):
            wrong = not column.text and chunk.bad is not None and chunk.bad[row, self._numeric.index(column_index)]
            if not (wrong or self._lacks(column, values[row, column_index])):
                continue
            fault = reader.fault(chunk, row, self._positions[column_index], column_index)
            return error_of(fault, [each.name for each in self.columns], self._source, self._bad_rows)
        raise AssertionError

    def _lacks(self, column: Column, value: float) -> bool:
        return bool(np.isnan(value)) and not column.missing

    def _block(
        self,
        values: NDArray[np.float64],
        cells: pa.Table | None,
        first_row: int,
        bad: NDArray[np.bool_] | None,
    ) -> Block:
        if bad is not None:
            values = np.where(bad[:, None], np.nan, values)
        return Block(values, cells, first_row, bad)

    def _tell_unseen(
        self, values: NDArray[np.float64], texts: dict[int, pa.ChunkedArray], where: Callable[[int], str]
    ) -> None:
        """Say, once for each column, that there is a text which the model does not know."""
        for column_index, column in texts.items():
            name = self.columns[column_index].name
            rows = np.flatnonzero(values[:, column_index] < 0)
            if not len(rows) or name in self._said:
                continue
            self._said.add(name)
            row = int(rows[0])
            text = quoted(str(column[row].as_py()).strip())
            self._notice(
                f"{source_name(self._source)}{where(row)}, column {name!r}: {text} is not among the texts that the"
                " model knows, so the density there is zero"
            )


def open_table(
    source: str,
    columns: Sequence[Column | str] | None,
    rows: int,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
    keep_cells: bool = False,
    bad_rows: BadRows | None = None,
) -> Reader:
    """Open a CSV or Parquet file, or standard input (``-``), to be read in blocks.

    Args:
        source: A path, or ``-``.
        columns: The columns to convert, a name alone for one of numbers; ``None`` for all, as numbers.
        rows: The rows in each block; only the last one may have fewer.
        options: How a CSV file is written.
        notice: Called with each thing worth saying that is no error, as one line.
        keep_cells: Whether the blocks carry all columns as they came, too.
        bad_rows: Whether a cell that cannot be used ends everything, or its row alone; ``None`` where nobody can
            choose.

    Returns:
        A context manager with the ``header``, that iterates over ``Block``. A table of no rows gives no blocks.

    Raises:
        UsageError: A source that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Columns that are not there, or (while iterating) rows that cannot be used.
    """
    return Reader(source, columns, rows, options, notice, keep_cells, bad_rows)


def read_blocks(
    source: str,
    columns: Sequence[Column | str] | None,
    rows: int,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
    keep_cells: bool = False,
) -> Iterator[Block]:
    """Like ``open_table``, for who does not need the header."""
    with open_table(source, columns, rows, options, notice=notice, keep_cells=keep_cells) as reader:
        yield from reader


MISSING = "is missing, and none was in the rows that were fitted to: drop the row, or fill the cell in"
OR_LEAVE = ", or give --bad-rows nan"  # where a command knows that option


def _line(chunk: Chunk, row: int) -> str:
    return f":{chunk.line(row)}"


def _row(first: int, row: int) -> str:
    return f", row {first + row + 1}"


def error_of(fault: Fault, names: Sequence[str], source: str, bad_rows: BadRows | None = None) -> DataError:
    """Return the error for one fault, with its place in the file."""
    column = None if fault.column is None else names[fault.column]
    missing = f"the cell {MISSING}{OR_LEAVE if bad_rows else ''}"
    problem = missing if fault.kind == "missing" else fault.problem
    return DataError(problem, source=printable(source), line=fault.line, column=column)


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
            block, remaining = _join(waiting, first_row, rows)
            yield block
            first_row += rows
            count -= rows
            waiting = [remaining] if count else []
    if count:
        yield _join(waiting, first_row, count)[0]


def _join(parts: list[Block], first_row: int, rows: int) -> tuple[Block, Block]:
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    cells = None if parts[0].cells is None else pa.concat_tables([part.cells for part in parts])
    bad = None
    if any(part.bad is not None for part in parts):
        bad = np.concatenate([np.zeros(len(p.values), np.bool_) if p.bad is None else p.bad for p in parts])
    head, tail = (None, None) if cells is None else (cells.slice(0, rows), cells.slice(rows))
    bad_head, bad_tail = (None, None) if bad is None else (bad[:rows], bad[rows:])
    return Block(values[:rows], head, first_row, bad_head), Block(values[rows:], tail, first_row + rows, bad_tail)
