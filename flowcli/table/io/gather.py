"""All rows of a table whose columns are not known yet, gathered chunk by chunk until it is clear what each is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.parallel.waiting import Waiting
from flowcli.table.column_selection import ColumnRequest
from flowcli.table.inference.cells import TypedCells, WrittenCells
from flowcli.table.inference.lattice import Written
from flowcli.table.io.chunks import Chunk, TableSource
from flowcli.table.io.inexact_integers import Notice, read_chunks
from flowcli.table.values.texts import as_text, levels_of


class GatheredRows:
    """The columns of a request, read whole. One of which most cells are no numbers is one of text.

    Args:
        source: The table.
        request: What the user said about its columns.
        decimal: The decimal mark of cells that are texts.
        notice: Called with each thing worth saying that is no error.

    Attributes:
        source: The table.
        names: The columns, (D,).
        values: The rows, (N, D): NaN where a cell is missing, for a text its place among the column's levels.
        written: How each column is written, (D,).

    Raises:
        UsageError: A column that is not there.
        DataError: A record of the wrong length, a cell that is not a number among numbers, or no rows.
    """

    def __init__(self, source: TableSource, request: ColumnRequest, decimal: str, notice: Notice) -> None:
        self.source, self.names = source, request.names(source.header)
        index = {name: position for position, name in enumerate(source.header)}
        self._positions = [index[name] for name in self.names]
        self._columns: list[TypedCells | WrittenCells] = []
        for name, kind in zip(self.names, source.types(self._positions).types, strict=True):
            if request.is_category(name):
                self._columns.append(TypedCells(pa.string()))
            else:
                self._columns.append(TypedCells(kind) if source.typed else WrittenCells(decimal))
        self._chunks: list[Chunk] = []  # without their cells
        self._texts: list[dict[int, pa.ChunkedArray]] = []  # for each chunk

        columns = list(zip(self._positions, self._columns, strict=True))
        numbers = [None if column.is_text else position for position, column in columns]
        kept = [position for position, column in columns if column.is_text or isinstance(column, WrittenCells)]
        for chunk in read_chunks(source, numbers, kept, notice):
            if not isinstance(chunk, Waiting):
                self._add(chunk)
        self._refuse_faults()
        if not self._chunks:
            raise DataError(f"has {'columns' if source.typed else 'a header'} but no rows", source=source.name)
        parts = [chunk.values for chunk in self._chunks]
        self.values: NDArray[np.float64] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self.written = [self._decided(index) for index in range(len(self.names))]

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
                texts[index] = as_text(chunk.cells.column(name), name, chunk.source)
        self._texts.append(texts)
        self._chunks.append(replace(chunk, cells=chunk.cells.select([])))
        if self.source.typed or chunk.malformed is not None:  # nothing that follows will tell texts from faults
            self._refuse_faults()

    def _refuse_faults(self) -> None:
        """Raise the first error of the file: a malformed record, or what is no number in a column not of text."""
        numeric = np.array([not column.is_text for column in self._columns])
        for chunk in self._chunks:
            wrong = None if chunk.bad is None else chunk.bad & numeric
            error = chunk.first_error(wrong, self._positions)
            if error is not None:
                raise error

    def _decided(self, index: int) -> Written:
        """Return how a column is written, and put the places of texts among their levels into the values."""
        column = self._columns[index]
        if not column.is_text:
            return column.written(self.values[:, index])
        parts = []
        for chunk, texts in zip(self._chunks, self._texts, strict=True):
            if index not in texts:
                texts[index] = as_text(chunk.column(self._positions[index]), self.names[index], chunk.source)
            parts += texts[index].chunks
        self.values[:, index], levels = levels_of(pa.chunked_array(parts, pa.string()))
        return Written(levels=levels)
