"""The mass of a rounded number's cell, by an average over points in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding.column_encoder import Encoded
from flowcli.random import Stream, numpy_generator

DRAWS = 8  # points in a cell, unless the caller wants more
DIGITS = 2.0**16  # of a coordinate, that tell rows apart
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio


class LogMean(NamedTuple):
    """The logarithm of a mean, with its standard error, (B,) each."""

    log_mean: Tensor
    error: Tensor


def points(count: int, columns: Sequence[int], width: int, rows: Encoded, seed: int) -> Iterator[Tensor]:
    """Yield points of a unit cube for each of some rows, (B, width) each, spread evenly along every dimension.

    They are a Latin hypercube (McKay, Beckman & Conover, 1979), one for all rows, that is shifted by another vector for
    each row (Cranley & Patterson, 1976). That one is made from the row itself, so that neither its neighbours nor the
    block that it is in matter to it, and what an average over few points is off by differs from row to row: it is no
    error of their sum.

    Args:
        count: How many points a row has.
        columns: Which of the dimensions are wanted; the others are a half.
        width: How many dimensions there are in all.
        rows: The rows, encoded, (B): these do not depend on the units of a table.
        seed: Of the hypercube and of the shifts.
    """
    random = numpy_generator(seed, Stream.ROUNDING_POINTS)
    key = np.uint64(random.integers(2**63))
    hypercube = torch.from_numpy(np.argsort(random.random((count, len(columns))), axis=0)) / count
    shifts = torch.from_numpy(_numbers_of(rows, len(columns), key))
    for point in hypercube:
        result = torch.full((len(shifts), width), 0.5, dtype=torch.float64)
        result[:, list(columns)] = torch.remainder(point + shifts, 1.0)
        yield result


def _numbers_of(rows: Encoded, count: int, key: np.uint64) -> NDArray[np.float64]:
    """Return numbers from zero to one, (B, count), that look random, and are the same for the same row (B)."""
    numbers = torch.cat([rows.coordinates, rows.angles], 1).nan_to_num(0.0).clamp(-(2.0**31), 2.0**31)
    whole = torch.cat([rows.codes, torch.round(numbers * DIGITS).long()], 1).numpy()
    hashes = np.full(len(whole), key)
    for column in np.ascontiguousarray(whole.T).view(np.uint64):
        hashes = _mixed(hashes ^ column)
    each = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
    return np.asarray((_mixed(hashes[:, None] + each) >> np.uint64(11)) * 2.0**-53)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 bits of which each depends on each of those that come in (the finalizer of SplitMix; Steele, 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def averaged(log_densities: Tensor) -> LogMean:
    """Return the logarithm of the mean density over points (M, B), and its standard error as for independent points."""
    count = len(log_densities)
    log_mean = torch.logsumexp(log_densities, 0) - math.log(count)
    if count == 1:
        return LogMean(log_mean, torch.full_like(log_mean, math.nan))
    ratios = torch.exp(log_densities - log_mean).nan_to_num(1.0)  # all of them zero: nothing is in doubt
    return LogMean(log_mean, ratios.std(0) / math.sqrt(count))
