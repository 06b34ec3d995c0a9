"""What kind a column is, and how its values are written, from the values themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.numbers import brief, listed
from flowcli.table.schema import Column, Schema, parse_kind
from flowcli.table.select import nearest

MAX_DECIMALS = 12
# A column counts as rounded when at least this share of its rows repeat the value of another row.
REPEATED = 0.01
# The share of the rows that may be too large for the grid to show in a float64: outliers.
_OUTLIERS = 0.01


@dataclass(frozen=True)
class Written:
    """How the cells of one column are written.

    Attributes:
        integer: Whether all are integers, written without a point.
        decimals: The most digits after the point; ``None`` when over 12, with exponents, or not known.
        kind: The floating-point type whose rounding the values carry.
    """

    integer: bool = False
    decimals: int | None = None
    kind: type[np.floating] = np.float64


def infer_schema(
    names: Sequence[str],
    values: NDArray[np.float64],
    written: Sequence[Written],
    kinds: Mapping[str, str],
    notice: Callable[[str], None],
    *,
    source: str | None = None,
    line: Callable[[int], int] | None = None,
) -> Schema:
    """Describe the columns of a table.

    Args:
        names: The columns' names, (D,).
        values: The rows, finite, at least one, (N, D).
        written: How each column is written, (D,).
        kinds: The kinds that the user gave, by name: ``positive``, ``bounded:0,1``, ``real``.
        notice: Called with each thing worth saying that is no error.
        source: The name for messages.
        line: The line in the file of a row; ``None`` when rows have no lines, so that row numbers are given.

    Raises:
        UsageError: A kind that is none, or for a column that is not there.
        DataError: A value outside the support that the user gave.
    """
    given = {name: parse_kind(text) for name, text in kinds.items()}
    for name in given:
        if name not in names:
            hint = nearest(name, names) or f"; the columns are {listed(names)}"
            raise UsageError(f"--kind: there is no column {brief(name)}{hint}")
    columns: list[Column] = []
    repeated: list[float] = []
    for place, name in enumerate(names):
        column, share = _describe(name, np.ascontiguousarray(values[:, place]), written[place], given.get(name))
        _check_support(column, given.get(name), values[:, place], source, line)
        columns.append(column)
        repeated.append(share)
    _say(columns, repeated, notice)
    return Schema(tuple(columns))


def _describe(name: str, values: NDArray[np.float64], written: Written, given: Column | None) -> tuple[Column, float]:
    """The column, and the share of its rows that repeat the value of another row."""
    column = replace(given or Column(""), name=name, integer=written.integer, decimals=written.decimals)
    if values.min() == values.max():
        return replace(column, kind="constant", lower=None, upper=None, value=float(values[0])), 1.0
    ordered = np.sort(values)
    share = float(np.count_nonzero(ordered[1:] == ordered[:-1]) / len(values))
    return (column, share) if share < REPEATED else (replace(column, step=grid_step(values, written)), share)


def grid_step(values: NDArray[np.float64], written: Written) -> float | None:
    """The coarsest decimal grid through zero that all values lie on, up to rounding; ``None`` when there is none."""
    size = np.abs(values)
    scale = float(np.quantile(size, 1 - _OUTLIERS, method="higher")) or float(size.max())
    if written.integer:
        candidates = [0]
    elif written.decimals is not None:
        candidates = [written.decimals]
    else:
        # From where the largest value is one step of the grid, to where float64 has no digit left for the grid.
        lowest = -math.floor(math.log10(scale))
        candidates = list(range(lowest, min(lowest + 17, 300)))
    sample = values[:: max(1, len(values) // 64)]
    for digits in candidates:
        if _on_grid(sample, digits, written.kind) is None:
            continue
        steps = _on_grid(values, digits, written.kind)
        if steps is not None:
            divisor = _common_divisor(steps)
            return float(Decimal(divisor).scaleb(-digits)) if divisor else None
    return None


def _on_grid(values: NDArray[np.float64], digits: int, kind: type[np.floating]) -> NDArray[np.int64] | None:
    """How many steps of 10^-digits each value is; ``None`` when one lies between two steps."""
    precision = np.finfo(kind)
    scaled = _times_power_of_ten(values, digits)
    whole = np.rint(scaled)
    exact = np.abs(whole) < 2.0**precision.nmant
    if np.count_nonzero(~exact) > _OUTLIERS * len(values):
        # Whole numbers need no room after the point, so all that an int64 holds will do.
        if digits != 0 or kind is not np.float64 or np.any(scaled != whole) or np.abs(whole).max() >= 2.0**62:
            return None
        exact = np.ones(len(values), dtype=bool)
    whole, scaled, values = whole[exact], scaled[exact], values[exact]
    near = np.abs(scaled - whole) <= np.minimum(4 * precision.eps * np.abs(whole), 0.01)
    # Past about 1e13 steps the tolerance says nothing any more: there only the very number that the text gives counts.
    vague = 4 * precision.eps * np.abs(whole) > 0.01
    if vague.any():
        near[vague] = _times_power_of_ten(whole[vague], -digits).astype(kind) == values[vague].astype(kind)
    return whole.astype(np.int64) if near.all() else None


def _times_power_of_ten(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    with np.errstate(over="ignore", under="ignore"):
        # 10^22 is the last power of ten that a float64 holds, and dividing by it rounds once.
        scaled: NDArray[np.float64] = values * 10.0**digits if digits >= 0 else values / 10.0**-digits
    return scaled


def _common_divisor(steps: NDArray[np.int64]) -> int:
    divisor = int(np.gcd.reduce(steps[:1000]))
    return divisor if divisor == 1 else int(np.gcd.reduce(steps))


def _check_support(
    column: Column,
    given: Column | None,
    values: NDArray[np.float64],
    source: str | None,
    line: Callable[[int], int] | None,
) -> None:
    if given is None:
        return
    lower, upper = given.support
    # The cell of the grid around a value on the edge is cut by the bound, so the value is inside all the same.
    edges = column.step is not None
    outside = (values < lower) | (values > upper) if edges else (values <= lower) | (values >= upper)
    rows = np.flatnonzero(outside)
    if not len(rows):
        return
    row = int(rows[0])
    must = (
        f"must be {'at least' if edges else 'above'} {lower:g}"
        if given.kind == "positive"
        else (f"must lie {'from' if edges else 'strictly between'} {lower!r} {'to' if edges else 'and'} {upper!r}")
    )
    number = "" if line is not None else f"row {row + 1}: "
    more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
    raise DataError(
        f"{number}{float(values[row])!r} is outside the kind that was given: a {given.kind} value {must}{more}; "
        "correct the row, or give another --kind",
        source=source,
        line=None if line is None else line(row),
        column=column.name,
    )


def _say(columns: Sequence[Column], shares: Sequence[float], notice: Callable[[str], None]) -> None:
    constant = [f"{brief(c.name)} ({c.value!r})" for c in columns if c.kind == "constant"]
    if constant:
        notice(f"{_count(len(constant))} constant, and modelled as such: {_cut(constant)}")
    rounded = [f"{brief(c.name)} ({c.step!r})" for c in columns if c.step is not None]
    if rounded:
        notice(
            f"{_count(len(rounded))} rounded, and given uniform noise over the step while fitting "
            f"(column and step): {_cut(rounded)}"
        )
    repeated = [
        f"{brief(column.name)} ({share:.0%} of the rows)"
        for column, share in zip(columns, shares, strict=True)
        if column.kind != "constant" and column.step is None and share >= REPEATED
    ]
    if repeated:
        notice(
            f"{_count(len(repeated))} full of repeated values that lie on no grid, which a density cannot follow: "
            f"{_cut(repeated)}"
        )


def _count(count: int) -> str:
    return "1 column is" if count == 1 else f"{count} columns are"


def _cut(items: Sequence[str], most: int = 8) -> str:
    text = ", ".join(items[:most])
    return text if len(items) <= most else f"{text} and {len(items) - most} more"
