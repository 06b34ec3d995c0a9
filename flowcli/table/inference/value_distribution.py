"""How a column's numbers are spread: over few values, with one of its own, from an edge on, or on both sides."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowcli.random import Stream, numpy_generator
from flowcli.table.inference.any_step import Lattice

Numbers = NDArray[np.float64]

# Of so few values each is a step that a flow would have to climb; of so many, a softmax has too much to learn. Of those
# in between, it learns each where there are many rows, and then what other columns tell of it exactly, too.
LEARNED = {12: 50, 64: 1000}  # by how many values: rows each that are enough
MOST, ROWS_EACH = 512, 20
SPIKY = 0.05  # nats a row that telling values apart gains over a smooth histogram
WINDOWS = (1, 2, 4, 8, 16, 32)  # half widths of that histogram, in steps
MOST_CELLS = 2**22  # of it: values that lie farther apart have no neighbours
UNSEEN = 5  # rows: where a value has fewer, there are probably some that have not been seen (Good, 1953)

# A table with an atom goes without layers that mix columns, which a handful of rows is not worth, unless the others
# are positive without it and by so many nats a row more like a log-normal.
ATOM_ROWS, ATOM_SHARE, ATOM_FACTOR = 10, 1e-2, 5
ATOM_GAIN = 0.5
INNER_ATOM_SHARE = 0.05

FEWEST_TO_BOUND = 50
NEAR_EDGE = 0.02
INTERVALS = ((0.0, 1.0), (0.0, 100.0))

LINEAR_BELOW, LEAST_LOG = 2.0, -690.0  # spreads of the logarithms below the least of them
LOG_NORMAL = 0.01  # nats a row by which a log-normal has to explain the numbers better


class Values(NamedTuple):
    """The distinct values of a column, rising, and how many rows have each."""

    values: Numbers
    counts: NDArray[np.int64]


def values_of(numbers: Numbers) -> Values:
    """Return the values of numbers (N,)."""
    return Values(*np.unique(numbers, return_counts=True))


def is_discrete(numbers: Numbers, found: Values, lattice: Lattice) -> bool:
    """Return whether each value of a grid had better have a probability of its own.

    That is so where they are few, and where they are far more unequal than neighbours on a smooth density would be.
    """
    count = len(found.values)
    if count > MOST or len(numbers) < ROWS_EACH * count:
        return False
    if any(count <= most and len(numbers) >= rows_each * count for most, rows_each in LEARNED.items()):
        return True
    return spikiness(numbers, lattice) >= SPIKY


def spikiness(numbers: Numbers, lattice: Lattice) -> float:
    """By how many nats a row the frequencies of values predict other rows better than a smooth histogram does.

    A window of that histogram ends with the values, lest it say that many have the least of them and fewer the next.
    """
    indices = np.round((numbers - lattice.origin) / lattice.step)
    indices = (indices - indices.min()).astype(np.int64)
    cells = np.arange(int(indices.max()) + 1)
    if len(cells) > MOST_CELLS:
        return math.inf
    half = numpy_generator(0, Stream.VALUE_HALVES).permutation(len(indices)) < len(indices) // 2
    counts, others = np.bincount(indices[half], minlength=len(cells)), indices[~half]
    levels = len(np.unique(indices))
    raw = np.log((counts[others] + 0.5) / (counts.sum() + 0.5 * levels)).mean()
    sums = np.concatenate([[0], np.cumsum(counts)])
    smooth = []
    for reach in WINDOWS:
        begin, end = np.maximum(cells - reach, 0), np.minimum(cells + reach + 1, len(cells))
        means = (sums[end] - sums[begin] + 0.5) / (end - begin)
        smooth.append(np.log(means[others] / means.sum()).mean())
    return float(raw - max(smooth))


def atom_of(numbers: Numbers, found: Values, step: float | None) -> float | None:
    """Return a value that has a probability of its own beside a density of the others; ``None`` without.

    On a grid only the least value can be one: the density of the others then begins above it. Elsewhere any value that
    has a share of the rows is one, as no density repeats a value.
    """
    if len(found.values) < 3:
        return None
    order = np.argsort(found.counts)
    for index in (int(order[-1]), 0):
        rows = int(found.counts[index])
        remaining = np.delete(found.counts, index)
        stands_out = rows >= ATOM_ROWS and rows >= ATOM_FACTOR * remaining.max()
        enough = rows >= ATOM_SHARE * len(numbers)
        inner = step is None and rows >= INNER_ATOM_SHARE * len(numbers)
        if stands_out and index == 0 and (enough or _positive_without(found)):
            return float(found.values[0])
        if stands_out and inner:
            return float(found.values[index])
    return None


def _positive_without(found: Values) -> bool:
    """Return whether the values above zero are clearly closer to a log-normal, zeros aside."""
    if found.values[0] != 0:
        return False
    return log_normal_gain(np.repeat(found.values[1:], found.counts[1:])) > ATOM_GAIN


def interval_of(numbers: Numbers) -> tuple[float, float] | None:
    """Return the unit interval, or that of percentages, where the numbers fill it to both ends."""
    if len(numbers) < FEWEST_TO_BOUND:
        return None
    for lower, upper in INTERVALS:
        margin = NEAR_EDGE * (upper - lower)
        if lower <= numbers.min() <= lower + margin and upper - margin <= numbers.max() <= upper:
            return lower, upper
    return None


def is_positive(numbers: Numbers, step: float | None) -> bool:
    """Return whether numbers are all positive, and more like a log-normal than like a normal."""
    if numbers.min() < 0 or (numbers.min() == 0 and step is None):
        return False
    # What is rounded to zero lies in the half of a cell above it.
    numbers = np.where(numbers == 0, (step or 0.0) / 4, numbers)
    return log_normal_gain(numbers) > LOG_NORMAL


def linear_below_of(numbers: Numbers) -> float | None:
    """Return where the logarithm of positive numbers turns linear, well below all; ``None`` near the least float.

    That no row is below zero does not tell that none can be.
    """
    logs = np.log(numbers)
    lowest = float(logs.min() - LINEAR_BELOW * logs.std())
    return math.exp(lowest) if lowest > LEAST_LOG else None


def straight_above_of(numbers: Numbers, origin: float) -> float | None:
    """Return over which width counts (N,), which begin at zero, feel that there are none below it; ``None`` far away.

    Counts are the numbers of a lattice through zero of which none is negative. The width is a power of two, lest it
    change with every row.
    """
    deviation = float(numbers.std())
    if origin or not 0 <= numbers.min() < deviation:
        return None
    return float(2.0 ** round(math.log2(deviation)))


def log_normal_gain(numbers: Numbers) -> float:
    """By how many nats a row a log-normal explains positive numbers better than a normal does."""
    logs = np.log(numbers)
    size = numbers.max()
    scale, log_scale = float((numbers / size).std()), float(logs.std())
    if not (scale > 0 and log_scale > 0):
        return 0.0
    normal = -np.log(scale) - float(np.log(size))
    log_normal = -np.log(log_scale) - float(logs.mean())
    return float(log_normal - normal)
