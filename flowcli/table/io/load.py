"""Whole tables in memory, for fitting: from a file or from a pandas frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.column_selection import positions, selected
from flowcli.table.inference.infer import infer_schema
from flowcli.table.inference.lattice import MAX_DECIMALS, Written
from flowcli.table.io.csv_reader import Chunk, CsvReader
from flowcli.table.io.inexact_integers import InexactIntegers, InexactTypedIntegers, Notice
from flowcli.table.io.parquet_reader import ParquetReader
from flowcli.table.io.reader import error_of, open_table
from flowcli.table.io.source import is_parquet, open_bytes, open_file
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column, Schema
from flowcli.table.values.numbers import PADDING, from_arrow, is_text
from flowcli.table.values.support import first_invalid
from flowcli.table.values.texts import as_text, indices, is_boolean, levels_of
from flowcli.text import did_you_mean, printable, quoted

if TYPE_CHECKING:
    import pandas as pd

_FRAME = "the frame"
_SAMPLE = 1000
_BLOCK = 65_536


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Attributes:
        values: The rows, (N, D): finite numbers, NaN where a cell is missing, for a text its place among the column's
            levels.
        schema: What the columns are.
        source: Where the rows came from, as the user named it.
        weights: Of the rows, (N,); ``None`` where all count alike.
    """

    values: NDArray[np.float64]
    schema: Schema
    source: str
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ColumnRequest:
    """What the user said about columns.

    Attributes:
        columns: The columns to fit; ``None`` for all.
        exclude: The columns to leave out.
        kinds: The kinds of some, by name.
        given: Those that the density is to be conditioned on.
        weights: The one with the weight of each row.
    """

    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    kinds: Mapping[str, str] | None = None
    given: Sequence[str] = ()
    weights: str | None = None

    def names(self, header: Sequence[str]) -> list[str]:
        """Return the columns to read, the weights' among them."""
        names = selected(header, self.columns, self.exclude)
        if self.weights is None:
            return names
        if self.weights not in header:
            hint = did_you_mean(self.weights, header)
            raise UsageError(f"--weights: there is no column {quoted(self.weights)}{hint}")
        if self.weights in self.given:
            raise UsageError(f"--weights: column {quoted(self.weights)} is given already")
        return names if self.weights in names else [name for name in header if name in {*names, self.weights}]

    def is_category(self, name: str) -> bool:
        """Return whether the user wants a column's cells as they are written."""
        return (self.kinds or {}).get(name, "").strip() == "category"


def read_table(
    source: str,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    kinds: Mapping[str, str] = {},
    given: Sequence[str] = (),
    weights: str | None = None,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    notice: Notice,
) -> Table:
    """Read a CSV or Parquet file, or standard input (``-``), whole.

    A column of which most cells are no numbers is one of text.

    Args:
        source: A path, or ``-``.
        columns: The columns to read; ``None`` for all.
        exclude: The columns to leave out.
        kinds: The kinds that the user gave, by name.
        given: The columns that the density is to be conditioned on.
        weights: The column with the weight of each row.
        options: How a CSV file is written.
        notice: Called with each thing worth saying that is no error, as one line.

    Returns:
        The rows and the inferred schema, in the order of the file.

    Raises:
        UsageError: A source, a column or a kind that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Rows that cannot be used, or none.
    """
    request = ColumnRequest(columns, exclude, kinds, given, weights)
    if is_parquet(source):
        with open_file(source) as file:
            reader = ParquetReader(file, source)
            names = request.names(reader.header)
            tables = list(reader.tables(_BLOCK, names))
        table = pa.concat_tables(tables) if tables else reader.schema.empty_table().select(names)
        return _from_typed(table, names, source, request, notice)
    with open_bytes(source, options) as stream:
        text = CsvReader(stream, source, options)
        text.refuse_numeric_header()
        names = request.names(text.header)
        asked = positions(text.header, names, printable(source), lambda _: None)
        watch = InexactIntegers(names, source, options, notice)
        gathered = _Gathered(text, names, asked, source, options.decimal, request)
        for chunk in text.chunks(asked, asked):
            gathered.add(chunk)
            if not chunk.faults:
                watch.inspect(chunk, asked)
    values, written = gathered.values()
    return _table(names, values, written, request, notice, source, gathered.line_of)


def from_frame(
    frame: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    kinds: Mapping[str, str] = {},
    given: Sequence[str] = (),
    weights: str | None = None,
    notice: Notice,
) -> Table:
    """Return a pandas frame as a table with its inferred schema. The index is not a column; names become text.

    Raises:
        UsageError: A column or a kind that makes no sense.
        DataError: Rows that cannot be used, or none.
    """
    request = ColumnRequest(columns, exclude, kinds, given, weights)
    header = _frame_header(frame)
    names = request.names(header)
    return _from_typed(_typed(frame, header, names), names, _FRAME, request, notice)


def read_like(source: str, schema: Schema, *, weights: str | None = None, options: ReadOptions) -> Table:
    """Read rows whose columns are those of another table, whole.

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, or rows that the columns cannot hold.
    """
    wanted: list[Column] = [*schema.columns, *([] if weights is None else [Column(weights)])]
    with open_table(source, wanted, _BLOCK, options, notice=lambda _: None) as reader:
        blocks = [block.values for block in reader]
    if not blocks:
        raise DataError("has a header but no rows", source=printable(source))
    values = np.concatenate(blocks)
    refuse_invalid(values[:, : len(schema.columns)], schema.columns, printable(source))
    if weights is None:
        return Table(values, schema, source)
    return Table(values[:, :-1], schema, source, _checked_weights(values[:, -1], weights, source, None))


def read_values(source: str, columns: Sequence[Column], options: ReadOptions) -> NDArray[np.float64]:
    """Read some columns of a table whole, (N, D).

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, or values that these cannot hold.
    """
    with open_table(source, columns, _BLOCK, options, notice=lambda _: None) as reader:
        blocks = [block.values for block in reader]
    values = np.concatenate(blocks) if blocks else np.empty((0, len(columns)))
    refuse_invalid(values, columns, printable(source))
    return values


def refuse_invalid(values: NDArray[np.float64], columns: Sequence[Column], source: str) -> None:
    """Raise where a value of rows (N, D) is none that its column can hold.

    Raises:
        DataError: There is such a value.
    """
    for column, cells in zip(columns, values.T, strict=True):
        if (problem := first_invalid(column, cells)) is not None:
            row, what = problem
            raise DataError(f"row {row + 1}: {what}; take the row out", source=source, column=column.name)


def frame_values(frame: pd.DataFrame, columns: Sequence[Column], *, notice: Notice) -> NDArray[np.float64]:
    """Return the columns that a model needs, from a pandas frame, in the order asked, (N, D).

    Raises:
        DataError: Columns that are not there, or rows that cannot be used.
    """
    header, names = _frame_header(frame), [column.name for column in columns]
    positions(header, names, _FRAME, notice)
    table = _typed(frame, header, names)
    values = np.empty((table.num_rows, len(names)))
    for column_index, column in enumerate(columns):
        cells = table.column(column.name)
        if column.text:
            values[:, column_index] = indices(as_text(cells), column.levels)
        else:
            values[:, column_index] = from_arrow(cells, column.name, _FRAME)
        absent = np.isnan(values[:, column_index])
        if absent.any() and not column.missing:
            problem = f"row {int(np.argmax(absent)) + 1} has a missing cell, and none was missing in the rows fitted to"
            raise DataError(f"{problem}: drop the row, or fill the cell in", source=_FRAME, column=column.name)
    _refuse_infinite(names, values, _FRAME)
    InexactTypedIntegers([c.name for c in columns if not c.text], _FRAME, notice).inspect(
        table, values[:, [column_index for column_index, c in enumerate(columns) if not c.text]], 0
    )
    return values


class _Gathered:
    """The chunks of a CSV file, put together."""

    def __init__(
        self,
        reader: CsvReader,
        names: Sequence[str],
        asked: Sequence[int],
        source: str,
        decimal: str,
        request: ColumnRequest,
    ) -> None:
        self._reader, self._names, self._asked = reader, names, asked
        self._source, self._decimal, self._request = source, decimal, request
        self._chunks: list[Chunk] = []  # without their texts, but for those that may be wanted
        self._kept: list[dict[int, pa.ChunkedArray]] = []
        width = len(names)
        self._points = np.zeros(width, dtype=np.int64)
        self._exponents = np.zeros(width, dtype=bool)
        self._integers = np.ones(width, dtype=bool)
        self._present = np.zeros(width, dtype=np.int64)
        self._texts = np.zeros(width, dtype=np.int64)

    def add(self, chunk: Chunk) -> None:
        """Take the next rows.

        Raises:
            DataError: A row of the wrong length.
        """
        kept: dict[int, pa.ChunkedArray] = {}
        for column_index, name in enumerate(self._names):
            values = chunk.values[:, column_index]
            bad = None if chunk.bad is None else chunk.bad[:, column_index]
            self._present[column_index] += np.count_nonzero(~np.isnan(values)) + (
                0 if bad is None else np.count_nonzero(bad)
            )
            column = chunk.texts.column(name)
            if self._request.is_category(name):
                kept[column_index] = column
                continue
            if bad is not None and bad.any():
                kept[column_index] = column
                self._texts[column_index] += self._count_texts(column, bad)
            self._inspect_digits(column_index, column, np.isnan(values))
        for fault in chunk.faults:
            # What was wrong with cells before it comes first.
            self._decide(before=chunk)
            raise error_of(fault, self._names, self._source)
        self._kept.append(kept)
        self._chunks.append(replace(chunk, texts=chunk.texts.slice(0, 0)))

    def values(self) -> tuple[NDArray[np.float64], list[Written]]:
        """Return all rows, (N, D), and how each column is written.

        Raises:
            DataError: A cell that is not a number among numbers, or no rows.
        """
        textual = self._decide()
        if not self._chunks:
            raise DataError("has a header but no rows", source=printable(self._source))
        values = np.concatenate([chunk.values for chunk in self._chunks])
        written = [
            Written(bool(integer), None if exponent or points > MAX_DECIMALS else int(points))
            for integer, exponent, points in zip(self._integers, self._exponents, self._points, strict=True)
        ]
        for column_index in textual:
            parts = [
                kept.get(column_index) or self._reader.text(chunk, self._asked[column_index])
                for kept, chunk in zip(self._kept, self._chunks, strict=True)
            ]
            found = levels_of(
                as_text(pa.chunked_array([piece for part in parts for piece in part.chunks], pa.string()))
            )
            values[:, column_index] = found.indices
            written[column_index] = Written(levels=found.levels, boolean=is_boolean(found.levels))
        return values, written

    def line_of(self, row: int) -> int:
        """Return the line in the file of a row."""
        chunk = next(chunk for chunk in reversed(self._chunks) if chunk.first_row <= row)
        return chunk.line(row - chunk.first_row)

    def _decide(self, before: Chunk | None = None) -> list[int]:
        """Return the columns of text.

        Raises:
            DataError: A cell of another column is no number.
        """
        textual = [
            column_index
            for column_index, name in enumerate(self._names)
            if self._request.is_category(name) or 2 * self._texts[column_index] > self._present[column_index]
        ]
        numeric = [column_index for column_index in range(len(self._names)) if column_index not in textual]
        for chunk in [*self._chunks, *([] if before is None else [before])]:
            if chunk.bad is None or not chunk.bad[:, numeric].any():
                continue
            row = int(np.argmax(chunk.bad[:, numeric].any(axis=1)))
            if before is chunk and row > chunk.faults[0].row:
                continue
            column_index = numeric[int(np.argmax(chunk.bad[row, numeric]))]
            raise error_of(
                self._reader.fault(chunk, row, self._asked[column_index], column_index), self._names, self._source
            )
        return textual

    def _count_texts(self, column: pa.ChunkedArray, bad: NDArray[np.bool_]) -> int:
        """Return how many cells are not even meant to be numbers."""
        counts = pc.value_counts(column.filter(pa.array(bad)))
        cells = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
        return sum(count for cell, count in cells if is_text(cell, self._decimal))

    def _inspect_digits(self, column_index: int, column: pa.ChunkedArray, without: NDArray[np.bool_]) -> None:
        if self._exponents[column_index] or self._points[column_index] > MAX_DECIMALS:
            return
        if without.any():
            column = column.filter(pa.array(~without))
        if not len(column):
            return
        column = pc.ascii_trim(column, characters=PADDING)
        point = pc.find_substring(column, self._decimal)
        if pc.max(point).as_py() >= 0:
            self._integers[column_index] = False
            digits = pc.subtract(pc.subtract(pc.binary_length(column), 1), point)
            digits = pc.max(pc.if_else(pc.greater_equal(point, 0), digits, 0)).as_py()
            self._points[column_index] = max(self._points[column_index], digits)
        if pc.max(pc.find_substring(column, "e")).as_py() >= 0 or pc.max(pc.find_substring(column, "E")).as_py() >= 0:
            self._integers[column_index] = False
            self._exponents[column_index] = True


def _from_typed(table: pa.Table, names: Sequence[str], source: str, request: ColumnRequest, notice: Notice) -> Table:
    if table.num_rows == 0:
        raise DataError("has columns but no rows", source=printable(source))
    values = np.empty((table.num_rows, len(names)))
    written = []
    numeric = []
    for column_index, name in enumerate(names):
        column = table.column(name)
        if _is_numeric(column.type) and not request.is_category(name):
            values[:, column_index] = from_arrow(column, name, source)
            present = values[~np.isnan(values[:, column_index]), column_index]
            written.append(_written(column.type, present))
            numeric.append(column_index)
            continue
        try:
            found = levels_of(as_text(column))
        except DataError as error:
            raise DataError(error.message, source=printable(source), column=name) from error
        values[:, column_index] = found.indices
        written.append(Written(levels=found.levels, boolean=is_boolean(found.levels)))
    _refuse_infinite(names, values, source)
    InexactTypedIntegers([names[column_index] for column_index in numeric], source, notice).inspect(
        table, values[:, numeric], 0
    )
    return _table(names, values, written, request, notice, source, None)


def _table(
    names: Sequence[str],
    values: NDArray[np.float64],
    written: Sequence[Written],
    request: ColumnRequest,
    notice: Notice,
    source: str,
    line: Callable[[int], int] | None,
) -> Table:
    """Return the table of values that were read, with the weights apart."""
    weights = None
    if request.weights is not None:
        column_index = list(names).index(request.weights)
        if written[column_index].levels:
            raise DataError(
                "is a column of text, and weights are numbers", source=printable(source), column=request.weights
            )
        weights = _checked_weights(values[:, column_index], request.weights, source, line)
        kept = [i for i in range(len(names)) if i != column_index]
        names, values, written = [names[i] for i in kept], values[:, kept], [written[i] for i in kept]
        if not names:
            raise UsageError("--weights: nothing but weights is left")
    schema = infer_schema(
        names, values, written, request.kinds or {}, notice, given=request.given, source=printable(source), line=line
    )
    return Table(values, schema, source, weights)


def _checked_weights(
    weights: NDArray[np.float64], name: str, source: str, line: Callable[[int], int] | None
) -> NDArray[np.float64]:
    wrong = ~(weights >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "a weight is missing" if np.isnan(weights[row]) else f"a weight is {float(weights[row])!r}"
        where = "" if line is not None else f"row {row + 1}: "
        raise DataError(
            f"{where}{what}; weights are numbers from zero up",
            source=printable(source),
            line=None if line is None else line(row),
            column=name,
        )
    if not weights.any():
        raise DataError("all weights are zero", source=printable(source), column=name)
    return np.ascontiguousarray(weights)


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


def _refuse_infinite(names: Sequence[str], values: NDArray[np.float64], source: str) -> None:
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column_index = (int(i) for i in infinite[0])
        problem = f"row {row + 1} is {values[row, column_index]}, not finite; drop the row or give a finite value"
        raise DataError(problem, source=printable(source), column=names[column_index])


def _frame_header(frame: pd.DataFrame) -> list[str]:
    header = [str(name) for name in frame.columns]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"two columns have the same name {quoted(name)}; rename one", source=_FRAME)
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
