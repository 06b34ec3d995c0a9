"""Whole tables in memory: to be fitted, or to be held against what was fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.column_selection import ColumnRequest
from flowcli.table.inference.infer import infer_schema
from flowcli.table.inference.left_out import columns_left_out, say_left_out
from flowcli.table.io.csv_reader import CsvReader
from flowcli.table.io.gather import GatheredRows
from flowcli.table.io.inexact_integers import Notice
from flowcli.table.io.reader import Reader, open_source, open_table, words_for
from flowcli.table.io.typed_reader import FRAME, FrameReader
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column, Schema
from flowcli.table.values.support import first_below, first_invalid
from flowcli.text import printable

if TYPE_CHECKING:
    import pandas as pd


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


def read_table(
    source: str,
    request: ColumnRequest = ColumnRequest(),  # noqa: B008 - frozen
    options: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    *,
    notice: Notice,
) -> Table:
    """Read a CSV or Parquet file, or standard input (``-``), whole.

    A column of which most cells are no numbers is one of text.

    Args:
        source: A path, or ``-``.
        request: Which columns are read, and what is known of them.
        options: How the file is written.
        notice: Called with each thing worth saying that is no error, as one line.

    Returns:
        The rows and the inferred schema, in the order of the file.

    Raises:
        UsageError: A source, a column or a kind that makes no sense.
        ResourceError: A source that cannot be read.
        DataError: Rows that cannot be used, or none.
    """
    with open_source(source, options) as opened:
        if isinstance(opened, CsvReader):
            opened.form.refuse_numeric_header()
        gathered = GatheredRows(opened, request, options, notice)
    return _table(gathered, request, source, options.missing, notice)


def from_frame(
    frame: pd.DataFrame,
    request: ColumnRequest = ColumnRequest(),  # noqa: B008 - frozen
    *,
    missing: tuple[str, ...] | None = None,
    notice: Notice,
) -> Table:
    """Return a pandas frame as a table with its inferred schema. The index is not a column; names become text.

    Args:
        frame: The rows.
        request: Which columns are read, and what is known of them.
        missing: The words for a missing cell; ``None`` for the usual ones.
        notice: Called with each thing worth saying that is no error, as one line.

    Raises:
        UsageError: A column or a kind that makes no sense.
        DataError: Rows that cannot be used, or none.
    """
    gathered = GatheredRows(FrameReader(frame, missing), request, ReadOptions(), notice)
    return _table(gathered, request, FRAME, missing, notice)


def frame_values(frame: pd.DataFrame, columns: Sequence[Column]) -> NDArray[np.float64]:
    """Return the columns that a model needs, from a pandas frame, in the order asked, (N, D).

    Raises:
        DataError: Columns that are not there, or rows that cannot be used.
    """
    source = FrameReader(frame, words_for(None, columns))
    return Reader(source, columns, max(1, len(frame)), lambda _: None).values()


def read_like(source: str, schema: Schema, *, weights: str | None = None, options: ReadOptions) -> Table:
    """Read rows whose columns are those of another table, whole.

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, or rows that the columns cannot hold.
    """
    values = read_values(source, [*schema.columns, *([] if weights is None else [Column(weights)])], options)
    name = printable(source)
    if not len(values):
        raise DataError("has a header but no rows", source=name)
    if weights is None:
        return Table(values, schema, source)
    return Table(values[:, :-1], schema, source, _checked_weights(values[:, -1], weights, name, lambda _: None))


def read_values(source: str, columns: Sequence[Column], options: ReadOptions) -> NDArray[np.float64]:
    """Read some columns of a table whole, (N, D).

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, or values that these cannot hold.
    """
    with open_table(source, columns, options=options, notice=lambda _: None) as reader:
        values = reader.values()
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
    if (order := first_below(columns, values)) is not None:
        row, name, what = order
        raise DataError(f"row {row + 1}: is {what}; take the row out", source=source, column=name)


def _table(
    gathered: GatheredRows, request: ColumnRequest, source: str, missing: tuple[str, ...] | None, notice: Notice
) -> Table:
    """Return rows with what their columns are, and with the weights taken out of them."""
    names, values, written = gathered.names, gathered.values, gathered.written
    name = gathered.source.name
    weights = None
    if request.weights is not None:
        index = names.index(request.weights)
        if written[index].levels:
            raise DataError("is a column of text, and weights are numbers", source=name, column=request.weights)
        weights = _checked_weights(values[:, index], request.weights, name, gathered.line)
        kept = [i for i in range(len(names)) if i != index]
        names, values, written = [names[i] for i in kept], values[:, kept], [written[i] for i in kept]
        if not names:
            raise UsageError("--weights: nothing but weights is left")
    reasons = columns_left_out(names, values, written, request.spoken_for)
    if reasons:
        if len(reasons) == len(names):  # whoever has nothing but numbers in order means them
            reasons = {index: reason for index, reason in reasons.items() if reason != "numbers the rows"}
        if len(reasons) == len(names):
            raise DataError("nothing is left to be modelled: " + say_left_out(names, reasons), source=name)
        if reasons:
            notice(say_left_out(names, reasons))
        kept = [i for i in range(len(names)) if i not in reasons]
        names, values, written = [names[i] for i in kept], values[:, kept], [written[i] for i in kept]
    kinds = request.kinds or {}
    schema = infer_schema(
        names,
        values,
        written,
        kinds,
        notice,
        given=request.given,
        missing_words=missing,
        source=name,
        line=gathered.line,
    )
    return Table(values, schema, source, weights)


def _checked_weights(
    weights: NDArray[np.float64], name: str, source: str, line: Callable[[int], int | None]
) -> NDArray[np.float64]:
    """Return the weights (N,), of which none is missing or negative, and not all are zero."""
    wrong = ~(weights >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "a weight is missing" if np.isnan(weights[row]) else f"a weight is {float(weights[row])!r}"
        raise DataError(
            f"{f'row {row + 1}: ' if line(row) is None else ''}{what}; weights are numbers from zero up",
            source=source,
            line=line(row),
            column=name,
        )
    if not weights.any():
        raise DataError("all weights are zero", source=source, column=name)
    return np.ascontiguousarray(weights)
