"""Rows of columns that are known, in blocks: the memory needed does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.parallel.waiting import Waiting
from flowcli.table.column_selection import positions
from flowcli.table.io.blocks import Block, in_blocks
from flowcli.table.io.chunks import MISSING, Chunk, TableSource
from flowcli.table.io.csv_reader import CsvReader
from flowcli.table.io.inexact_integers import Notice, read_chunks
from flowcli.table.io.source import is_parquet, open_bytes, open_file
from flowcli.table.io.typed_reader import ParquetReader
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column
from flowcli.table.values.cell_format import is_date, numbers_of
from flowcli.table.values.dates import DateFormat
from flowcli.table.values.temporal import in_unit, is_temporal, seconds_of
from flowcli.table.values.texts import as_text, indices, put_words
from flowcli.table.values.words import is_missing
from flowcli.text import quoted

ROWS_AT_ONCE = 65_536
BadRows = Literal["refuse", "nan"]


class Reader:
    """The rows of an open table, to be iterated once. See ``open_table``.

    Attributes:
        header: The names of all columns in the file, in its order.
        columns: The columns that are converted, in the order of ``Block.values``.
    """

    def __init__(
        self,
        source: TableSource,
        columns: Sequence[Column | str] | None,
        rows: int,
        notice: Notice,
        *,
        keep_cells: bool = False,
        bad_rows: BadRows | None = None,
    ) -> None:
        if rows < 1:
            raise ValueError(f"rows={rows}: must be at least 1")
        self.header = source.header
        wanted = self.header if columns is None else columns
        self.columns = [Column(each) if isinstance(each, str) else each for each in wanted]
        names = [column.name for column in self.columns]
        if isinstance(source, CsvReader) and (columns is None or not set(names) <= set(self.header)):
            source.form.refuse_numeric_header()
        self._positions = positions(self.header, names, source.name, notice)
        self._source, self._rows, self._notice = source, rows, notice
        self._keep_cells, self._bad_rows = keep_cells, bad_rows
        self._unseen_said: set[str] = set()

    @property
    def types(self) -> pa.Schema:
        """The types of ``Block.cells``."""
        return self._source.types(range(len(self.header)))

    def __iter__(self) -> Iterator[Block]:
        return (block for block in self.arriving() if not isinstance(block, Waiting))

    def arriving(self) -> Iterator[Block | Waiting]:
        """Return the blocks, and a ``Waiting`` wherever the next one has not been written into a pipe yet.

        Who has something else to do meanwhile does it then; asking for the next one waits.
        """
        return in_blocks(self._chunk_blocks(), self._rows)

    def values(self) -> NDArray[np.float64]:
        """Return all rows at once, (N, D)."""
        blocks = [block.values for block in self]
        return np.concatenate(blocks) if len(blocks) > 1 else blocks[0] if blocks else np.empty((0, len(self.columns)))

    def _chunk_blocks(self) -> Iterator[Block | Waiting]:
        """Yield a block for each chunk of the source."""
        columns = list(zip(self.columns, self._positions, strict=True))
        numbers = [None if column.text or column.format else position for column, position in columns]
        texts = [position for column, position in columns if column.text or column.format or column.words]
        complete = np.array([not column.missing for column in self.columns], dtype=np.bool_)
        # A command that has bad rows to choose about knows that option.
        problem = MISSING + (", or give --bad-rows nan" if self._bad_rows else "")
        kept = range(len(self.header)) if self._keep_cells else texts
        for chunk in read_chunks(self._source, numbers, kept, self._notice):
            if isinstance(chunk, Waiting):
                yield chunk
                continue
            self._fill_in_texts(chunk)
            wrong = self._fill_in_formats(chunk)
            self._fill_in_words(chunk)
            wrong |= is_missing(chunk.values) & complete
            if chunk.bad is not None:
                wrong |= chunk.bad
            leaves_rows_out = self._bad_rows == "nan" and bool(wrong.any())
            problems = partial(self._problem, chunk, problem)
            error = chunk.first_error(None if leaves_rows_out else wrong, self._positions, problems)
            if error is not None:
                raise error
            cells = chunk.cells if self._keep_cells else None
            if leaves_rows_out:
                bad = np.asarray(wrong.any(axis=1))
                yield Block(np.where(bad[:, None], np.nan, chunk.values), cells, bad)
            else:
                yield Block(chunk.values, cells)

    def _problem(self, chunk: Chunk, missing: str, row: int, index: int) -> str:
        """Return what is wrong with a cell that is no bad number: it is missing, or not in its column's format."""
        column = self.columns[index]
        cell = chunk.cells.column(column.name)[row].as_py() if column.format is not None else None
        if cell is None or self._source.missing.is_missing(str(cell)):
            return missing
        return f"{quoted(str(cell))} is not written as {column.format}; correct it or drop the row"

    def _fill_in_formats(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Put the numbers that texts in a format stand for into a chunk's values; return which cells have another."""
        wrong = np.zeros(chunk.values.shape, dtype=np.bool_)
        for index, column in enumerate(self.columns):
            if column.format is not None:
                cells = chunk.cells.column(column.name)
                if is_temporal(cells.type):
                    chunk.values[:, index] = in_unit(
                        seconds_of(cells, self._source.missing), DateFormat(column.format).unit
                    )
                    continue
                texts = as_text(cells, column.name, chunk.source, self._source.missing)
                chunk.values[:, index] = numbers_of(texts.to_pylist(), column.format)
                wrong[:, index] = is_missing(chunk.values[:, index]) & ~texts.is_null().to_numpy()
                if not is_date(column.format):
                    self._source.missing.take_out(chunk.values[:, index])
        return wrong

    def _fill_in_words(self, chunk: Chunk) -> None:
        """Put the words that may stand among numbers into a chunk's values; they are bad cells no more."""
        for index, column in enumerate(self.columns):
            if column.words and chunk.bad is not None and chunk.bad[:, index].any():
                texts = as_text(chunk.cells.column(column.name), column.name, chunk.source, self._source.missing)
                chunk.bad[put_words(chunk.values[:, index], texts, column.words), index] = False

    def _fill_in_texts(self, chunk: Chunk) -> None:
        """Put the places of texts among their levels into a chunk's values; say once of each column that one has none.

        Raises:
            DataError: A column that is to be text is of a type that has none.
        """
        for index, column in enumerate(self.columns):
            if not column.text:
                continue
            cells = chunk.cells.column(column.name)
            texts = as_text(cells, column.name, chunk.source, self._source.missing)
            chunk.values[:, index] = indices(texts, column.levels)
            unseen = chunk.values[:, index] < 0
            if column.name in self._unseen_said or not unseen.any():
                continue
            self._unseen_said.add(column.name)
            row = int(np.argmax(unseen))
            unknown = f"{quoted(str(cells[row].as_py()).strip())} is not among the texts that the model knows"
            self._notice(f"{chunk.where(row)}, column {column.name!r}: {unknown}, so the density there is zero")


def words_for(given: tuple[str, ...] | None, columns: Sequence[Column | str] | None) -> tuple[str, ...] | None:
    """Return the words for a missing cell: those that were given, or else those of the model whose columns are read."""
    known = [column.missing_words for column in columns or () if isinstance(column, Column)]
    return known[0] if given is None and known else given


@contextmanager
def open_table(
    source: str,
    columns: Sequence[Column | str] | None,
    rows: int = ROWS_AT_ONCE,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
    keep_cells: bool = False,
    bad_rows: BadRows | None = None,
) -> Iterator[Reader]:
    """Open a CSV or Parquet file, or standard input (``-``), to be read in blocks.

    Args:
        source: A path, or ``-``.
        columns: The columns to convert, a name alone for one of numbers; ``None`` for all, as numbers.
        rows: The rows in each block; only the last one may have fewer.
        options: How the file is written.
        notice: Called with each thing worth saying that is no error, as one line.
        keep_cells: Whether the blocks carry all columns as they came, too.
        bad_rows: Whether a cell that cannot be used ends everything, or its row alone; ``None`` where nobody can
            choose.

    Yields:
        What iterates over ``Block``, and knows the ``header``. A table of no rows gives no blocks.

    Raises:
        UsageError: A source that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Columns that are not there, or (while iterating) rows that cannot be used.
    """
    with open_source(source, replace(options, missing=words_for(options.missing, columns)), rows) as opened:
        yield Reader(opened, columns, rows, notice, keep_cells=keep_cells, bad_rows=bad_rows)


@contextmanager
def open_source(source: str, options: ReadOptions, rows: int = ROWS_AT_ONCE) -> Iterator[CsvReader | ParquetReader]:
    """Open a file or standard input to be read in chunks, of a Parquet file with so many rows; see ``open_table``."""
    if is_parquet(source):
        with open_file(source) as file:
            yield ParquetReader(file, source, rows, options.missing)
    else:
        with open_bytes(source, options) as stream:
            yield CsvReader(stream, source, options)
