"""Simple models beside a model, means of log-densities, and which of them can be compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flowcli.evaluation.metrics.baselines import kernel_log_prob
from flowcli.evaluation.metrics.comparable import difference_of_measures
from flowcli.evaluation.metrics.comparison import difference, mean_nats
from flowcli.evaluation.metrics.rivals import rivals
from flowcli.table import Schema
from flowcli.table.schema import Column
from tests.evaluation.known import real


def test_a_kernel_density_is_one_and_finds_its_bandwidth():
    """It integrates to one, in the units of the table, and is near the truth."""
    train = 1e6 + 100 * np.random.default_rng(0).standard_normal((2000, 1))
    grid = np.linspace(train.min() - 300, train.max() + 300, 2001)[:, None]
    _, found = kernel_log_prob(train, grid, 0)
    assert np.trapezoid(np.exp(found), grid[:, 0]) == pytest.approx(1, abs=1e-4)
    rows = 1e6 + 100 * np.random.default_rng(1).standard_normal((2000, 1))
    _, found = kernel_log_prob(train, rows, 0)
    truth = stats.norm.logpdf(rows[:, 0], 1e6, 100)
    assert 0 < (truth - found).mean() < 0.02


def test_kernels_of_columns_that_are_collinear_are_none():
    x = np.random.default_rng(2).standard_normal(100)
    assert kernel_log_prob(np.stack([x, x], axis=1), np.zeros((1, 2)), 0) is None
    assert kernel_log_prob(np.ones((100, 1)), np.ones((1, 1)), 0) is None


def test_simple_models_are_judged_on_rows_they_have_not_seen():
    """In 30 columns with few rows, a Gaussian that had seen them would be better than the truth."""
    rows = np.random.default_rng(3).standard_normal((120, 30))
    truth = stats.norm.logpdf(rows).sum(axis=1)
    found = rivals(truth, rows, Schema(tuple(real(30))), 0)
    assert (found.folds, found.fitted_to) == (5, 96)
    assert found.found[0].name == "a Gaussian"
    assert found.found[0].gain.mean > 2
    train = np.random.default_rng(4).standard_normal((4000, 30))
    found = rivals(truth, rows, Schema(tuple(real(30))), 0, train)
    assert (found.folds, found.fitted_to) == (1, 4000)
    assert 0 < found.found[0].gain.mean < 0.3
    assert rivals(truth[:20], rows[:20], Schema(tuple(real(30))), 0) is None


def test_a_mixture_finds_clusters():
    random = np.random.default_rng(5)
    which = random.random(1000) < 0.5
    rows = (np.where(which, 10.0, -10.0) + random.standard_normal(1000))[:, None]
    truth = np.log(0.5) + stats.norm.logpdf(np.abs(rows[:, 0]), 10)
    found = {each.name: each.gain.mean for each in rivals(truth, rows, Schema(tuple(real(1))), 0).found}
    assert found["a Gaussian"] > 1
    assert abs(found["a mixture of Gaussians"]) < 0.03


def test_a_mean_over_rows_of_density_zero_is_told_honestly():
    log_prob = np.array([-1.0, -3.0, -np.inf])
    nats = mean_nats(log_prob)
    assert (nats.mean, nats.impossible, nats.rows) == (-2.0, 1, 3)
    assert nats.error == pytest.approx(np.sqrt(2) / np.sqrt(2))
    gap = difference(log_prob, np.array([-2.0, -np.inf, -np.inf]))
    assert (gap.mean, gap.left_out, gap.only_first, gap.only_second) == (1.0, 2, 0, 1)
    assert np.isnan(mean_nats(np.array([-np.inf])).mean)


def test_a_paired_difference_is_surer_than_its_means():
    random = np.random.default_rng(6)
    easy = 10 * random.standard_normal(500)
    gap = difference(easy + 0.1, easy + 0.01 * random.standard_normal(500))
    assert gap.mean == pytest.approx(0.1, abs=0.002)
    assert gap.error < 0.001
    assert mean_nats(easy).error > 0.4
    assert gap.chance_of_worse > 0.99


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_error_of_few_rows_is_itself_uncertain(count):
    """Student's t, not a normal law; of a single row nothing is said."""
    random = np.random.default_rng(7)
    chances = [difference(x, np.zeros(count)).chance_of_worse for x in random.standard_normal((3000, count))]
    assert np.mean(np.array(chances) < 0.01) == pytest.approx(0.01, abs=0.006)
    assert difference(-np.ones(1), np.zeros(1)).chance_of_worse == 1.0


STEPS = Column("a", step=1.0)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ([Column("a")], [Column("a", "positive")], None),
        ([Column("a")], [Column("a", "circular", lower=0.0, upper=1.0)], None),
        ([STEPS], [Column("a", "discrete", values=(0.0, 1.0), step=1.0)], None),
        ([STEPS], [Column("a", "constant", value=1.0, step=1.0)], None),
        ([Column("a", "positive", atoms=(0.0,), step=1.0)], [STEPS], None),
        ([Column("a", "category", levels=("x", "y"))], [Column("a", "boolean", levels=("x", "y"))], None),
        ([STEPS], [Column("a")], "by the mass of cells of 1 in one and by a density in the other"),
        ([STEPS], [Column("a", step=0.5)], "by the mass of cells of 1 in one"),
        ([Column("a")], [Column("a", atoms=(0.0,))], "by a density, but 0 by probability"),
        ([Column("a")], [Column("a", "discrete", values=(0.0, 1.0))], "by the probability of its value"),
        ([Column("a")], [Column("a", "category", levels=("x", "y"))], "by the probability of its text"),
        ([Column("a")], [Column("b")], "one has a column 'a' that the other has not"),
        ([Column("a"), Column("b")], [Column("a"), Column("b", given=True)], "'b' is given in one"),
        ([Column("a"), Column("b", given=True)], [Column("a"), Column("b", step=1.0, given=True)], None),
        ([Column("a"), Column("b")], [Column("b"), Column("a")], None),
    ],
)
def test_only_log_densities_on_one_measure_are_compared(one, other, words):
    for first, second in ((one, other), (other, one)):
        found = difference_of_measures(Schema(tuple(first)), Schema(tuple(second)))
        assert (found is None) == (words is None)
    if words is not None:
        assert words in difference_of_measures(Schema(tuple(one)), Schema(tuple(other)))
