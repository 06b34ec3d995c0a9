"""What columns were taken for, in a few words each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.infer import shown_sum
from flowcli.table.schema import Column, Schema


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
    if column.continuous and column.step is not None:
        words += f", in steps of {column.step:g}"
    if column.atoms:
        words += f"; {' and '.join(f'{atom:g}' for atom in column.atoms)} apart"
    if column.subtracted_columns:
        words = f"{shown_sum(column)}, {_residual_words(column)}"
    return words + (", given" if column.given else "")


def _residual_words(column: Column) -> str:
    """Return what is left of a sum, in words."""
    match column.values:
        case () if column.kind == "constant":
            return "exactly"
        case (0.0,):
            return "but for a few rows"
        case (value,):
            return f"but for {value:g} or another"
        case multiple:
            return f"but for one of {len(multiple)} values or another"


def _kind(column: Column) -> str:
    match column.kind:
        case "positive":
            return f"above {column.lower:g}" if column.lower else "positive"
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
    return f"{np.nanmin(cells):g} to {np.nanmax(cells):g}"


def _missing(cells: NDArray[np.float64]) -> str:
    share = float(np.isnan(cells).mean())
    return "" if not share else f"{share:.1%}" if share >= 1e-3 else "<0.1%"
