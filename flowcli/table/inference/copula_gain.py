"""Whether a column, or its difference from another one, is the easier one to model, by a Gaussian copula.

Under it, the log-density of a column given the others is the entropy of the column by itself, and what is left of the
variance of its normal scores once they are regressed on the others' scores. That is no density to keep, but the first
thing that any flow finds, and it takes milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.random import Stream, numpy_generator

Numbers = NDArray[np.float64]

ROWS = 5000
LEAST_VARIANCE = 1e-9  # that a regression leaves of scores of unit variance
NARROWEST = 1e-9  # of a range: the least spacing that counts


def gain_of_difference(rows: Numbers, low: int, high: int, step: float | None) -> float:
    """Return by how many nats a row the difference of two columns is the easier one to model.

    Args:
        rows: The rows (N, D) of the numeric columns without missing cells.
        low: The index of the column that is subtracted.
        high: That of the one from which it is.
        step: Of the lattice that the difference lies on; ``None`` without.
    """
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(np.int64)]
    random = numpy_generator(0, Stream.COPULA_TIES)
    scores = np.stack([_normal_scores(column, random) for column in rows.T], 1)
    others = np.column_stack([np.delete(scores, high, axis=1), np.ones(len(rows))])

    def log_density(numbers: Numbers, own: Numbers) -> float:
        left = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
        return -_entropy(numbers, step, random) - 0.5 * float(np.log(max(left.var() / own.var(), LEAST_VARIANCE)))

    difference = rows[:, high] - rows[:, low]
    return log_density(difference, _normal_scores(difference, random)) - log_density(rows[:, high], scores[:, high])


def _normal_scores(numbers: Numbers, random: np.random.Generator) -> Numbers:
    """Return the normal quantiles of the ranks of numbers (N,), among equal ones by chance."""
    from scipy.special import ndtri

    ranks = np.empty(len(numbers))
    ranks[np.lexsort((random.random(len(numbers)), numbers))] = np.arange(len(numbers))
    return np.asarray(ndtri((ranks + 0.5) / len(numbers)))


def _entropy(numbers: Numbers, step: float | None, random: np.random.Generator) -> float:
    """Return the entropy of numbers (N,), spread over their cells, by the spacings of neighbours (Vasicek, 1976)."""
    if step is not None:
        numbers = numbers + step * (random.random(len(numbers)) - 0.5)
    ordered, indices = np.sort(numbers), np.arange(len(numbers))
    reach = int(len(numbers) ** 0.5)
    below, above = np.maximum(indices - reach, 0), np.minimum(indices + reach, len(numbers) - 1)
    widths = np.maximum(ordered[above] - ordered[below], NARROWEST * float(np.ptp(numbers)))
    return float(np.log(widths * len(numbers) / (above - below)).mean())
