"""Lattices of any step from any origin, found in the differences of values that were printed with some digits.

Integers that were scaled to the unit interval, or standardised, are whole multiples of a step that has no few decimal
places, from an origin that is no multiple of it; so are twelfths and 1/530ths.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FEWEST_VALUES = 4
MOST_VALUES = 4096  # distinct ones in which a lattice is looked for; all are asked whether they lie on it
COARSE = 16.0  # tolerances that a step has at least: what is finer cannot be told from what was printed
EVIDENCE = 16.0  # nats: by chance, fewer than one set of values in ten million would lie on such a lattice
MOST_STEPS = 2.0**31  # between the least value and the largest
SIMPLE = 10_000  # the largest denominator of a step that is taken for a fraction
ROUNDS = 64


class Lattice(NamedTuple):
    """The numbers ``origin + k step`` for all integers k."""

    step: float
    origin: float = 0.0


def find_any_step(values: Numbers, tolerance: float) -> Lattice | None:
    """Find the coarsest lattice that all values lie on.

    The step comes from Euclid's algorithm on the differences of neighbours, and is then fitted to ever more of the
    values, each time by least squares: the farther apart two values are, the more digits of it they show.

    Args:
        values: Distinct finite numbers, rising, (n,).
        tolerance: How far printing has moved each of them, at most.

    Returns:
        The lattice; ``None`` where there is none, or where that so few values lie on one may be chance.
    """
    if len(values) < FEWEST_VALUES:
        return None
    probed = values[:: -(-len(values) // MOST_VALUES)]
    step = _common_divisor(np.diff(probed), tolerance)
    if step is None or (values[-1] - values[0]) / step > MOST_STEPS:
        return None
    lattice = _fitted(probed, step, tolerance)
    if lattice is None:
        return None
    lattice = _simplified(lattice, probed, tolerance)
    # Two values set the step and the origin; each of the others would lie so close to a multiple by chance.
    chance = math.log(max(lattice.step / (4 * tolerance), 1.0)) if tolerance > 0 else math.inf
    if (len(values) - 2) * chance < EVIDENCE or not on_lattice(values, lattice, 2 * tolerance).all():
        return None
    return lattice


def on_lattice(values: Numbers, lattice: Lattice, tolerance: float) -> NDArray[np.bool_]:
    """Return which values (n,) lie no farther than a tolerance from a lattice, (n,)."""
    steps = np.round((values - lattice.origin) / lattice.step)
    return np.asarray(np.abs(values - lattice.origin - steps * lattice.step) <= tolerance)


def _common_divisor(differences: Numbers, tolerance: float) -> float | None:
    """Return the greatest number that differences (n,) are multiples of, roughly; ``None`` where it is too small."""
    least = max(COARSE * tolerance, float(differences.max()) / MOST_STEPS)
    distinct = differences[differences > 2 * tolerance]
    if not len(distinct):
        return None
    step = float(distinct.min())
    for _ in range(ROUNDS):
        if step < least:
            return None
        # A multiple k of the step is off by the tolerance of the difference and k times that of the step itself.
        multiples = np.round(distinct / step)
        off = np.abs(distinct - multiples * step)
        wrong = off > 2 * tolerance * (1 + multiples)
        if not wrong.any():
            return step
        step = float(off[wrong].min())
    return None


def _fitted(values: Numbers, step: float, tolerance: float) -> Lattice | None:
    """Return the lattice with about this step that is closest to all values (n,)."""
    first = float(values[0])
    distances = values - first
    lattice = Lattice(step, first)
    reach = max(4 * step, float(distances[1]))
    while True:
        near = distances <= reach
        steps = np.round((values[near] - lattice.origin) / lattice.step)
        center = float(steps.mean())
        moments = float(((steps - center) ** 2).sum())
        if moments > 0:
            slope = float(((steps - center) * distances[near]).sum()) / moments
            if not slope > 0:
                return None
            lattice = Lattice(slope, first + float(distances[near].mean()) - slope * center)
            if not on_lattice(values[near], lattice, 2 * tolerance).all():
                return None
        if near.all():
            return lattice
        # The step is known to two tolerances over so many steps, and goes wrong where that adds up to half of one.
        trusted = float(steps.max() - steps.min()) * lattice.step**2 / (16 * tolerance) if tolerance > 0 else math.inf
        further = min(max(2 * reach, 2 * step), max(trusted, reach * 1.5))
        following = float(distances[~near][0])
        reach = max(further, following)


def _simplified(lattice: Lattice, values: Numbers, tolerance: float) -> Lattice:
    """Return a lattice of a fraction from a multiple of it, where such a one holds the values (n,) as well."""
    span = max(1.0, float(values[-1] - values[0]) / lattice.step)
    whole = round(1 / lattice.step) if lattice.step < 1 else 0
    candidates = (
        [1 / whole] if 1 < whole <= SIMPLE else [float(f"{lattice.step:.{digits}g}") for digits in (1, 2, 3, 6)]
    )
    for step in candidates:
        if abs(step - lattice.step) * span > 4 * tolerance + 1e-12 * abs(step) * span:
            continue
        origin = float(np.median(values - np.round((values - lattice.origin) / step) * step))
        shifted = origin - round(origin / step) * step
        for simple in (0.0, float(f"{shifted:.6g}"), shifted):
            if on_lattice(values, Lattice(step, simple), tolerance).all():
                return Lattice(step, simple)
    origin = lattice.origin - round(lattice.origin / lattice.step) * lattice.step
    through_zero = on_lattice(values, Lattice(lattice.step), tolerance).all()
    return Lattice(lattice.step, 0.0 if through_zero else origin)
