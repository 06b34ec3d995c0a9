"""Integrals as means over a sample, and how far they can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import genpareto

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding

Rows = NDArray[np.float64]

MOST_LOG = 300.0  # of a weight, so that squares do not overflow
LEAST_SEEN = 50.0  # draws that a bridge must stand on, on either side


@dataclass(frozen=True)
class Estimate:
    """A mean that ought to be one.

    Attributes:
        mean: What was found.
        error: Its standard error.
        trusted: Whether that error means anything.
    """

    mean: float
    error: float
    trusted: bool

    @property
    def sure(self) -> bool:
        """Whether it is precise enough to say something."""
        return self.trusted and self.error <= limits.SURE

    def finding(self, name: str, meaning: str, how: str) -> Finding:
        """Passed within four standard errors of one; not decided where it is not sure."""
        off, limit = abs(self.mean - 1), limits.ERRORS * self.error
        where = f"{self.mean:.4f} ± {self.error:.4f}, {how}"
        passed: bool | None = off <= limit
        if not self.sure:
            # Even a rough estimate can be wrong beyond doubt, but only if its error can be trusted.
            passed = False if self.trusted and off > limit and off > limits.ERRORS * limits.SURE else None
        if not math.isfinite(off):
            passed = False
        return Finding(name, off, limit, "", passed, meaning, where)


def mean_weight(log_p: Rows, log_q: Rows) -> Estimate:
    """Return the mean of importance weights p / q over a sample (B,) of q; one, if both densities have the mass one.

    The heavier the tail of the weights, the less their standard error means: a generalised Pareto distribution fitted
    to the largest tells (Vehtari et al., Pareto smoothed importance sampling, 2024).
    """
    if np.isnan(log_p).any() or (log_p == math.inf).any():
        return Estimate(math.nan, math.nan, True)
    possible = log_p > -math.inf
    weights = np.zeros(len(log_p))
    weights[possible] = np.exp(np.minimum(log_p[possible] - log_q[possible], MOST_LOG))
    error = float(weights.std() / math.sqrt(len(weights)))
    return Estimate(float(weights.mean()), error, _tail_index(weights) <= limits.PARETO)


def bridge(ours: tuple[Rows, Rows], theirs: tuple[Rows, Rows]) -> Estimate:
    """Return the mass of a density p from a sample of another one, q, of mass one, and from its own sampler.

    Z = E_q[p / (p + q)] / E_p[q / (p + q)] (Meng & Wong, 1996): both are bounded, whatever the tails. It is one where p
    has the mass one and the sampler draws from p.

    Args:
        ours: log p and log q of a sample of q, (B,) each.
        theirs: log p and log q of what p's sampler drew, (B',) each.
    """
    (p, q), (p_, q_) = ours, theirs
    if any(np.isnan(part).any() or (part == math.inf).any() for part in (p, p_)):
        return Estimate(math.nan, math.nan, True)
    above, below = (_share(*pair) for pair in ((p, q), (q_, p_)))
    if not (above.mean() > 0 and below.mean() > 0):
        return Estimate(math.nan if not below.mean() > 0 else 0.0, math.inf, False)
    mean = float(above.mean() / below.mean())
    relative = [part.std() / part.mean() / math.sqrt(len(part)) for part in (above, below)]
    return Estimate(mean, mean * math.hypot(*relative), min(above.sum(), below.sum()) > LEAST_SEEN)


def _share(one: Rows, other: Rows) -> Rows:
    """Return a / (a + b) from log a and log b, (B,) each; nothing where a is nothing."""
    possible = one > -math.inf
    result = np.zeros(len(one))
    result[possible] = expit(one[possible] - other[possible])
    return result


def _tail_index(weights: Rows) -> float:
    """Return the Pareto index of the largest weights; zero where they are too few to tell, or all alike."""
    count = int(min(0.1 * len(weights), 3 * math.sqrt(len(weights))))
    if count < 20:
        return 0.0
    largest = np.sort(weights)[-count - 1 :]
    beyond = largest[1:] - largest[0]
    size = float(beyond.mean())
    if not size > 1e-6 * float(largest[0]):
        return 0.0
    return float(genpareto.fit(beyond / size, floc=0)[0])
