"""All rows of a table whose columns are not known yet, gathered chunk by chunk until it is clear what each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.parallel.waiting import Waiting
from flowcli.table.column_selection import ColumnRequest
from flowcli.table.inference.cells import TypedCells, WrittenCells
from flowcli.table.inference.formats import distinct, find_format, written_in
from flowcli.table.inference.lattice import Written
from flowcli.table.inference.mixed_cells import what_texts_are
from flowcli.table.io.chunks import Chunk, TableSource
from flowcli.table.io.inexact_integers import Notice, read_chunks
from flowcli.table.read_options import ReadOptions
from flowcli.table.values.cell_format import is_date, numbers_of
from flowcli.table.values.dates import DIGITS_OF_A_DAY, DateFormat, are_days, may_be_days
from flowcli.table.values.numbers import is_text
from flowcli.table.values.temporal import format_of, in_unit, is_temporal, seconds_of
from flowcli.table.values.texts import as_text, levels_of, put_words


@dataclass(frozen=True)
class _Meaning:
    """What the cells of a column that are no plain numbers stand for: texts, unless one of these says otherwise.

    Attributes:
        form: The format of dates or numbers that all of them have.
        words: The words that stand among numbers.
    """

    form: str | None = None
    words: tuple[str, ...] = ()


class GatheredRows:
    """The columns of a request, read whole. One of which most cells are no numbers is one of text.

    Args:
        source: The table.
        request: What the user said about its columns.
        options: How cells that are texts are written, and which are missing.
        notice: Called with each thing worth saying that is no error.

    Attributes:
        source: The table.
        names: The columns, (D,).
        values: The rows, (N, D): NaN where a cell is missing, for a text its place among the column's levels.
        written: How each column is written, (D,).

    Raises:
        UsageError: A column that is not there, or one mark for thousands and decimals.
        DataError: A record of the wrong length, a cell that is not a number among numbers, or no rows.
    """

    def __init__(self, source: TableSource, request: ColumnRequest, options: ReadOptions, notice: Notice) -> None:
        self.source, self.names = source, request.names(source.header)
        self._decimal, self._date_format, self._thousands = options.decimal, request.date_format, request.thousands
        if self._thousands == self._decimal:
            raise UsageError(f"--thousands and --decimal are both {self._decimal!r}: give another --decimal")
        self._categories = {name for name in self.names if request.is_category(name)}
        self._of_known_kind = set(request.kinds or {})
        index = {name: position for position, name in enumerate(source.header)}
        self._positions = [index[name] for name in self.names]
        self._columns: list[TypedCells | WrittenCells] = []
        for name, kind in zip(self.names, source.types(self._positions).types, strict=True):
            if request.is_category(name):
                self._columns.append(TypedCells(pa.string()))
            else:
                self._columns.append(TypedCells(kind) if source.typed else WrittenCells(options.decimal))
        self._chunks: list[Chunk] = []  # without their cells
        self._texts: list[dict[int, pa.ChunkedArray]] = []  # for each chunk

        columns = list(zip(self._positions, self._columns, strict=True))
        numbers = [None if column.is_text else position for position, column in columns]
        kept = [position for position, column in columns if column.is_text or isinstance(column, WrittenCells)]
        for chunk in read_chunks(source, numbers, kept, notice):
            if not isinstance(chunk, Waiting):
                self._add(chunk)
        meanings = [self._meaning(index) for index in range(len(self.names))]
        self._refuse_faults(self._chunks, meanings)
        if not self._chunks:
            raise DataError(f"has {'columns' if source.typed else 'a header'} but no rows", source=source.name)
        parts = [chunk.values for chunk in self._chunks]
        self.values: NDArray[np.float64] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self.written = [self._decided(index, meaning) for index, meaning in enumerate(meanings)]

    def line(self, row: int) -> int | None:
        """Return the line in the file of a row; ``None`` where rows have no lines."""
        chunk = next(chunk for chunk in reversed(self._chunks) if chunk.first_row <= row)
        return chunk.line(row - chunk.first_row)

    def _add(self, chunk: Chunk) -> None:
        """Take the next rows, and keep texts of columns that are, or may turn out to be, of text."""
        texts: dict[int, pa.ChunkedArray] = {}
        for index, (name, column) in enumerate(zip(self.names, self._columns, strict=True)):
            bad = None if chunk.bad is None else chunk.bad[:, index]
            if isinstance(column, WrittenCells):
                column.add(chunk.values[:, index], bad, chunk.cells.column(name))
            if column.is_text or (bad is not None and bad.any() and not self.source.typed):
                cells = chunk.cells.column(name)
                raw = is_temporal(cells.type) and name not in self._categories
                texts[index] = cells if raw else self._texts_of(cells, index, chunk)
        self._texts.append(texts)
        self._chunks.append(replace(chunk, cells=chunk.cells.select([])))
        if chunk.malformed is not None:
            self._refuse_faults(self._chunks, [self._meaning(index) for index in range(len(self.names))])
        elif self.source.typed:  # nothing that follows will tell texts from faults
            self._refuse_faults([chunk], [_Meaning() if column.is_text else None for column in self._columns])

    def _refuse_faults(self, chunks: Sequence[Chunk], meanings: Sequence[_Meaning | None]) -> None:
        """Raise the first error in some chunks: a malformed record, or what is no number in a column of numbers."""
        numeric = np.array([meaning is None for meaning in meanings])
        for chunk in chunks:
            wrong = None if chunk.bad is None else chunk.bad & numeric
            error = chunk.first_error(wrong, self._positions)
            if error is not None:
                raise error

    def _meaning(self, index: int) -> _Meaning | None:
        """Return what the cells of a column, as far as it was read, stand for; ``None`` where all must be numbers."""
        column = self._columns[index]
        if not column.is_text and self.names[index] not in self._of_known_kind and self._are_days(index):
            return _Meaning(DIGITS_OF_A_DAY)
        if not (column.is_text or self._has_bad_cells(index)) or (self.source.typed and not column.is_text):
            return None
        if self.names[index] in self._categories or (isinstance(column, TypedCells) and is_temporal(column.kind)):
            return _Meaning()
        texts = self._as_text(index)
        form = find_format(distinct(texts), self._decimal, self._date_format, self._thousands)
        if form is not None:
            return _Meaning(form)
        if isinstance(column, TypedCells) or column.has_leading_zeros:
            return _Meaning()
        counts = self._counts(index, texts)
        kind = "slips"  # such as 1e999, inf and 1.234.5, which are meant to be numbers
        if all(is_text(text, self._decimal) for text in counts):
            first = self._chunks[0].values[:, index]  # where there are enough different numbers, if there are any
            kind = what_texts_are(counts, column.present, len(np.unique(first[~np.isnan(first)])))
        if kind == "words":
            return _Meaning(words=tuple(sorted(counts)))
        return _Meaning() if kind == "column of text" or column.is_text else None

    def _decided(self, index: int, meaning: _Meaning | None) -> Written:
        """Return how a column is written, and put what its texts stand for into the values."""
        column, values = self._columns[index], self.values[:, index]
        if meaning is None:
            return column.written(values)
        if isinstance(column, TypedCells) and is_temporal(column.kind) and self.names[index] not in self._categories:
            seconds = np.concatenate([seconds_of(texts[index], self.source.missing) for texts in self._texts])
            form = format_of(seconds, column.kind)
            values[:] = in_unit(seconds, DateFormat(form).unit)
            return written_in(form, [])
        texts = self._as_text(index)
        if meaning.form is not None:
            values[:] = numbers_of(texts.to_pylist(), meaning.form)
            if not is_date(meaning.form):
                self.source.missing.take_out(values)
            return written_in(meaning.form, distinct(texts))
        if meaning.words:
            put_words(values, texts, meaning.words)
            return replace(column.written(values), words=meaning.words)
        values[:], levels = levels_of(texts)
        return Written(levels=levels)

    def _are_days(self, index: int) -> bool:
        """Return whether the cells of a column so far are whole numbers such as 20240229, and all of them days."""
        column, parts = self._columns[index], [chunk.values[:, index] for chunk in self._chunks]
        if not (parts and column.is_integer and may_be_days(parts[0])) or self._has_bad_cells(index):
            return False
        return are_days(np.concatenate(parts))

    def _has_bad_cells(self, index: int) -> bool:
        """Return whether some cells of a column so far are neither numbers nor missing."""
        return any(chunk.bad is not None and chunk.bad[:, index].any() for chunk in self._chunks)

    def _counts(self, index: int, texts: pa.ChunkedArray) -> dict[str, int]:
        """Return how many rows have each text that is no number."""
        bad = [np.zeros(len(c.values), np.bool_) if c.bad is None else c.bad[:, index] for c in self._chunks]
        found = pc.value_counts(texts.filter(pa.array(np.concatenate(bad))))
        return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))

    def _as_text(self, index: int) -> pa.ChunkedArray:
        """Return the cells of a column so far as texts."""
        parts = []
        for chunk, texts in zip(self._chunks, self._texts, strict=True):
            if index not in texts:
                texts[index] = self._texts_of(chunk.column(self._positions[index]), index, chunk)
            parts += texts[index].chunks
        return pa.chunked_array(parts, pa.string())

    def _texts_of(self, cells: pa.ChunkedArray, index: int, chunk: Chunk) -> pa.ChunkedArray:
        """Return some cells of a column as texts."""
        return as_text(cells, self.names[index], chunk.source, self.source.missing)
