"""What columns were taken for, in a few words each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.sums import shown_sum
from flowcli.table.schema import Column, Schema
from flowcli.table.values.cell_format import is_date, texts_of, unit_of
from flowcli.table.values.dates import WEEK, YEAR, DateFormat
from flowcli.table.values.words import is_missing
from flowcli.text import quoted

SEASONS = {
    WEEK: "by weekday",
    YEAR: "by month",
    4: "by quarter",
    WEEK * YEAR: "by month + weekday",
}


def decisions(schema: Schema, values: NDArray[np.float64]) -> list[tuple[str, str, str, str]]:
    """For each column its name, what it was taken for, its range, and the share of cells that are missing.

    Args:
        schema: The columns.
        values: The rows (N, D).
    """
    return [
        (column.name, decision(column), _range(column, cells), _missing(cells))
        for column, cells in zip(schema.columns, values.T, strict=True)
    ]


def decision(column: Column) -> str:
    """Return what a column was taken for."""
    words = _kind(column)
    if column.format is not None and is_date(column.format) and column.at_least is None:
        words = _of_dates(column.format) + (f": {words}" if column.kind in ("discrete", "constant") else "")
    if column.continuous and column.step is not None:
        unit = None if column.format is None else unit_of(column.format)
        plural = "s" if column.step != 1 else ""
        words += f", in steps of {column.step:g}" + ("" if unit is None else f" {unit}{plural}")
        if column.origin:
            words += f" from {column.origin:g}"
    if column.seasonal_period is not None:
        words += f", {SEASONS[column.seasonal_period]}"
    if column.atoms:
        words += f"; {' and '.join(f'{atom:g}' for atom in column.atoms)} apart"
    if column.at_least is not None:
        words = f"at least {column.at_least}; the difference {words}"
    elif column.subtracted_columns:
        words = f"{shown_sum(column)}, {_residual_words(column)}"
    if column.words:
        words += f", or {'a word' if len(column.words) > 3 else ' or '.join(map(quoted, column.words))}"
    return words + (", given" if column.given else "")


def _of_dates(form: str) -> str:
    """Return what the cells of a format of dates or times are; how they are written is seen from their range."""
    return {"second of the day": "time of day", "second": "date and time"}.get(DateFormat(form).unit, "date")


def _residual_words(column: Column) -> str:
    """Return what is left of a sum, in words."""
    match column.values:
        case () if column.kind == "constant":
            return "exactly"
        case (_, *_) if not column.has_unseen_values:
            return "but for rounding" if _in_a_row(column) else f"but for one of {len(column.values)} values"
        case (0.0,):
            return "but for a few rows"
        case (value,):
            return f"but for {value:g} or another"
        case multiple:
            return f"but for one of {len(multiple)} values or another"


def _in_a_row(column: Column) -> bool:
    """Return whether the values of a discrete column follow one another on its lattice."""
    assert column.step is not None
    return len(column.values) - 1 == round((column.values[-1] - column.values[0]) / column.step)


def _kind(column: Column) -> str:
    match column.kind:
        case "positive" if column.straight_above is not None:
            return "from 0 up"
        case "positive":
            return f"above {column.lower:g}" if column.lower and column.lower > 0 else "positive"
        case "bounded":
            return f"bounded, {column.lower:g} to {column.upper:g}"
        case "circular":
            assert column.lower is not None
            assert column.upper is not None
            return f"circular, period {column.upper - column.lower:g}"
        case "discrete":
            return f"{len(column.values)} values" + (" or another" if column.has_unseen_values else "")
        case "category":
            return f"category of {len(column.levels)}"
        case "boolean":
            return "true or false"
        case "constant":
            return f"constant, {column.levels[0] if column.levels else f'{column.value:g}'}"
        case kind:
            return kind


def _range(column: Column, cells: NDArray[np.float64]) -> str:
    if column.text:
        shown = ", ".join(column.levels[:2])
        return shown if len(column.levels) < 3 else f"{shown}, ..."
    if column.format is not None:
        first, last = texts_of(np.array([np.nanmin(cells), np.nanmax(cells)]), column.format, column.decimals)
        return f"{first} to {last}"
    return f"{np.nanmin(cells):g} to {np.nanmax(cells):g}"


def _missing(cells: NDArray[np.float64]) -> str:
    share = float(is_missing(cells).mean())
    return "" if not share else f"{share:.1%}" if share >= 1e-3 else "<0.1%"
