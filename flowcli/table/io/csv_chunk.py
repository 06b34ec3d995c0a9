"""Rows of a CSV text: by pyarrow where all is well, and cell by cell where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.io.chunks import Chunk, Malformed
from flowcli.table.io.csv_format import CsvFormat
from flowcli.table.io.csv_scan import BOM, count_lines, layout, records
from flowcli.table.values.numbers import as_float64, explain, read_numbers


@dataclass(frozen=True)
class CsvChunk(Chunk):
    """Rows of a CSV text.

    Attributes:
        data: Its bytes.
        form: How it is written.
    """

    data: bytes
    form: CsvFormat

    def column(self, position: int) -> pa.ChunkedArray:
        """Return the texts of a column, which are parsed again if they were not kept."""
        name = self.form.header[position]
        if name in self.cells.column_names:
            return self.cells.column(name)
        if self.data.startswith(BOM) or self.lines is not None:
            cells = [record.cells[position].decode() for record in records(self.data, self.form.separator)]
            return pa.chunked_array([pa.array(cells, pa.string())])
        return self.form.parse(self.data, {name: pa.string()}).column(0)

    def error(self, row: int, position: int, problem: str | None = None) -> DataError:
        """Return the error for a cell, with its line."""
        if problem is None:
            record = next(islice(records(self.data, self.form.separator), row, None))
            problem = explain(record.cells[position].decode(), self.form.options)
        else:
            problem = f"the cell {problem}"
        return DataError(problem, source=self.source, line=self.line(row), column=self.form.header[position])


class CsvConverter:
    """Converts whole records to chunks.

    Args:
        form: How they are written.
        numbers: See ``TableSource.chunks``.
        kept: See there.
    """

    def __init__(self, form: CsvFormat, numbers: Sequence[int | None], kept: Sequence[int]) -> None:
        self._form = form
        self._numbers = [None if position is None else form.header[position] for position in numbers]
        self._asked = [name for name in self._numbers if name is not None]
        self._kept = [form.header[position] for position in kept]

    def convert(self, data: bytes, first_line: int, first_row: int) -> CsvChunk:
        """Return records as a chunk, of which the first is on some line of the file and some row of the table."""
        form = self._form
        quick = self._by_arrow(data)
        if quick is None:
            return self._by_cells(data, first_line, first_row)
        values, bad, cells = quick
        lines = None
        if b'"' in data and count_lines(data) + (not data.endswith((b"\n", b"\r"))) != len(values):
            before = layout(data, form.separator).lines[: len(values) - 1]
            lines = np.concatenate([[first_line], first_line + before])
        return CsvChunk(values, bad, cells, form.name, first_row, None, first_line, lines, data, form)

    def _by_arrow(self, data: bytes) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, pa.Table] | None:
        """Return values, bad cells and kept cells; ``None`` where a record has, or may have, the wrong length."""
        if data.startswith(BOM) or _may_have_a_blank_line(data):  # pyarrow would take it for a row of missing cells
            return None
        texts = dict.fromkeys(self._kept, pa.string())
        if set(self._asked) - set(self._kept):
            # What nobody wants to see as text is read as numbers, if all of it can be.
            with suppress(pa.ArrowInvalid):
                table = self._form.parse(data, dict.fromkeys(self._asked, pa.float64()) | texts)
                if (converted := self._converted(table)) is not None:
                    return converted
        try:
            return self._converted(self._form.parse(data, dict.fromkeys(self._asked, pa.string()) | texts))
        except pa.ArrowInvalid:
            return None

    def _converted(self, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, pa.Table] | None:
        """Return the same of a parsed table; ``None`` where a cell is missing in a column that was read as numbers."""
        values, bad = np.empty((table.num_rows, len(self._numbers))), None
        for index, name in enumerate(self._numbers):
            if name is None:
                values[:, index] = np.nan
                continue
            column = table.column(name)
            if pa.types.is_floating(column.type):
                numbers, wrong = as_float64(column), None
                if numbers is None:
                    return None
            else:
                numbers, wrong = read_numbers(column, self._form.options.decimal, self._form.missing)
            values[:, index] = numbers
            self._form.missing.take_out(values[:, index])
            if wrong is not None:
                bad = np.zeros(values.shape, dtype=np.bool_) if bad is None else bad
                bad[:, index] = wrong
        return values, bad, table.select(self._kept)

    def _by_cells(self, data: bytes, first_line: int, first_row: int) -> CsvChunk:
        """Return records as a chunk in which a malformed one is a row of missing cells."""
        form = self._form
        malformed: Malformed | None = None
        rows: list[list[str]] = []
        lines: list[int] = []
        for row, record in enumerate(records(data, form.separator, first_line)):
            cells = [cell.decode() for cell in record.cells]
            if cells == [""] or len(cells) != len(form.header):
                error = DataError(_explain_shape(cells, form), source=form.name, line=record.line)
                malformed = malformed or Malformed(row, error)
                cells = [""] * len(form.header)
            rows.append(cells)
            lines.append(record.line)
        columns = [pa.chunked_array([pa.array(column, pa.string())]) for column in zip(*rows, strict=True)]
        converted = self._converted(pa.table(columns, form.header))
        assert converted is not None
        at = np.array(lines, dtype=np.int64)
        return CsvChunk(*converted, form.name, first_row, malformed, first_line, at, data, form)


def _explain_shape(cells: list[str], form: CsvFormat) -> str:
    """Return what is wrong with a record of too many or too few cells, and what to do."""
    width = len(form.header)
    holder = "header" if form.options.header else "first row"
    if cells == [""]:
        return "the line is blank; remove it, or fill the row in"
    found = f"{len(cells)} cell{'s' * (len(cells) != 1)} where the {holder} has {width}"
    if len(cells) == width + 1 and not cells[-1]:
        return f"{found}: the line ends with a separator; remove it"
    if len(cells) == 2 * width and form.options.delimiter == "," and all(c.strip("+-").isdigit() for c in cells):
        return f"{found}; if the decimal mark is a comma, write another separator and give --sep and --decimal ,"
    if any("\n" in cell or "\r" in cell for cell in cells):
        return f"{found}; a quote that opens in this row is probably never closed"
    return f"{found}; correct the row"


def _may_have_a_blank_line(data: bytes) -> bool:
    """Return whether a line of a text is blank, in quotes or not."""
    if b"\r" in data:
        return data[:1] in (b"\n", b"\r") or any(pair in data for pair in (b"\n\n", b"\r\r", b"\n\r"))
    newline = np.frombuffer(data, dtype=np.uint8) == ord("\n")  # many times faster than searching bytes for a pair
    return bool(newline[0] or (newline[1:] & newline[:-1]).any())
