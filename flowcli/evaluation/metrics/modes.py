"""Modes: crowds of rows with no draw among them, and crowds of draws with no row among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flowcli.evaluation.metrics.neighbours import MOST_POINTS, Points, nearest
from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

NEIGHBOURS = 10
LEAST_POINTS = 200
LEAST_UNMATCHED, LEAST_SHARE = 20, 0.01
# A crowd keeps to itself: all but a twentieth of its points' neighbours belong to it. So do, on a single line, those of
# a long tail; but a tail is the sparser the farther out, with a rank correlation near one.
COMPANY, TAIL = 0.95, 0.6


@dataclass(frozen=True)
class UnmatchedPoints:
    """Points of one set in whose neighbourhood there is none of the other.

    A point's neighbourhood is the ball that reaches to its tenth neighbour of its own set. Of as many points of the
    other set, none at all lies there once in 2^10 times if the sets are of one distribution.

    Attributes:
        indices: Which of the rows or draws that were looked at they are.
        looked_at: Which rows or draws were looked at.
        share: The share of unmatched points.
        company: The share of their neighbours that are unmatched too.
        outlying: The rank correlation of their spacing with their distance from the other set.
    """

    indices: NDArray[np.int64]
    looked_at: NDArray[np.int64]
    share: float
    company: float
    outlying: float

    @property
    def is_mode(self) -> bool:
        """Whether these are a crowd."""
        enough = len(self.indices) >= LEAST_UNMATCHED and self.share >= LEAST_SHARE
        return enough and self.company >= COMPANY and self.outlying < TAIL

    @property
    def others(self) -> NDArray[np.int64]:
        """The points that were looked at and are matched."""
        return np.setdiff1d(self.looked_at, self.indices)


def unmatched_points(
    rows: Rows, draws: Rows, schema: Schema, seed: int
) -> tuple[UnmatchedPoints, UnmatchedPoints] | None:
    """Return rows that are far from all draws, and draws that are far from all rows; ``None`` where there are too few.

    Args:
        rows: (N, C).
        draws: (M, C).
        schema: The columns.
        seed: Of the choice where there are too many.
    """
    random = numpy_generator(seed, Stream.MODES)
    count = min(len(rows), len(draws), MOST_POINTS)
    if count < LEAST_POINTS:
        return None
    ours, theirs = (random.permutation(len(each))[:count] for each in (rows, draws))
    points = Points(rows, schema)
    a, b = points(rows[ours]), points(draws[theirs])
    return _unmatched(a, b, ours), _unmatched(b, a, theirs)


def _unmatched(own: Rows, others: Rows, looked_at: NDArray[np.int64]) -> UnmatchedPoints:
    distances, neighbours = nearest(own, own, NEIGHBOURS, itself=True)
    reach, away = distances[:, -1], nearest(own, others, 1)[0][:, 0]
    alone = away > reach
    indices = np.flatnonzero(alone)
    company = float(alone[neighbours[indices]].mean()) if len(indices) else 0.0
    outlying = 0.0
    if len(indices) > 2 and np.ptp(reach[indices]) > 0 and np.ptp(away[indices]) > 0:
        outlying = float(stats.spearmanr(reach[indices], away[indices]).statistic)
    return UnmatchedPoints(looked_at[indices], looked_at, len(indices) / len(own), company, outlying)
