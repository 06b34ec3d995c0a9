"""Where a number lies among draws of it: uniform from 0 to 1 if it is one more draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Counts = NDArray[np.integer[Any]]


def ranks_among(values: Rows, draws: Rows, random: np.random.Generator) -> Rows:
    """Return the rank of each value among all draws, as a share, (N,); NaN where there is no value or no draw.

    Of M draws, b below a value and t equal to it, the rank is (b + v (t + 1)) / (M + 1) with v uniform: so it is
    uniform itself where value and draws are of one distribution, continuous or not (Brockwell, 2007).

    Args:
        values: (N,), NaN for a missing cell.
        draws: (M,), those that are missing are left out.
        random: Of the v.
    """
    draws = np.sort(draws[~np.isnan(draws)])
    below, upto = (np.searchsorted(draws, values, edge) for edge in ("left", "right"))
    return _share(values, below, upto - below, np.full(len(values), len(draws)), random)


def ranks_among_own(values: Rows, draws: Rows, random: np.random.Generator) -> Rows:
    """Return the rank of each value (N,) among draws of its own (N, K); see ``ranks_among``."""
    below = (draws < values[:, None]).sum(axis=1)
    equal = (draws == values[:, None]).sum(axis=1)
    return _share(values, below, equal, (~np.isnan(draws)).sum(axis=1), random)


def _share(values: Rows, below: Counts, equal: Counts, count: Counts, random: np.random.Generator) -> Rows:
    ranks = (below + random.random(len(values)) * (equal + 1)) / (count + 1)
    return np.where(np.isnan(values) | (count == 0), np.nan, ranks)
