"""A density of angles of our own, near to a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.table.schema import Column

Rows = NDArray[np.float64]

BINS = 24
EVEN = 0.5  # the share that is even, for what the sample leaves out


@dataclass(frozen=True)
class Circle:
    """A histogram of a circular column's numbers, half of it even.

    Attributes:
        lower: Where the circle is cut.
        period: Its circumference.
        shares: Of the bins, (BINS,).
    """

    lower: float
    period: float
    shares: Rows

    @classmethod
    def fit(cls, column: Column, x: Rows) -> Circle:
        """Fit to numbers (N,), NaN where there is none."""
        lower, upper = column.support
        counts, _ = np.histogram(x[np.isfinite(x)], BINS, (lower, upper))
        shares = EVEN / BINS + (1 - EVEN) * counts / max(1, counts.sum())
        return cls(lower, upper - lower, shares / shares.sum())

    def sample(self, rows: int, random: np.random.Generator) -> Rows:
        """Draw numbers (rows,)."""
        turns = (random.choice(BINS, rows, p=self.shares) + random.random(rows)) / BINS
        return self.lower + self.period * turns

    def log_prob(self, x: Rows) -> Rows:
        """Return the log-density of numbers (B,)."""
        turns = np.nan_to_num((x - self.lower) / self.period)
        bins = np.clip((turns * BINS).astype(np.intp), 0, BINS - 1)
        return np.asarray(np.log(self.shares[bins] * BINS / self.period))
