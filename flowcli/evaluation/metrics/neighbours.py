"""Rows as points with distances between them, whatever their columns are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from flowcli.table import Schema
from flowcli.table.schema import Column

Rows = NDArray[np.float64]

MOST_POINTS = 5000
MOST_LEVELS = 50  # of a category that are told apart, the most frequent ones
LINEAR_RANGE = 10.0  # units from a column's middle; beyond it distances grow like logarithms


class Points:
    """From rows to points in which every column counts about alike.

    A number counts in units of half the spread of the middle half of the rows, far out by its logarithm; an angle as
    its place on the circle; two categories, and a missing cell and one that is there, are one unit apart. Of a column
    with very many categories, the rare ones are one.

    Args:
        rows: Rows that say what the units are, (N, C).
        schema: The columns.
    """

    def __init__(self, rows: Rows, schema: Schema) -> None:
        self._columns = [(p, c) for p, c in enumerate(schema.columns) if c.kind != "constant" or c.has_gaps]
        self._levels = {p: _frequent(rows[:, p], len(c.levels)) for p, c in self._columns if c.text}
        self._units = {p: _unit(rows[:, p]) for p, c in self._columns if not c.text and c.kind != "circular"}

    def __call__(self, rows: Rows) -> Rows:
        """Return the points of rows (N, C), (N, P)."""
        parts = [part for index, column in self._columns for part in self._parts(rows[:, index], index, column)]
        return np.column_stack(parts) if parts else np.zeros((len(rows), 1))

    def _parts(self, cells: Rows, index: int, column: Column) -> list[Rows]:
        present = ~np.isnan(cells)
        if column.text:
            own = [cells == level for level in self._levels[index]]
            other = present & ~np.any(own, axis=0) if own else present
            return [part * np.sqrt(0.5) for part in (*own, other, ~present)]
        if column.kind == "circular":
            lower, upper = column.support
            angle = (np.nan_to_num(cells) - lower) / (upper - lower) * 2 * np.pi
            parts = [np.cos(angle) * present, np.sin(angle) * present]
        else:
            center, unit = self._units[index]
            parts = [LINEAR_RANGE * np.arcsinh(np.where(present, cells / unit - center / unit, 0.0) / LINEAR_RANGE)]
        return parts if present.all() and not column.has_gaps else [*parts, ~present * 1.0]


def _frequent(cells: Rows, levels: int) -> NDArray[np.int64]:
    """Return the codes of the most frequent categories."""
    counts = np.bincount(cells[cells >= 0].astype(np.int64), minlength=levels)
    return np.argsort(-counts, kind="stable")[:MOST_LEVELS]


def _unit(cells: Rows) -> tuple[float, float]:
    """Middle and spread of a column's numbers."""
    cells = cells[~np.isnan(cells)]
    if not len(cells):
        return 0.0, 1.0
    low, center, high = np.quantile(cells, [0.25, 0.5, 0.75])
    size = max(abs(low), abs(high), 1e-300)
    unit = (high / size - low / size) * size / 2
    if not unit > 0:
        unit = float(np.abs(cells / size - center / size).mean()) * size
    return float(center), float(unit) if np.isfinite(unit) and unit > 0 else 1.0


def nearest(points: Rows, among: Rows, count: int, *, itself: bool = False) -> tuple[Rows, NDArray[np.int64]]:
    """Distances (N, count) from each point to its nearest ones, and which these are.

    Args:
        points: (N, P).
        among: (M, P).
        count: How many.
        itself: Each point has one among them that does not count, at the same place: itself, or what belongs to it.
    """
    found = NearestNeighbors(n_neighbors=min(count + itself, len(among))).fit(among)
    indices = found.kneighbors(points, return_distance=False)
    # Again by differences: of points nearly the same, products leave no digit.
    distances = np.stack(
        [np.linalg.norm(points - among[indices[:, k]], axis=1) for k in range(indices.shape[1])], axis=1
    )
    if itself:
        distances[indices == np.arange(len(points))[:, None]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, : indices.shape[1] - itself]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1).astype(np.int64)
