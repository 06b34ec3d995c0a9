"""The mass of a rounded number's cell, by an average over points in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.random import Stream, numpy_generator

DRAWS = 8  # points in a cell, unless the caller wants more


class LogMean(NamedTuple):
    """The logarithm of a mean, with its standard error, (B,) each."""

    log_mean: Tensor
    error: Tensor


def points(count: int, columns: Sequence[int], width: int, seed: int) -> Tensor:
    """Return points spread evenly over a unit cube, the same for every row, (count, width).

    They are a Kronecker sequence with a random shift (Cranley & Patterson, 1976; the irrational numbers are powers of
    the root of x^(d+1) = x + 1, after Roberts, 2018), so an average over them is closer to the mean than one over
    independent points is.

    Args:
        count: How many.
        columns: Which of the dimensions are wanted; the others are a half.
        width: How many dimensions there are in all.
        seed: Of the shift.
    """
    result = torch.full((count, width), 0.5, dtype=torch.float64)
    if columns:
        dimension = len(columns)
        root = 2.0
        for _ in range(60):
            root = (1 + root) ** (1 / (dimension + 1))
        steps = (1 / root) ** torch.arange(1, dimension + 1, dtype=torch.float64)
        shift = torch.from_numpy(numpy_generator(seed, Stream.ROUNDING_POINTS).random(dimension))
        indices = torch.arange(count, dtype=torch.float64)[:, None] * steps + shift
        result[:, list(columns)] = torch.remainder(indices, 1.0)
    return result


def averaged(log_densities: Tensor) -> LogMean:
    """Return the logarithm of the mean density over points (M, B), and its standard error as for independent points."""
    count = len(log_densities)
    log_mean = torch.logsumexp(log_densities, 0) - math.log(count)
    if count == 1:
        return LogMean(log_mean, torch.full_like(log_mean, math.nan))
    ratios = torch.exp(log_densities - log_mean).nan_to_num(1.0)  # all of them zero: nothing is in doubt
    return LogMean(log_mean, ratios.std(0) / math.sqrt(count))
