"""How many rows lie in highest-density regions: exact where it can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flowcli.evaluation.metrics.coverage import LEVELS, coverage


def log_density(x, scale=1.0):
    return stats.norm.logpdf(x, scale=scale).sum(axis=-1)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
def test_shares_are_those_of_the_chi_square_distribution(scale):
    random = np.random.default_rng(0)
    rows, draws = random.standard_normal((40_000, 3)), scale * random.standard_normal((40_000, 3))
    found = coverage(log_density(rows, scale), log_density(draws, scale), 0)
    for region, level in zip(found.regions, LEVELS, strict=True):
        true = stats.chi2.cdf(stats.chi2.ppf(level, 3) * scale**2, 3)
        assert region.inside == pytest.approx(true, abs=4 * np.sqrt(true * (1 - true) / 20_000) + 1e-4)
    assert found.dimensions == pytest.approx(3, rel=0.05)
    assert found.miscalibration == {0.8: "too narrow", 1.0: None, 1.3: "too wide"}[scale]


def test_chances_and_intervals_allow_for_the_draws_error():
    """With few draws the regions themselves are uncertain; a right model is all the same as rarely called wrong."""
    random = np.random.default_rng(1)
    found = [coverage(random.standard_normal(500), random.standard_normal(300), seed) for seed in range(400)]
    for index, level in enumerate(LEVELS):
        regions = [each.regions[index] for each in found]
        assert np.mean([region.chance < 0.05 for region in regions]) < 0.08
        assert np.mean([region.low <= level <= region.high for region in regions]) > 0.93


def test_ties_are_broken_at_random():
    """A model of a single log-density, and one of two: regions still hold what they should."""
    assert coverage(np.zeros(2000), np.zeros(3000), 0).chance > 0.01
    random = np.random.default_rng(2)
    rows, draws = (np.log([0.9, 0.1])[random.choice(2, count, p=[0.9, 0.1])] for count in (2000, 3000))
    assert coverage(rows, draws, 0).chance > 0.01


def test_each_row_of_a_conditional_model_has_its_own_regions():
    """Log-densities that differ by given values alone say nothing about coverage."""
    random = np.random.default_rng(3)
    level = 100 * random.standard_normal(2000)
    rows, draws = level + random.standard_normal(2000), level[:, None] + random.standard_normal((2000, 19))
    assert coverage(rows, draws, 0).chance > 0.01
    assert coverage(rows - 1, draws, 0).miscalibration == "too narrow"


def test_rows_that_are_impossible_are_outside():
    found = coverage(np.full(100, -np.inf), np.random.default_rng(4).standard_normal(1000), 0)
    assert [region.inside for region in found.regions] == [0, 0, 0]
