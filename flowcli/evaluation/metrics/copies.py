"""Are draws copies of rows? Nearest neighbours of draws beside those of other rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.metrics.neighbours import MOST_POINTS, Points, nearest
from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

LEAST_ROWS = 50
CLOSE = 0.1  # the share of rows that lie as close to another as what is called close


@dataclass(frozen=True)
class Copies:
    """How close draws lie to rows, beside how close other rows do.

    What is compared is the distance to the nearest row over the distance to the one after it. That ratio does not
    depend on how dense rows are around a draw, so that a model which is merely too narrow copies nothing; and where
    rows are rounded or repeat each other, draws and rows do so alike.

    Attributes:
        rows: How many rows there are to be near to.
        draws: How many draws were looked at.
        distance: The median distance of a draw to its nearest row.
        usual: The same of a row that was not among them.
        close: The share of draws with a ratio as small as a tenth of the rows has.
        close_rows: That share of the rows: a tenth, or more where ratios are the same.
        exact: The share of draws that are a row, to the digit.
        exact_rows: The share of rows that are another.
        excess: How many standard errors ``close`` is above ``close_rows``.
    """

    rows: int
    draws: int
    distance: float
    usual: float
    close: float
    close_rows: float
    exact: float
    exact_rows: float
    excess: float


def copies(rows: Rows, draws: Rows, schema: Schema, seed: int, train: Rows | None = None) -> Copies | None:
    """Return whether draws are nearer to rows than other rows are; ``None`` where there are too few.

    Args:
        rows: (N, C).
        draws: (M, C); where the model is conditioned on columns, the i-th is drawn for the i-th row, which then is
            not counted among those it is near to.
        schema: The columns.
        seed: Of the choice where there are too many.
        train: The rows that may have been copied, (T, C): then draws and rows are compared by how near they come to
            these; without them, draws by how near they come to rows, and rows by how near they come to others.
    """
    random = numpy_generator(seed, Stream.COPIES)
    if min(len(rows), len(draws), len(rows if train is None else train)) < LEAST_ROWS:
        return None
    paired = any(column.given for column in schema.columns)
    points = Points(rows if train is None else train, schema)
    chosen = random.permutation(len(rows))[:MOST_POINTS]
    own = chosen if paired else random.permutation(len(draws))[:MOST_POINTS]
    ours, theirs = points(rows[chosen]), points(draws[own])
    if train is None:
        known = ours
        of_draws, of_rows = nearest(theirs, known, 2, itself=paired)[0], nearest(ours, known, 2, itself=True)[0]
    else:
        known = points(train[random.permutation(len(train))[:MOST_POINTS]])
        of_draws, of_rows = nearest(theirs, known, 2)[0], nearest(ours, known, 2)[0]
    ratios, usual = _ratio(of_draws), _ratio(of_rows)
    edge = np.quantile(usual, CLOSE)
    close, close_rows = float((ratios <= edge).mean()), float((usual <= edge).mean())
    # Two rows are each other's nearest more often than not, so those of rows count for about half as many.
    error = np.sqrt(close_rows * (1 - close_rows) * (1 / len(ratios) + 2 / len(usual)))
    excess = (close - close_rows) / error if error > 0 else 0.0
    return Copies(
        len(known), len(ratios), float(np.median(of_draws[:, 0])), float(np.median(of_rows[:, 0])),
        close, close_rows, float((of_draws[:, 0] == 0).mean()), float((of_rows[:, 0] == 0).mean()), float(excess),
    )  # fmt: skip


def _ratio(distances: Rows) -> Rows:
    """Return the nearest over the next; one where two or more lie on the very point, which says nothing."""
    first, second = distances.T
    return np.where(second > 0, first / np.where(second > 0, second, 1.0), 1.0)
