"""Dates and times that have a type of their own, in Parquet and in frames, as numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.table.values.dates import DAY
from flowcli.table.values.missing import MissingCells
from flowcli.table.values.numbers import plain_type

Numbers = NDArray[np.float64]

MICROSECONDS = 1e6


def is_temporal(kind: pa.DataType) -> bool:
    """Return whether the cells of a pyarrow type are dates, timestamps or times of day."""
    kind = plain_type(kind)
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind))


def seconds_of(column: pa.ChunkedArray, missing: MissingCells) -> Numbers:
    """Return dates and timestamps as seconds since 1970-01-01 on their own clock, times as seconds since midnight.

    Args:
        column: The cells, (n,).
        missing: Tells which are missing, beside those that are null.

    Returns:
        The numbers, (n,), to the microsecond; NaN where a cell is missing.
    """
    kind = plain_type(column.type)
    if kind != column.type:
        column = column.cast(kind)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = pc.local_timestamp(column)
    exact = pa.time64("us") if pa.types.is_time(kind) else pa.timestamp("us")
    whole = pc.fill_null(column.cast(exact, safe=False).cast(pa.int64()), 0).to_numpy().astype(np.float64)
    seconds = np.where(column.is_null().to_numpy(), np.nan, whole / MICROSECONDS)
    if not pa.types.is_time(kind):
        seconds[np.isin(seconds, [moment / MICROSECONDS for moment in missing.moments])] = np.nan
    return seconds


def format_of(seconds: Numbers, kind: pa.DataType) -> str:
    """Return the format in which cells of a pyarrow type, as ``seconds_of`` gives them (n,), are written as texts."""
    present = seconds[~np.isnan(seconds)]
    clock = "%H:%M:%S" if (present == np.floor(present)).all() else "%H:%M:%S.%6f"
    if pa.types.is_time(plain_type(kind)):
        return clock
    return "%Y-%m-%d" if (present % DAY == 0).all() else f"%Y-%m-%d {clock}"


def in_unit(seconds: Numbers, unit: str) -> Numbers:
    """Return seconds (n,) as a format of that unit counts them."""
    return seconds / DAY if unit == "day" else seconds
