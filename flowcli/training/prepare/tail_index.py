"""How heavy a column's tails are: the test that switches on the map that makes them light."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.encoding import Standardizer
from flowcli.encoding.tails import BEGIN, LEAST_INDEX, MOST_INDEX

FEWEST = 50  # values in a tail; fewer say nothing about its index
# The share of the rows that count as a tail: of many rows the farther ones alone, as it is there that the power law is
# the whole truth (for a Student t with 2.5 degrees of freedom, 5% give an index 0.02 too small, 2% give 0.01).
LARGEST_SHARE, SMALLEST_SHARE, ENOUGH = 0.05, 0.02, 1000
CLEARLY = 2.0  # standard errors above what a normal tail could show
MIN_STANDARD_ERRORS = 3.0  # standard errors between sides that have different tails
# Indices below this look like nothing but a wide middle, and a flow follows them by itself.
SMALLEST_HEAVY = 0.1
# Under a power law the farthest value lies no farther than what was seen with so small a chance, or it is none.
CHANCE = 0.0125
LONG = 2.0  # times as far as the farthest of so many normal values would lie


class Index(NamedTuple):
    """The index of a tail, and its standard error."""

    value: float
    error: float

    @property
    def heavy(self) -> bool:
        """Whether the tail is clearly heavier than a normal's."""
        return self.value >= SMALLEST_HEAVY and self.value > CLEARLY * self.error


def tail_indices(coordinates: Standardizer, values: Tensor) -> Tensor:
    """Tail indices below and above, zero where a tail is not clearly heavy, (2, D).

    Args:
        coordinates: Without maps of tails or quantiles.
        values: Training rows (N, D); NaN where there is no number.
    """
    unit = coordinates.unit(values)
    indices = [_tail_indices(column[~column.isnan()]) for column in unit.t()]
    return torch.tensor(indices, dtype=torch.float64).view(unit.shape[1], 2).t().contiguous()


def _tail_indices(x: Tensor) -> tuple[float, float]:
    """Return the indices below and above of values (N,): one for both, where they do not clearly differ.

    Beside a heavy side, one that is not heavy but long all the same is made shorter as well: left alone it would ask
    for wide components, and what these have on the other side the map there would carry to the end of the world.
    """
    below, above = _unbounded_tail_indices(x)
    if (below > 0) == (above > 0):
        return below, above
    long = LONG * -float(torch.special.ndtri(torch.tensor(1 / len(x), dtype=torch.float64)))
    if float((x if below else -x).max()) > long:
        return max(below, LEAST_INDEX), max(above, LEAST_INDEX)
    return below, above


def _unbounded_tail_indices(x: Tensor) -> tuple[float, float]:
    below, above = _index(-x), _index(x)
    if below is None or above is None or not (below.heavy and above.heavy):
        return _clipped_index(below), _clipped_index(above)
    if abs(below.value - above.value) < MIN_STANDARD_ERRORS * math.hypot(below.error, above.error):
        shares = [tail.error**-2 for tail in (below, above)]
        both = (shares[0] * below.value + shares[1] * above.value) / sum(shares)
        below = above = Index(both, sum(shares) ** -0.5)
    return _clipped_index(below), _clipped_index(above)


def _clipped_index(index: Index | None) -> float:
    return min(max(index.value, LEAST_INDEX), MOST_INDEX) if index is not None and index.heavy else 0.0


def _index(x: Tensor) -> Index | None:
    """Return the index of the upper tail of values (N,), if it has enough of them."""
    count = int(min(LARGEST_SHARE * len(x), max(SMALLEST_SHARE * len(x), ENOUGH)))
    if count < FEWEST:
        return None
    top = torch.topk(x, count + 1).values
    # The tail begins no sooner than that of a normal would.
    threshold = max(float(top[-1]), BEGIN)
    excess = top[top > threshold] - threshold
    if len(excess) < FEWEST:
        return None
    tail = fit_pareto(excess)
    if tail.log_chance_of_no_farther(float(excess.max()), len(excess)) < math.log(CHANCE):
        return None  # a cluster far out, which ends
    return Index(tail.tail_index, (1 + tail.tail_index) / math.sqrt(len(excess)))


class Pareto(NamedTuple):
    """A generalised Pareto distribution: its index, zero for an exponential one, and its scale."""

    tail_index: float
    scale: float

    def log_chance_of_no_farther(self, excess: float, count: int) -> float:
        """Return the logarithm of the probability that none of so many values exceeds its threshold by more."""
        if not self.tail_index:
            return 0.0
        beyond = (1 + self.tail_index * excess / self.scale) ** (-1 / self.tail_index)
        return count * math.log1p(-beyond) if beyond < 1 else -math.inf


def fit_pareto(excess: Tensor) -> Pareto:
    """Return a generalised Pareto distribution, by maximum likelihood, of values above a threshold (N,).

    The likelihood is profiled over index / scale, on which the index has a closed form (Grimshaw, 1993). An index of
    zero stands for an exponential tail or a lighter one.
    """
    mean = float(excess.mean())
    excess = excess / mean
    ratios = torch.logspace(-3, 4, 400, dtype=torch.float64)
    index = torch.stack([torch.log1p(ratio * excess).mean() for ratio in ratios])
    log_likelihood = -torch.log(index / ratios) - index - 1
    best = int(log_likelihood.argmax())
    if best == 0 or float(log_likelihood[best]) <= -1.0:
        return Pareto(0.0, mean)
    return Pareto(float(index[best]), float(index[best] / ratios[best]) * mean)
