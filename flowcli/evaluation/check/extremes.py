"""Rows that are far away, on edges, or next to zero: log-densities are numbers or minus infinity."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Subject

Rows = NDArray[np.float64]

DISTANCES = [1e3, 1e6, 1e12, 1e24, 1e48, 1e100, 1e200, 1e300]
OUTWARD = [1e6, 1e12, 1e24, 1e48, 1e100]
BOUNDS = [0.0, 1.0, 3.0, 5.0, 1e3]  # where splines and maps of tails end or might end, in units of coordinates
MOST_COLUMNS = 100


def extremes(subject: Subject, values: Tensor) -> Iterator[Finding]:
    """Yield whether the densities of strange rows are numbers, and whether they fall outward in the end.

    Args:
        subject: The density.
        values: A few rows (B, N_c) of the table, of which one column at a time, and all of them, are moved.
    """
    indices = subject.numbers[:MOST_COLUMNS]
    if not (indices and len(values)):
        return
    strange = _strange(subject, values, indices)
    bad, where = 0, ""
    for double in (False, True):
        result, whose = _wrong(subject, strange, double)
        bad, where = bad + result, where or whose
    meaning = "Far away, on edges and next to zero, log-densities are numbers or minus infinity."
    yield within("strange rows", bad, 0, "rows", meaning, where or f"{2 * len(strange):,} rows")
    heavy = [name for position in indices for name in _heavy(subject, values[0], position)]
    meaning = "From a million spreads on, densities fall faster than distances grow."
    yield within("far away", len(heavy), 0, "columns", meaning, ", ".join(heavy[:3]) or f"out to {OUTWARD[-1]:.0e}")


def _wrong(subject: Subject, rows: Rows, double: bool) -> tuple[int, str]:
    """Return how many log-densities are no numbers, and one of these rows."""
    try:
        log_prob = subject.density.scores(rows, double=double, draws=1).log_prob
    except NumericsError as error:
        return len(rows), str(error)
    bad = np.isnan(log_prob) | (log_prob == math.inf)
    return int(bad.sum()), ""


def _strange(subject: Subject, values: Tensor, indices: list[int]) -> Rows:
    out = [values.numpy()]
    middles, spreads = _middles(subject)
    numbers: dict[int, list[float]] = {}
    for position in indices:
        column = subject.encoder.schema.columns[position]
        middle, width = middles[position], spreads[position]
        result = [middle + sign * width * distance for distance in DISTANCES for sign in (-1, 1)]
        result += [0.0, -0.0, 5e-324, -5e-324, 1e-300]
        for edge in column.support:
            if math.isfinite(edge):
                result += [edge, math.nextafter(edge, -math.inf), math.nextafter(edge, math.inf)]
        result += [*column.atoms, *_at_bounds(subject, position)]
        numbers[position] = [x for x in result if math.isfinite(x)]
        moved = values[:1].repeat(len(numbers[position]), 1).numpy()
        moved[:, position] = numbers[position]
        out.append(moved)
    for number in range(max(map(len, numbers.values()))):  # all columns at once
        every = values[:1].numpy().copy()
        for position in indices:
            every[0, position] = numbers[position][number % len(numbers[position])]
        out.append(every)
    return np.concatenate(out)


def _at_bounds(subject: Subject, position: int) -> list[float]:
    """Return where a column's coordinate is on the edge of a map."""
    if position not in subject.part.continuous:
        return []
    coordinates, d = subject.encoder.coordinates, subject.part.continuous.index(position)
    indices = [*BOUNDS, *(-b for b in BOUNDS)]
    if coordinates.marginal is not None:
        indices += coordinates.marginal.heights[d].tolist()
    u = torch.zeros(len(indices), len(coordinates), dtype=torch.float64)
    u[:, d] = torch.tensor(indices, dtype=torch.float64)
    return [float(x) for x in coordinates.inverse(u)[:, d]]


def _heavy(subject: Subject, row: Tensor, position: int) -> Iterator[str]:
    """Yield the column's name, for each side on which there is more mass far away than in the middle."""
    column = subject.encoder.schema.columns[position]
    middles, spreads = _middles(subject)
    lower, upper = column.support
    for sign, edge in ((-1.0, lower), (1.0, upper)):
        if math.isfinite(edge) or column.step or column.subtracted_columns:
            continue
        distances = np.array([0.0, *OUTWARD])
        rows = row.repeat(len(distances), 1).numpy()
        rows[:, position] = middles[position] + sign * spreads[position] * distances
        try:
            log_prob = subject.density.scores(rows, double=True, draws=1).log_prob
        except NumericsError:
            continue  # which is what strange rows are about
        # The mass of an interval as wide as its distance. A density given the other columns may rise here and there.
        outlying = log_prob[1:] + np.log(distances[1:])
        if not (outlying < log_prob[0]).all():
            yield column.name


def _middles(subject: Subject) -> tuple[dict[int, float], dict[int, float]]:
    """Return the middle of each column in the table's units, and how far a coordinate's unit leads from there."""
    coordinates = subject.encoder.coordinates
    u = torch.zeros(2, len(coordinates), dtype=torch.float64)
    u[1] = 1
    near, beside = coordinates.inverse(u)
    middles = dict(zip(subject.part.continuous, near.tolist(), strict=True))
    spreads = dict(zip(subject.part.continuous, (beside - near).abs().tolist(), strict=True))
    for position in subject.part.circular:
        lower, upper = subject.encoder.schema.columns[position].support
        middles[position], spreads[position] = (lower + upper) / 2, upper - lower
    return middles, spreads
