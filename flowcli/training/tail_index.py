"""How heavy a column's tails are: the test that switches on the map that makes them light."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.density import Coordinates
from flowcli.density.tails import BEGIN, LEAST_INDEX, MOST_INDEX

FEWEST = 50  # values in a tail; fewer say nothing about its index
SHARE = 0.05  # of the rows that count as a tail, at most: nearer to the middle it is the body that speaks
CLEARLY = 2.0  # standard errors above what a normal tail could show
# Indices below this look like nothing but a wide middle, and a flow follows them by itself.
SMALLEST_HEAVY = 0.1


def tail_indices(coordinates: Coordinates, values: Tensor) -> Tensor:
    """Tail indices below and above, zero where a tail is not clearly heavy, (2, D).

    Args:
        coordinates: Without maps of tails or quantiles.
        values: Training rows (N, D); NaN where there is no number.
    """
    unit = coordinates.unit(values)
    sides = [[_heavy(sign * column[~column.isnan()]) for column in unit.t()] for sign in (-1.0, 1.0)]
    return torch.tensor(sides, dtype=torch.float64).view(2, unit.shape[1])


def _heavy(x: Tensor) -> float:
    """The tail index of values (N,) above, or zero."""
    count = int(SHARE * len(x))
    if count < FEWEST:
        return 0.0
    top = torch.topk(x, count + 1).values
    threshold = float(top[-1])
    if threshold < BEGIN:  # the tail begins where a light one would, or sooner
        count = int((x > BEGIN).sum())
        if count < FEWEST:
            return 0.0
        top, threshold = torch.topk(x, count).values, BEGIN
    excess = top[top > threshold] - threshold
    if len(excess) < FEWEST:
        return 0.0
    index = pareto_index(excess)
    error = (1 + index) / math.sqrt(len(excess))
    if index < SMALLEST_HEAVY or index - CLEARLY * error < 0:
        return 0.0
    return min(max(index, LEAST_INDEX), MOST_INDEX)


def pareto_index(excess: Tensor) -> float:
    """The index of a generalised Pareto distribution, by maximum likelihood, of values above a threshold (N,).

    The likelihood is profiled over index / scale, on which the index has a closed form (Grimshaw, 1993). Zero stands
    for an exponential tail or a lighter one.
    """
    excess = excess / excess.mean()
    ratios = torch.logspace(-3, 4, 400, dtype=torch.float64)
    index = torch.stack([torch.log1p(ratio * excess).mean() for ratio in ratios])
    log_likelihood = -torch.log(index / ratios) - index - 1
    best = int(log_likelihood.argmax())
    return float(index[best]) if float(log_likelihood[best]) > -1.0 and best > 0 else 0.0
