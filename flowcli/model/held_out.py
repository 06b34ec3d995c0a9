"""How likely the rows were that a fit held out: what a row's log-density is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

# Log-densities that are kept: all of the least likely rows, which tell small shares apart, and of the others those at
# equal distances.
LEAST_LIKELY, OTHERS = 2_000, 8_000


@dataclass(frozen=True)
class HeldOut:
    """The distribution of the held-out rows' log-densities.

    Attributes:
        log_probs: Some or all of them, rising, (M,).
        shares: The share of the rows that is less likely than each, by weight, (M,).
    """

    log_probs: Rows
    shares: Rows

    @classmethod
    def of(cls, log_probs: Rows, weights: Rows | None = None) -> HeldOut:
        """Return the distribution of rows with these log-densities and weights, (N,) each; N is at least one."""
        if weights is not None and weights.any():
            log_probs, weights = log_probs[weights > 0], weights[weights > 0]
        order = np.argsort(log_probs, kind="stable")
        ranked, own = log_probs[order], np.ones(len(order)) if weights is None else weights[order]
        up_to = np.concatenate([[0.0], np.cumsum(own)])
        below = up_to[:-1] / up_to[-1]
        shares = below[np.searchsorted(ranked, ranked)]  # rows that are alike are no less likely than each other
        spaced = np.linspace(min(LEAST_LIKELY, len(ranked) - 1), len(ranked) - 1, OTHERS).round().astype(np.int64)
        kept = np.unique(np.concatenate([np.arange(min(LEAST_LIKELY, len(ranked))), spaced]))
        return cls(ranked[kept], shares[kept])

    def percentiles(self, log_prob: Rows) -> Rows:
        """Return the share of the held-out rows that are less likely than rows with these log-densities, (B,)."""
        index = np.searchsorted(self.log_probs, log_prob)
        return np.asarray(np.append(self.shares, 1.0)[index])

    def rarest(self) -> float:
        """Return the smallest share above zero that can be told: that of the least likely row."""
        above = self.shares[self.shares > 0]
        return float(above[0]) if len(above) else 1.0

    def packed(self) -> NDArray[Any]:
        """Both as one array, (2, M)."""
        return np.stack([self.log_probs, self.shares])
