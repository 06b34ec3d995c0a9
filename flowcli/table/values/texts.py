"""Cells of text: as texts, and as places among the texts that a column can have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.schema import Column
from flowcli.table.values.cell_format import numbers_of
from flowcli.table.values.missing import PADDING, MissingCells, missing_cells
from flowcli.table.values.numbers import is_number, number, plain_type
from flowcli.table.values.support import first_invalid
from flowcli.table.values.words import as_cells
from flowcli.text import did_you_mean, listed

UNSEEN = -1.0  # the place of a text that the column cannot have
# Pairs of words for false and true, in small letters.
BOOLEANS = {("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y")}


def as_text(column: pa.ChunkedArray, name: str, source: str, missing: MissingCells) -> pa.ChunkedArray:
    """Return a column of any plain type as texts, null where a cell is missing.

    Texts lose the blanks around them, and the words for a missing cell are one; dates and times are as ISO 8601 has
    them, and numbers that are no texts are missing by their value.

    Raises:
        DataError: The type has no text.
    """
    kind = plain_type(column.type)
    if kind != column.type:
        column = column.cast(kind)
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        problem = f"is of type {kind}, which is neither a number nor a text"
        raise DataError(problem, source=source, column=name) from error
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = pc.ascii_trim(texts, characters=PADDING)
        absent = missing.among(texts)
    elif is_number(kind) and missing.numbers:
        absent = pc.is_in(column.cast(pa.float64(), safe=False), value_set=pa.array(missing.numbers, pa.float64()))
    else:
        return texts
    return pc.if_else(absent, pa.scalar(None, pa.string()), texts)


def levels_of(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the ``indices`` of a column that ``as_text`` gave, (n,), and its levels, which are its texts, sorted."""
    levels = tuple(sorted(text for text in pc.unique(column).to_pylist() if text is not None))
    return indices(column, levels), levels


def indices(column: pa.ChunkedArray, levels: Sequence[str]) -> NDArray[np.float64]:
    """Return the place of each text among the levels, (n,): NaN for a missing cell, ``UNSEEN`` for another text."""
    if is_boolean(levels):  # true is true, whoever wrote it
        column, levels = pc.utf8_lower(column), [level.lower() for level in levels]
    found = pc.index_in(column, value_set=pa.array(levels, pa.string()))
    values = pc.fill_null(found, -1).to_numpy().astype(np.float64)
    return np.asarray(np.where(column.is_null().to_numpy(), np.nan, values))


def put_words(values: NDArray[np.float64], texts: pa.ChunkedArray, words: Sequence[str]) -> NDArray[np.bool_]:
    """Put the cells that stand for words into a column's values, (n,), in place; return where there are any, (n,)."""
    found = pc.fill_null(pc.index_in(texts, value_set=pa.array(words, pa.string()), skip_nulls=True), -1).to_numpy()
    is_word = np.asarray(found >= 0)
    values[is_word] = as_cells(found[is_word])
    return is_word


def read_cell(cell: str, column: Column) -> float:
    """One value as a user writes it, for a column: NaN for a missing cell.

    Raises:
        UsageError: The column cannot hold it.
    """
    text, missing = cell.strip(PADDING), missing_cells(column.missing_words)
    if missing.is_missing(text) or (not column.text and number(text) in missing.numbers):
        if column.missing:
            return math.nan
        raise UsageError(f"{column.name}={cell}: no cell of that column was missing in the rows that were fitted to")
    if column.text:
        column_index = float(indices(pa.chunked_array([[text]], pa.string()), column.levels)[0])
        if column_index != UNSEEN:
            return column_index
        hint = did_you_mean(text, column.levels) or f"; it is one of {listed(column.levels)}"
        raise UsageError(f"{column.name}={cell}: there is no such text in that column{hint}")
    if text in column.words:
        return float(as_cells(np.array([column.words.index(text)]))[0])
    if column.format is not None:
        value: float | None = float(numbers_of([text], column.format)[0])
        if value != value:
            raise UsageError(f"{column.name}={cell}: not written as {column.format}")
    else:
        value = number(text)
    if value is None or not math.isfinite(value):
        raise UsageError(f"{column.name}={cell}: not a finite number")
    if (problem := first_invalid(column, np.array([value]))) is not None:
        raise UsageError(f"{column.name}={cell}: {problem[1]}")
    return value


def is_boolean(levels: Sequence[str]) -> bool:
    """Return whether two texts stand for true and false."""
    return tuple(sorted(level.lower() for level in levels)) in BOOLEANS


def truth_level(levels: Sequence[str], truth: bool) -> int:
    """Return the place among two texts for true and false of the one that is meant."""
    words = [level.lower() for level in levels]
    return words.index((max if truth else min)(words))  # in every pair the word for false comes first
