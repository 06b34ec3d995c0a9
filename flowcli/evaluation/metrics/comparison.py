"""Mean log-densities with standard errors, and differences of two models on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Nats:
    """A mean over rows, in nats a row.

    Attributes:
        mean: Over rows with a finite log-density; NaN where there is none.
        error: Its standard error; NaN of fewer than two.
        impossible: How many rows have density zero. Where there are any, the mean over all rows is minus infinity.
        rows: How many rows there are in all.
    """

    mean: float
    error: float
    impossible: int
    rows: int


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same rows, in nats a row.

    Attributes:
        mean: Of the differences, row by row, where both are finite; NaN where there is no such row.
        error: Its standard error: smaller than those of the two means where both models find the same rows easy.
        left_out: How many rows are impossible for one of the two at least.
        only_first: For how many the first of the two has density zero, and the second has not.
        only_second: The other way round.
        rows: How many rows the mean is over.
    """

    mean: float
    error: float
    left_out: int
    only_first: int
    only_second: int
    rows: int

    @property
    def chance_of_worse(self) -> float:
        """How likely so low a difference is where the first model is the right one, by Student's t."""
        if not np.isfinite(self.error):
            return 1.0
        return float(stats.t.cdf(self.mean / self.error, self.rows - 1)) if self.error > 0 else float(self.mean >= 0)


def mean_nats(log_prob: Rows) -> Nats:
    """Return the mean of log-densities (N,)."""
    finite = log_prob[np.isfinite(log_prob)]
    mean, error = _mean(finite)
    return Nats(mean, error, len(log_prob) - len(finite), len(log_prob))


def difference(first: Rows, second: Rows) -> Difference:
    """Return the first model's log-densities less the second's, of the same rows, (N,)."""
    possible = np.isfinite(first), np.isfinite(second)
    both = possible[0] & possible[1]
    mean, error = _mean(first[both] - second[both])
    only_first, only_second = (int((~possible[i] & possible[1 - i]).sum()) for i in (0, 1))
    return Difference(mean, error, int((~both).sum()), only_first, only_second, int(both.sum()))


def _mean(x: Rows) -> tuple[float, float]:
    if not len(x):
        return np.nan, np.nan
    return float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.nan
