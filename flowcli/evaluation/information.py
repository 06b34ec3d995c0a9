"""How much a model loses, in nats a row, measured through something coarse that is seen of rows and of draws.

Whatever two sets of rows are sorted into, the Kullback-Leibler divergence between the shares is at most that between
the densities (the data-processing inequality; Cover & Thomas, 2006, 2.8). So each such number is a lower bound of what
the model's mean log-density lacks, and numbers from different looks at one model can be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


def divergence(rows: Counts, draws: Counts) -> float:
    """KL(rows | draws) of counts in the same cells, (B,) each, in nats; never below zero.

    Half a count is added to each cell, and what chance alone makes of it on average is taken off.
    """
    cells = len(rows)
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * cells) for counts in (rows, draws))
    chance = (cells - 1) / 2 * (1 / max(rows.sum(), 1) + 1 / max(draws.sum(), 1))
    return max(0.0, float((p * np.log(p / q)).sum()) - float(chance))
