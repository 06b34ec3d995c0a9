"""Draws among which a category is as frequent as among rows, so that what else is wrong can be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.metrics.calibration import Check
from flowcli.evaluation.metrics.measures import Drawn

CategoricalDensity = NDArray[np.int64]

LEAST_DRAWS = 200


def matched(drawn: Drawn, check: Check) -> Drawn | None:
    """The rows, and as many draws as can be had with the rows' shares of one column's categories or missing cells.

    Where a model draws some category too often but is right given the category, every other column looks wrong that
    depends on it. Beside these draws it looks right.

    Args:
        drawn: Rows and draws, the same ones for all rows.
        check: The column, and whether it is about its categories or its missing cells.

    Returns:
        ``None`` where hardly any draws would be left.
    """
    position = drawn.schema.names.index(check.column)
    rows, draws = (_codes(table[:, position], check) for table in (drawn.rows, drawn.draws))
    levels, counts = np.unique(rows, return_counts=True)
    present = [np.flatnonzero(draws == level) for level in levels]
    scale = min(len(own) / count for own, count in zip(present, counts, strict=True))
    if scale * len(rows) < LEAST_DRAWS:
        return None
    kept = np.concatenate([own[: int(scale * count)] for own, count in zip(present, counts, strict=True)])
    return drawn.part(np.arange(len(rows)), np.sort(kept))


def _codes(cells: NDArray[np.float64], check: Check) -> CategoricalDensity:
    absent = np.isnan(cells)
    return absent.astype(np.int64) if check.aspect == "missing" else np.where(absent, -2, cells).astype(np.int64)
