"""Numbers as the training file wrote them: on the grid, without a point, with so many digits after it."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.table.schema import Column, Schema
from flowcli.table.values.cell_format import is_date, rounded_dates, texts_of
from flowcli.table.values.dates import DIGITS_OF_A_DAY
from flowcli.table.values.numbers import to_arrow
from flowcli.table.values.words import indices_of

# The key in a field's metadata under which the writer finds how many digits a CSV cell gets after the point.
DECIMALS = b"decimals"
_LARGEST_STEPS = 2.0**53
MAX_DECIMALS = 12  # after the point; more are those of a float64, and not of who wrote the number


def to_cells(values: NDArray[np.float64], schema: Schema) -> pa.Table:
    """Write rows in the formats of a schema.

    A column with a step is rounded onto its grid, one with decimals to so many digits, an integer one to whole numbers
    (int64 where they fit); a rounded value stays within its column's support. A constant column gets its constant,
    whatever the row holds there. NaN becomes null.

    Args:
        values: The rows, one column for each of the schema's, (n, D).
        schema: The columns.

    Returns:
        A ``pa.Table`` of n rows with the schema's names: int64, float64, string or, for the texts ``false`` and
        ``true``, bool. Days in eight digits are int64.
    """
    if values.ndim != 2 or values.shape[1] != len(schema.columns):
        raise ValueError(f"values are {values.shape}, not (n, {len(schema.columns)})")
    arrays, fields = [], []
    for column, rounded in zip(schema.columns, as_written(values, schema).T, strict=True):
        absent = np.isnan(rounded)
        if column.text:
            arrays.append(_texts(rounded, absent, column))
        elif column.format or column.words:
            texts = pa.array(_formatted(rounded, column), pa.string())
            arrays.append(texts.cast(pa.int64()) if column.format == DIGITS_OF_A_DAY else texts)
        elif _whole(column) and np.all(absent | (np.abs(rounded) < 2.0**63)):
            arrays.append(_with_nulls(to_arrow(np.where(absent, 0, rounded).astype(np.int64)), absent))
        else:
            arrays.append(_with_nulls(to_arrow(rounded), absent))
        digits = (
            None if pa.types.is_string(arrays[-1].type) or column.text else 0 if _whole(column) else column.decimals
        )
        metadata = None if digits is None else {DECIMALS: str(digits).encode()}
        fields.append(pa.field(column.name, arrays[-1].type, metadata=metadata))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _whole(column: Column) -> bool:
    """Return whether all values are written without a point: not on a grid of halves, though those seen were whole."""
    parts = [column.step or 0.0, *(column.support if column.kind == "circular" else ())]
    return column.integer and all(part == int(part) for part in parts)


def _texts(indices: NDArray[np.float64], absent: NDArray[np.bool_], column: Column) -> pa.Array:
    """Return the texts at some places among a column's levels."""
    selected = _with_nulls(to_arrow(np.where(absent, 0, indices).astype(np.int64)), absent)
    texts = pa.array(column.levels, pa.string()).take(selected)
    return texts.cast(pa.bool_()) if column.levels == ("false", "true") else texts


def _formatted(cells: NDArray[np.float64], column: Column) -> list[str | None]:
    """Return cells (n,) as texts: numbers as the column is written, words as they are, ``None`` for a missing cell."""
    digits = 0 if _whole(column) else column.decimals
    if column.format is not None:
        texts = texts_of(cells, column.format, digits)
    elif digits is not None:
        texts = [None if cell != cell else f"{cell:.{digits}f}" for cell in cells.tolist()]
    else:
        texts = [None if cell != cell else repr(cell) for cell in cells.tolist()]
    if column.words:
        for row in np.flatnonzero(np.isnan(cells)).tolist():
            word = int(indices_of(cells[row : row + 1])[0])
            texts[row] = column.words[word] if word >= 0 else None
    return texts


def _with_nulls(values: pa.Array, absent: NDArray[np.bool_]) -> pa.Array:
    """Return the values, with nulls where there is none."""
    if not absent.any():
        return values
    return pc.if_else(pa.array(absent), pa.scalar(None, values.type), values)


def as_written(values: NDArray[np.float64], schema: Schema) -> NDArray[np.float64]:
    """Return the rows (n, D) with every value rounded to what ``to_cells`` writes."""
    written = np.empty(values.shape, order="F")
    for index, column in enumerate(schema.columns):
        written[:, index] = _rounded(np.ascontiguousarray(values[:, index], dtype=np.float64), column)
    return written


def _rounded(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    if column.text or (column.kind == "discrete" and not column.subtracted_columns):
        return values
    if column.kind == "constant" and not column.subtracted_columns:
        assert column.value is not None
        return (
            np.where(np.isnan(values), values, column.value) if column.has_gaps else np.full(len(values), column.value)
        )
    if column.subtracted_columns:
        numbers = _to_digits(values, column)
        dates = column.format is not None and is_date(column.format)
        return rounded_dates(numbers, column.format or "") if dates else numbers
    if column.kind == "circular":
        return _angles_on_grid(values, column)
    numbers = values
    if column.step is not None:
        numbers = _on_grid(values, column, column.step, open_ends=False)
    elif (digits := 0 if column.integer else column.decimals) is not None:
        numbers = _on_grid(values, column, float(f"1e-{digits}"), open_ends=True)
    if column.format is not None and is_date(column.format):
        numbers = rounded_dates(numbers, column.format)
    return np.where(np.isin(values, column.atoms) | np.isnan(values), values, numbers)


def _to_digits(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """Return values rounded to as many digits as the column is written with, whatever kind its residual is."""
    digits = 0 if column.integer else column.decimals
    if digits is None:
        return values
    plain = Column(column.name, integer=column.integer, decimals=column.decimals)
    return np.where(np.isnan(values), values, _on_grid(values, plain, float(f"1e-{digits}"), open_ends=True))


def _angles_on_grid(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """Angles on their grid, from the lower end up to, but without, the upper one, which is the same point."""
    lower, upper = column.support
    plain = Column(
        column.name, step=column.step, origin=column.origin, integer=column.integer, decimals=column.decimals
    )
    rounded = _rounded(values, plain)
    return np.where(rounded >= upper, rounded - (upper - lower), rounded)


def _on_grid(values: NDArray[np.float64], column: Column, step: float, *, open_ends: bool) -> NDArray[np.float64]:
    """Return the nearest number of a lattice that the column may hold; without ``open_ends`` bounds count too."""
    exact, origin = Decimal(repr(step)), Decimal(repr(column.origin))
    with np.errstate(over="ignore"):
        steps = np.rint((values - column.origin) / step)
    lower, upper = (-math.inf, math.inf) if column.kind == "circular" else column.support
    if math.isfinite(lower):
        least = math.ceil((Decimal(repr(lower)) - origin) / exact)
        least += open_ends and origin + exact * least == Decimal(repr(lower))
        steps = np.maximum(steps, least)
    if math.isfinite(upper):
        most = math.floor((Decimal(repr(upper)) - origin) / exact)
        most -= open_ends and origin + exact * most == Decimal(repr(upper))
        steps = np.minimum(steps, most)
    exponent = min(_exponent(exact), _exponent(origin))
    if exponent < -MAX_DECIMALS and column.decimals is not None:  # a step that few digits show no more than roughly
        with np.errstate(over="ignore"):
            rounded = np.round(column.origin + steps * step, column.decimals)
        return np.asarray(np.where(np.isfinite(rounded), rounded, values) + 0.0)
    unit, first = int(exact.scaleb(-exponent)), int(origin.scaleb(-exponent))
    with np.errstate(over="ignore"):
        whole, multiples = steps * unit + first, column.origin + steps * step
    # Further out, a float64 is coarser than the lattice, or than the digits of its step.
    inside = np.abs(whole) < _LARGEST_STEPS
    outside = np.where(np.isfinite(multiples), multiples, values) if exponent < -MAX_DECIMALS else values
    return np.where(inside, _scaled(np.where(inside, whole, 0.0), exponent), outside) + 0.0


def _exponent(number: Decimal) -> int:
    """Return the power of ten that the last digit of a number stands for."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent if number else 0


def _scaled(whole: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """``whole * 10**exponent``, the float64 nearest to it, for whole numbers below 2^53."""
    if 0 <= exponent <= 22:
        return whole * 10.0**exponent
    if -22 <= exponent < 0:
        return whole / 10.0**-exponent
    # A power of ten beyond 10^22 is itself rounded; reading the number from its digits is not.
    texts = pc.binary_join_element_wise(to_arrow(whole.astype(np.int64)).cast(pa.string()), f"e{exponent}", "")
    scaled: NDArray[np.float64] = texts.cast(pa.float64()).to_numpy()
    return scaled
