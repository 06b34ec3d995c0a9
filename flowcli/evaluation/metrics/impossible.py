"""Rows that a model takes for impossible, and the column that is to blame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.model import Density
from flowcli.table import Column

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Impossible:
    """Rows of density zero.

    Attributes:
        count: How many.
        rows: Of how many.
        column: The column whose cells explain all of them; ``None`` where there is no such column.
        reason: What its cells are.
    """

    count: int
    rows: int
    column: str | None
    reason: str


def impossible(log_prob: Rows, rows: Rows, density: Density) -> Impossible | None:
    """Return the rows (N, C) whose log-density (N,) is not finite; ``None`` where there are none."""
    bad = rows[~np.isfinite(log_prob)]
    if not len(bad):
        return None
    held = density.holds(bad)
    for index, column in enumerate(density.schema.columns):
        if not column.given and (reason := _reason(bad[:, index], held[:, index], column)):
            return Impossible(len(bad), len(rows), column.name, reason)
    return Impossible(len(bad), len(rows), None, "")


def _reason(cells: Rows, held: NDArray[np.bool_], column: Column) -> str:
    """Why a column's cells make all of these rows impossible, or nothing."""
    if column.text and (cells < 0).all():
        return "a text that the model does not know"
    if not column.has_gaps and np.isnan(cells).all():
        return "a missing cell, which the model does not know there"
    if not column.text and np.isfinite(cells).all() and not held.any():
        return "a number that is none of the column's"
    return ""
