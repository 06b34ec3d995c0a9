"""Cells to float64: what counts as a number, what counts as missing, and what to say about the rest."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.read_options import ReadOptions
from flowcli.table.values.missing import PADDING, MissingCells, is_mark, missing_flag
from flowcli.text import quoted

LARGEST_EXACT = 2**53

_NUMBER = {
    ".": re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII),
}
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_INFINITE = ("inf", "infinity")
_OTHER = {".": ",", ",": "."}


def number(cell: str, decimal: str = ".") -> float | None:
    """Read one cell by the rules that hold for every cell of every file.

    Returns:
        The number, infinite when it is too large for a float64; ``None`` when the cell is not a number.
    """
    cell = cell.strip(PADDING)
    if _NUMBER[decimal].fullmatch(cell) is None:
        return None
    return float(cell.replace(",", "."))


def explain(cell: str, options: ReadOptions) -> str:
    """Return what is wrong with a cell that is not missing and not a finite number, and what to do."""
    text = cell.strip(PADDING)
    what = quoted(cell)
    value = number(cell, options.decimal)
    if value is not None:
        return f"{what} is too large for a float64; correct it or drop the row"
    if text.lower().lstrip("+-") in _INFINITE:
        return f"{what} is not finite; drop the row or give a finite value"
    if "\n" in text or "\r" in text:
        return f"{what} is not a number; a quote that opens on this line is probably never closed"
    other = _OTHER[options.decimal]
    if _is_grouped(text, options.decimal):
        remedy = "remove them"
        if text.count(other) == 1 and options.decimal not in text:
            remedy += f", or give --decimal {other} if that is the decimal mark"
        if other in text:
            remedy += f"; fit reads them with --thousands {other}"
        return f"{what} is not a number: thousands separators are not read; {remedy}"
    if number(cell, other) is not None:
        return f"{what} is not a number; if {other!r} is the decimal mark, give --decimal {other}"
    remedy = "correct the cell or drop the row"
    if is_mark(text):
        remedy += f", or give {missing_flag(options.missing, [text])} if it stands for a missing cell"
    return f"{what} is not a number; {remedy}"


def is_text(cell: str, decimal: str) -> bool:
    """Return whether a cell that cannot be used is not even meant to be a number."""
    text = cell.strip(PADDING)
    meant = number(text, decimal) is not None or number(text, _OTHER[decimal]) is not None
    return not (meant or text.lower().lstrip("+-") in _INFINITE or _is_grouped(text, decimal))


def _is_grouped(text: str, decimal: str) -> bool:
    group, mark = re.escape(_OTHER[decimal]), re.escape(decimal)
    grouped = rf"[+-]?\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d+)?|[+-]?\d{{1,3}}(?:[ '\u00a0\u202f]\d{{3}})+(?:[.,]\d+)?"
    return re.fullmatch(grouped, text) is not None


def exclude_flag(names: Sequence[str]) -> str:
    """Return the flag that leaves columns out, ready to be pasted."""
    text = ",".join(names)
    return "--exclude " + (shlex.quote(text) if text.isprintable() else repr(text))


def read_numbers(
    column: pa.ChunkedArray, decimal: str, missing: MissingCells
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Convert a text column whatever stands in it.

    Args:
        column: A ``pa.ChunkedArray`` of strings.
        decimal: The decimal mark.
        missing: Tells missing cells from texts; the numbers among its words are left to the caller.

    Returns:
        The numbers, NaN for other cells, (n,); and which cells are neither numbers nor missing, ``None`` for no one.
    """
    values = _plain_numbers(column, decimal)
    if values is not None:
        return values, None
    texts = pc.ascii_trim(column, characters=PADDING)
    good = pc.match_substring_regex(texts, f"^(?:{_NUMBER[decimal].pattern})$")
    absent = missing.among(texts)
    kept = pc.if_else(good, texts, pa.scalar(None, texts.type))
    if decimal == ",":
        kept = pc.replace_substring(kept, ",", ".")
    values = kept.cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
    bad = ~(good.to_numpy(zero_copy_only=False) | absent.to_numpy(zero_copy_only=False)) | np.isinf(values)
    values[bad] = np.nan
    return values, bad if bad.any() else None


def _plain_numbers(column: pa.ChunkedArray, decimal: str) -> NDArray[np.float64] | None:
    """Convert texts at pyarrow's speed; ``None`` when there is one that only the slow rules of ``number`` can judge."""
    if decimal == ",":
        if pc.any(pc.match_substring(column, ".")).as_py():
            return None
        column = pc.replace_substring(column, ",", ".")
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        try:
            numbers = pc.ascii_trim(column, characters=PADDING).cast(pa.float64())
        except pa.ArrowInvalid:
            return None
    return as_float64(numbers)


def as_float64(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Return a pyarrow float64 column as an array; ``None`` when a cell is missing or not finite."""
    if column.null_count:
        return None
    values = _to_numpy(column)
    return values if np.isfinite(values).all() else None


def rounded_integer(cells: Sequence[str], values: NDArray[np.float64]) -> int | None:
    """Return the first position at which a written integer is not the float64 that it became."""
    for position, (cell, value) in enumerate(zip(cells, values.tolist(), strict=True)):
        text = cell.strip(PADDING)
        if len(text) < 400 and _INTEGER.fullmatch(text) and math.isfinite(value) and int(text) != int(value):
            return position
    return None


def to_arrow(values: NDArray[np.float64] | NDArray[np.int64]) -> pa.Array:
    """Return a column of numbers, (n,), for pyarrow, without pandas, which ``pa.array`` loads."""
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])


def to_scalar(value: float) -> pa.Scalar:
    """Return a number for pyarrow's functions; they would load pandas for a number of Python."""
    return to_arrow(np.array([value]))[0]


def is_number(kind: pa.DataType) -> bool:
    """Return whether the cells of a pyarrow type are numbers, or nothing at all."""
    kind = plain_type(kind)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(numeric or pa.types.is_null(kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a pyarrow type: of a dictionary, that of what stands in it."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def from_arrow(column: pa.ChunkedArray, name: str, source: str) -> NDArray[np.float64]:
    """Return a typed pyarrow column (of Parquet, or of a frame) as float64, missing cells as NaN, (n,).

    Raises:
        DataError: The type is not a number.
    """
    kind = plain_type(column.type)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not is_number(kind):
        raise DataError(f"is of type {kind}, not a number", source=source, column=name)
    if kind != column.type:
        column = column.cast(kind)
    column = column.cast(pa.float64(), safe=False)
    if not column.null_count:
        return _to_numpy(column)
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return values


def _to_numpy(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a float64 column without missing cells as an array, (n,); pyarrow's own method would load pandas."""
    return np.asarray(np.from_dlpack(column.combine_chunks()), dtype=np.float64)
