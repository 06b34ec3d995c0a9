"""How much a model loses, in nats a row, measured through something coarse that is seen of rows and of draws.

Whatever two sets of rows are sorted into, the Kullback-Leibler divergence between the shares is at most that between
the densities (the data-processing inequality; Cover & Thomas, 2006, 2.8). So each such number is a lower bound of what
the model's mean log-density lacks, and numbers from different looks at one model can be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Counts = NDArray[np.float64]


def divergence(rows: Counts, draws: Counts) -> float:
    """KL(rows | draws) of counts in the same cells, (B,) each, in nats; never below zero.

    Half a count is added to each cell of the draws, so that none is impossible; to the rows as much in all, but shared
    as both together are, so that few rows are not drawn towards even shares, which no model has. What chance alone
    makes of it on average is taken off.
    """
    cells = len(rows)
    both = rows + draws
    p = (rows + 0.5 * cells * both / max(both.sum(), 1)) / (rows.sum() + 0.5 * cells)
    q = (draws + 0.5) / (draws.sum() + 0.5 * cells)
    chance = (cells - 1) / 2 * (1 / max(rows.sum(), 1) + 1 / max(draws.sum(), 1))
    return max(0.0, float(special.rel_entr(p, q).sum()) - float(chance))
