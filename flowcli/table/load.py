"""Whole tables in memory, for fitting: from a file or from a pandas frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.csv_reader import Chunk, CsvReader
from flowcli.table.infer import MAX_DECIMALS, Written, infer_schema
from flowcli.table.numbers import brief, exclude_flag, from_arrow, is_text
from flowcli.table.parquet_reader import ParquetReader
from flowcli.table.reader import error_of
from flowcli.table.rounded import Notice, RoundedIntegers, RoundedTypedIntegers
from flowcli.table.schema import Schema
from flowcli.table.select import chosen, positions
from flowcli.table.source import ReadOptions, is_parquet, open_bytes, open_file, shown

if TYPE_CHECKING:
    import pandas as pd

_FRAME = "the frame"
_SAMPLE = 1000


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Attributes:
        values: The rows, finite, (N, D).
        schema: What the columns are.
        source: Where the rows came from, as the user named it.
        weights: Of the rows, (N,); ``None`` where all count alike.
    """

    values: NDArray[np.float64]
    schema: Schema
    source: str
    weights: NDArray[np.float64] | None = None


def read_table(
    source: str,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    kinds: Mapping[str, str] = {},
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    notice: Notice,
) -> Table:
    """Read a CSV or Parquet file, or standard input (``-``), whole.

    Args:
        source: A path, or ``-``.
        columns: The columns to read; ``None`` for all.
        exclude: The columns to leave out.
        kinds: The kinds that the user gave, by name.
        options: How a CSV file is written.
        notice: Called with each thing worth saying that is no error, as one line.

    Returns:
        The rows and the inferred schema, in the order of the file.

    Raises:
        UsageError: A source, a column or a kind that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Rows that cannot be used, or none.
    """
    if is_parquet(source):
        with open_file(source) as file:
            reader = ParquetReader(file, source)
            names = chosen(reader.header, columns, exclude)
            tables = list(reader.tables(65_536, names))
        table = pa.concat_tables(tables) if tables else reader.schema.empty_table().select(names)
        return _from_typed(table, names, source, kinds, notice)
    with open_bytes(source, options) as stream:
        text = CsvReader(stream, source, options)
        text.refuse_numeric_header()
        names = chosen(text.header, columns, exclude)
        asked = positions(text.header, names, shown(source), lambda _: None)
        watch = RoundedIntegers(names, source, options, notice)
        gathered = _Gathered(names, source, options.decimal)
        for chunk in text.chunks(asked, "asked"):
            gathered.add(chunk)
            if not chunk.faults:
                watch.look(chunk, asked)
    values = gathered.values()
    schema = infer_schema(names, values, gathered.written(), kinds, notice, source=shown(source), line=gathered.line_of)
    return Table(values, schema, source)


def from_frame(
    frame: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    kinds: Mapping[str, str] = {},
    notice: Notice,
) -> Table:
    """The same for a pandas frame. The index is not a column; names become text.

    Raises:
        UsageError: A column or a kind that makes no sense.
        DataError: Rows that cannot be used, or none.
    """
    header = _frame_header(frame)
    names = chosen(header, columns, exclude)
    return _from_typed(_typed(frame, header, names), names, _FRAME, kinds, notice)


def frame_values(frame: pd.DataFrame, names: Sequence[str], *, notice: Notice) -> NDArray[np.float64]:
    """The columns that a model needs, from a pandas frame, in the order asked, (N, D).

    Raises:
        DataError: Columns that are not there, or rows that cannot be used.
    """
    header = _frame_header(frame)
    positions(header, names, _FRAME, notice)
    table = _typed(frame, header, names)
    values = np.empty((table.num_rows, len(names)))
    for place, name in enumerate(names):
        values[:, place] = from_arrow(table.column(name), name, _FRAME)
    _refuse_missing(names, values, _FRAME)
    RoundedTypedIntegers(names, _FRAME, notice).look(table, values, 0)
    return values


class _Gathered:
    """The chunks of a CSV file, put together."""

    def __init__(self, names: Sequence[str], source: str, decimal: str) -> None:
        self._names = names
        self._source = source
        self._decimal = decimal
        self._parts: list[NDArray[np.float64]] = []
        self._lines: list[tuple[int, int, NDArray[np.int64] | None]] = []
        self._points = np.zeros(len(names), dtype=np.int64)
        self._exponents = np.zeros(len(names), dtype=bool)
        self._integers = np.ones(len(names), dtype=bool)
        self._missing = np.zeros(len(names), dtype=np.int64)
        self._first_missing: int | None = None

    def add(self, chunk: Chunk) -> None:
        """Take the next rows.

        Raises:
            DataError: A cell that is not a number, or a row of the wrong length.
        """
        for fault in chunk.faults:
            if fault.kind == "shape":
                raise error_of(fault, self._names, self._source)
        self._refuse_bad(chunk)
        for fault in chunk.faults:
            assert fault.column is not None
            self._missing[fault.column] += 1
            if self._first_missing is None:
                self._first_missing = fault.line
        if self._first_missing is not None:
            return
        self._parts.append(chunk.values)
        self._lines.append((chunk.first_row, chunk.first_line, chunk.lines))
        assert chunk.texts is not None
        for place, name in enumerate(self._names):
            self._look_at_digits(place, chunk.texts.column(name))

    def values(self) -> NDArray[np.float64]:
        """All rows, (N, D).

        Raises:
            DataError: There are missing cells, or no rows.
        """
        if self._first_missing is not None:
            raise _missing_error(self._names, self._missing, self._source, self._first_missing)
        if not self._parts:
            raise DataError("has a header but no rows", source=shown(self._source))
        return np.concatenate(self._parts)

    def written(self) -> list[Written]:
        """How each column is written."""
        return [
            Written(bool(integer), None if exponent or points > MAX_DECIMALS else int(points))
            for integer, exponent, points in zip(self._integers, self._exponents, self._points, strict=True)
        ]

    def line_of(self, row: int) -> int:
        """The line in the file of a row."""
        first_row, first_line, lines = next(part for part in reversed(self._lines) if part[0] <= row)
        return first_line + row - first_row if lines is None else int(lines[row - first_row])

    def _refuse_bad(self, chunk: Chunk) -> None:
        bad = [fault for fault in chunk.faults if fault.kind == "bad"]
        if not bad:
            return
        columns = np.array([f.column for f in bad if is_text(f.cell, self._decimal)], dtype=np.int64)
        missing = np.array([fault.column for fault in chunk.faults if fault.kind == "missing"], dtype=np.int64)
        width = len(self._names)
        present = len(chunk.values) - np.bincount(missing, minlength=width)
        text = np.flatnonzero(2 * np.bincount(columns, minlength=width) > present).tolist()
        if text:
            first = next(f for f in bad if f.column == text[0] and is_text(f.cell, self._decimal))
            raise _text_error([self._names[i] for i in text], first.cell, self._source)
        raise error_of(bad[0], self._names, self._source)

    def _look_at_digits(self, place: int, column: pa.ChunkedArray) -> None:
        if self._exponents[place] or self._points[place] > MAX_DECIMALS:
            return
        column = pc.ascii_trim(column, characters=" \t")
        point = pc.find_substring(column, self._decimal)
        if pc.max(point).as_py() >= 0:
            self._integers[place] = False
            digits = pc.subtract(pc.subtract(pc.binary_length(column), 1), point)
            digits = pc.max(pc.if_else(pc.greater_equal(point, 0), digits, 0)).as_py()
            self._points[place] = max(self._points[place], digits)
        if pc.max(pc.find_substring(column, "e")).as_py() >= 0 or pc.max(pc.find_substring(column, "E")).as_py() >= 0:
            self._integers[place] = False
            self._exponents[place] = True


def _from_typed(table: pa.Table, names: Sequence[str], source: str, kinds: Mapping[str, str], notice: Notice) -> Table:
    text = [n for n in names if not _is_numeric(table.schema.field(n).type)]
    if text:
        cells = table.column(text[0]).drop_null()
        raise _text_error(text, str(cells[0].as_py()) if len(cells) else "", source)
    if table.num_rows == 0:
        raise DataError("has columns but no rows", source=shown(source))
    values = np.empty((table.num_rows, len(names)))
    written = []
    for place, name in enumerate(names):
        column = table.column(name)
        values[:, place] = from_arrow(column, name, source)
        written.append(_written(column.type, values[:, place]))
    _refuse_missing(names, values, source)
    RoundedTypedIntegers(names, source, notice).look(table, values, 0)
    return Table(values, infer_schema(names, values, written, kinds, notice, source=shown(source)), source)


def _is_numeric(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    )


def _written(kind: pa.DataType, values: NDArray[np.float64]) -> Written:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return Written(integer=True, decimals=0)
    if pa.types.is_decimal(kind):
        return Written(integer=kind.scale <= 0, decimals=kind.scale if 0 <= kind.scale <= MAX_DECIMALS else None)
    float_type: type[np.floating] = np.float64
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        float_type = np.float16 if pa.types.is_float16(kind) else np.float32
    decimals = 0
    for value in values[:: max(1, len(values) // _SAMPLE)]:
        digits = np.format_float_positional(float_type(value), unique=True, trim="-").partition(".")[2]
        decimals = max(decimals, len(digits))
    return Written(decimals=decimals if decimals <= MAX_DECIMALS else None, kind=float_type)


def _refuse_missing(names: Sequence[str], values: NDArray[np.float64], source: str) -> None:
    missing = np.isnan(values)
    if missing.any():
        row = int(np.flatnonzero(missing.any(axis=1))[0])
        raise _missing_error(names, missing.sum(axis=0), source, None, row)
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, place = (int(i) for i in infinite[0])
        problem = f"row {row + 1} is {values[row, place]}, not finite; drop the row or give a finite value"
        raise DataError(problem, source=shown(source), column=names[place])


def _missing_error(
    names: Sequence[str], counts: NDArray[np.int64], source: str, line: int | None, row: int | None = None
) -> DataError:
    where = [f"{int(counts[i])} in {brief(names[i])}" for i in np.flatnonzero(counts).tolist()]
    text = ", ".join(where[:8]) + (f" and {len(where) - 8} more columns" if len(where) > 8 else "")
    first = "" if row is None else f", the first in row {row + 1}"
    flag = exclude_flag([names[i] for i in np.flatnonzero(counts).tolist()][:20])
    remedy = f"drop the rows, fill the cells in, or leave the columns out with {flag}"
    message = f"missing cells ({text}{first}) are not modelled yet: {remedy}"
    return DataError(message, source=shown(source), line=line)


def _text_error(names: Sequence[str], example: str, source: str) -> DataError:
    remedy = (
        f"categories are not modelled yet: leave {'it' if len(names) == 1 else 'them'} out with {exclude_flag(names)}"
    )
    if len(names) == 1:
        problem = f"is a column of text (for example {brief(example)}); {remedy}"
        return DataError(problem, source=shown(source), column=names[0])
    listing = ", ".join(repr(name) for name in names)
    problem = f"columns {listing} are columns of text (for example {brief(example)}); {remedy}"
    return DataError(problem, source=shown(source))


def _frame_header(frame: pd.DataFrame) -> list[str]:
    header = [str(name) for name in frame.columns]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"two columns have the same name {brief(name)}; rename one", source=_FRAME)
    return header


def _typed(frame: pd.DataFrame, header: Sequence[str], names: Sequence[str]) -> pa.Table:
    arrays = []
    for name in names:
        series = frame.iloc[:, header.index(name)]
        try:
            arrays.append(pa.chunked_array([pa.Array.from_pandas(series)]))
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            # A mixture of types: what stands in it decides how it is described.
            arrays.append(pa.chunked_array([pa.array([None if c is None else str(c) for c in series], pa.string())]))
    return pa.table(arrays, names=list(names))
