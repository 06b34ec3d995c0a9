"""Lattices of any step from any origin."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.table.inference.any_step import find_any_step

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(20, 2000).astype(float)
STANDARD = (COUNTS - COUNTS.mean()) / COUNTS.std()

# Values, the digits that they are printed with, the step, and the origin.
LATTICES = {
    "hundredths": (RNG.integers(0, 101, 2000) / 100, None, 0.01, 0.0),
    "min-max scaled": (RNG.integers(0, 531, 3000) / 530, 12, 1 / 530, 0.0),
    "not printed": (RNG.integers(0, 531, 3000) / 530, None, 1 / 530, 0.0),
    "twelfths": (RNG.integers(0, 600, 900) / 12, 4, 1 / 12, 0.0),
    "halves and a half": (RNG.integers(0, 90, 900) + 0.5, 1, 1.0, 0.5),
    "standardised": (STANDARD, 4, 1 / COUNTS.std(), None),
    "standardised, not printed": (STANDARD, None, 1 / COUNTS.std(), None),
    "standardised, two digits": (STANDARD, 2, 1 / COUNTS.std(), None),
    "inches": (RNG.integers(50, 90, 900) * 2.54, 2, 2.54, 0.0),
    "sevenths": (np.array([0, 1, 2, 3, 5, 8, 13]) / 7, 4, 1 / 7, 0.0),
}


def rounded(values, digits):
    values = np.unique(values if digits is None else np.round(values, digits))
    return values, (0.0 if digits is None else 0.5 * 10.0**-digits) + 1e-15 * np.abs(values).max()


@pytest.mark.parametrize(("values", "digits", "step", "origin"), LATTICES.values(), ids=LATTICES.keys())
def test_the_step_and_the_origin_are_found(values, digits, step, origin):
    values, tolerance = rounded(values, digits)
    lattice = find_any_step(values, tolerance)
    assert lattice is not None
    span = (values[-1] - values[0]) / step
    assert lattice.step == pytest.approx(step, abs=8 * tolerance / span)
    if origin is not None:
        assert lattice.origin == pytest.approx(origin, abs=1e-12)
    off = (values - lattice.origin) / lattice.step
    assert np.abs(off - np.round(off)).max() * lattice.step <= 2 * tolerance


@pytest.mark.parametrize("digits", [None, 1, 2, 4])
@pytest.mark.parametrize("rows", [5, 50, 500, 5000])
def test_numbers_of_no_lattice_have_none(rows, digits):
    for seed in range(20):
        random = np.random.default_rng(seed)
        for values in (random.normal(size=rows) * 10, random.gamma(2, 3, rows), np.sqrt(random.integers(1, 400, rows))):
            assert find_any_step(*rounded(values, digits)) is None
