"""A good model is called good, and each bad one by its fault."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from flowcli.evaluation.evaluate import evaluate
from flowcli.evaluation.findings import _unexplained_by_others
from flowcli.evaluation.metrics.two_sample import TwoSample
from flowcli.table.schema import Column
from tests.evaluation.known import Known, correlated, gaussians, real

ROWS, DRAWS = 1000, 2000
SEEDS = (0, 1)

TWO = ([[0, 0, 0], [6, 0, 0]], np.ones((2, 3)))


def rings(count, random):
    angle = random.uniform(0, 2 * np.pi, count)
    radius = np.where(random.random(count) < 0.5, 1.0, 2.5) + 0.1 * random.standard_normal(count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def table(probabilities, missing):
    """A category, and a number that may be missing and lies where the category says."""
    columns = [Column("kind", "category", levels=("a", "b", "c")), Column("size", missing=True)]

    def drawn(given, random):
        kind = random.choice(3, len(given), p=probabilities)
        size = np.where(random.random(len(given)) < missing, np.nan, 2.0 * kind + random.standard_normal(len(given)))
        return np.stack([kind, size], axis=1)

    def log_density(x):
        kind = x[:, 0].astype(int)
        of_size = np.log(1 - missing) + stats.norm.logpdf(np.nan_to_num(x[:, 1]), 2.0 * kind)
        return np.log(probabilities)[kind] + np.where(np.isnan(x[:, 1]), np.log(missing), of_size)

    return Known(columns, drawn, log_density)


def student(count, scale):
    return Known(
        real(count),
        lambda given, random: scale * random.standard_t(3, (len(given), count)),
        lambda x: stats.t.logpdf(x / scale, 3).sum(axis=1) - count * np.log(scale),
    )


def like(rows):
    """The Gaussian of the same mean and covariance."""
    return correlated(np.cov(rows.T), rows.mean(axis=0))


STANDARD = gaussians([1], [[0, 0, 0]], 1.0)
RINGS = Known(real(2), lambda given, random: rings(len(given), random), lambda x: x[:, 0])

# From the density of the rows to the model's, and the finding that must come first.
BAD = {
    "a Gaussian on rings": (RINGS, like(rings(5000, np.random.default_rng(7))), "underfitted"),
    "a Gaussian for heavy tails": (
        student(3, 1.0),
        like(np.random.default_rng(8).standard_t(3, (5000, 3))),
        "tails too light",
    ),
    "heavy tails for a Gaussian": (STANDARD, student(3, 0.85), "tails too heavy"),
    "a mode left out": (gaussians([0.8, 0.2], *TWO), gaussians([1], [[0, 0, 0]], 1.0), "missing mode"),
    "mass where no row is": (STANDARD, gaussians([0.95, 0.05], *TWO), "spurious mode"),
    "narrow": (STANDARD, gaussians([1], [[0, 0, 0]], 0.8), "too narrow"),
    "wide": (STANDARD, gaussians([1], [[0, 0, 0]], 1.25), "too wide"),
    "a column shifted": (STANDARD, gaussians([1], [[0, 0.4, 0]], 1.0), "column off: c1"),
    "a column scaled": (STANDARD, gaussians([1], [[0, 0, 0]], [[1, 1, 1.5]]), "column off: c2"),
    "independent columns": (
        correlated([[1, 0.7, 0], [0.7, 1, 0], [0, 0, 1]]),
        STANDARD,
        "dependence missed",
    ),
    "other categories": (table([0.5, 0.3, 0.2], 0.1), table([0.3, 0.5, 0.2], 0.1), "category shares off: kind"),
    "cells missing too often": (table([0.5, 0.3, 0.2], 0.1), table([0.5, 0.3, 0.2], 0.25), "missing cells off: size"),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_called_by_its_fault(name, seed):
    truth, model, expected = BAD[name]
    found = evaluate(model, truth.sample(ROWS, seed=100 + seed), draws=DRAWS, seed=seed)
    assert [each.name for each in found.findings][:1] == [expected], found.verdict
    assert not found.findings[0].small


@pytest.mark.parametrize("seed", SEEDS)
def test_memorised_rows_are_copies(seed):
    train, rows = STANDARD.sample(500, seed=1), STANDARD.sample(500, seed=2)
    memory = gaussians(np.full(500, 1 / 500), train, np.full((500, 3), 0.02))
    known = [each.name for each in evaluate(memory, rows, train=train, draws=2000, seed=seed).findings]
    assert known[0] == "copies"
    assert "overfitted" in known
    # Where the very rows that were copied are judged, the log-density is splendid, and the copies are found as well.
    judged = evaluate(memory, train, draws=2000, seed=seed)
    assert judged.findings[0].name == "copies"
    assert all(rival.gain.mean > 0 for rival in judged.rivals.found)
    unseen = [each.name for each in evaluate(memory, rows, draws=2000, seed=seed).findings]
    assert unseen[0] == "too narrow"
    assert "copies" not in unseen


def test_a_right_model_is_called_good():
    models = [
        gaussians([0.5, 0.3, 0.2], [[0, 0], [4, 0], [0, 5]], [[1, 1], [0.5, 1], [1, 2]]),
        table([0.6, 0.3, 0.1], 0.15),
        student(4, 1.0),
        correlated([[1, 0.9], [0.9, 1]]),
    ]
    verdicts = [
        evaluate(model, model.sample(300, seed=1000 + seed), draws=1000, seed=seed).verdict
        for model in models
        for seed in range(10)
    ]
    assert sum(verdict.startswith("good: ") for verdict in verdicts) >= 38, verdicts


def rows_beyond(seed, kind):
    """Rows of a normal of three columns, but that the middle one has heavier tails, or a few rows far out."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((3000, 3))
    if kind == "tails":
        rows[random.random(3000) < 0.03, 1] *= 4
    else:
        rows[random.random(3000) < 0.015, 1] = 8 + 0.1 * random.standard_normal()
    return rows


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["tails", "cluster"])
def test_no_model_is_good_whose_bands_miss_their_shares(kind, seed):
    found = evaluate(STANDARD, rows_beyond(20 + seed, kind), draws=10_000, seed=seed)
    assert not found.verdict.startswith("good"), found.verdict
    assert re.search(r"bands off: c1's 99% band holds 9[78]\.\d% of the rows", found.verdict), found.verdict
    assert not any("c0's" in each.words or "c2's" in each.words for each in found.findings)


def test_bands_of_a_right_model_hold_their_shares():
    """Where rows are many, too: then a miss that is next to nothing is none, however sure it is."""
    for seed in range(5):
        found = evaluate(STANDARD, STANDARD.sample(5000, seed=300 + seed), draws=10_000, seed=seed)
        assert found.verdict.startswith("good: "), found.verdict
        for check in found.measures.checks:
            assert all(abs(band.inside - band.level) < 0.03 for band in check.bands)
    nearly = gaussians([1], [[0, 0, 0]], 1.02)
    found = evaluate(nearly, STANDARD.sample(20_000, seed=31), draws=20_000)
    assert not any(each.name.startswith("bands off") for each in found.findings), found.verdict


def test_what_a_fault_costs_is_below_what_it_costs():
    """By the data-processing inequality; here the Kullback-Leibler divergence is known."""
    rows = STANDARD.sample(20_000, seed=3)
    found = evaluate(gaussians([1], [[0, 0, 0]], 0.8), rows, draws=20_000)
    true = 3 * (np.log(0.8) + 0.5 / 0.64 - 0.5)
    assert 0.6 * true < found.findings[0].nats < 1.05 * true
    assert found.rivals.found[0].gain.mean == pytest.approx(-true, abs=4 * found.rivals.found[0].gain.error)


def test_few_rows_are_no_reason_to_fail():
    for count in (1, 2, 30):
        found = evaluate(STANDARD, STANDARD.sample(count, seed=4), draws=500)
        praise = {1: "too few rows to tell: nothing is wrong that 1 row", 30: "good: nothing is wrong that 30 rows"}
        assert found.verdict.startswith(praise.get(count, "too few rows to tell")), found.verdict
        assert found.measures.two_sample is None
        assert found.copies is None
        assert (found.rivals is None) == (count < 30)


def test_rows_of_density_zero_are_counted_and_not_hidden():
    model = Known(
        real(1), lambda given, random: random.random((len(given), 1)), lambda x: np.where(x[:, 0] < 1, 0.0, -np.inf)
    )
    rows = np.concatenate([model.sample(300, seed=5), [[2.0]] * 30])
    found = evaluate(model, rows, draws=1000)
    assert (found.nats.impossible, found.nats.mean) == (30, 0.0)
    assert found.findings[0].name == "rows of density zero"


def test_one_row_of_density_zero_comes_first_and_is_no_small_fault():
    model = table([0.6, 0.3, 0.1], 0.1)
    known = model.log_density
    model.log_density = lambda x: np.where(x[:, 0] < 0, -np.inf, known(x))
    rows = model.sample(500, seed=9)
    rows[7, 0] = -1
    found = evaluate(model, rows, draws=1000)
    assert found.verdict.startswith("rows of density zero")
    first = found.findings[0]
    assert (first.nats, first.small, first.column) == (np.inf, False, "kind")
    assert first.words.startswith("1 of 500 rows, so that the mean")
    assert first.words.endswith("kind has a text that the model does not know")
    assert found.rivals.found[0].gain.left_out >= 1


def test_few_rows_beside_training_rows_are_no_reason_for_alarm():
    """A mean of a few differences is no normal number, and of one it has no error."""
    train = STANDARD.sample(500, seed=10)
    for count in range(1, 11):
        for seed in range(3):
            found = evaluate(STANDARD, STANDARD.sample(count, seed=11 + seed), train=train, draws=300, seed=seed)
            assert found.findings == (), found.verdict


def test_what_a_classifier_tells_without_a_bound_has_no_cost():
    odds = np.zeros(9), np.zeros(9)
    indices = np.arange(9), np.arange(9)
    for auc, small in ((0.53, True), (0.8, False)):
        test = TwoSample(9, auc, 0.005, auc, auc, 1e-6, 0.0, 0.0, 0.0, (), odds, indices)
        (found,) = _unexplained_by_others(test, [])
        assert (found.nats, found.cost, found.small) == (None, "", small)


def test_a_conditional_model_is_judged_given_each_row():
    """The given column of the rows is nothing that the model has to know; what it says beside it is."""
    columns = [Column("x", given=True), Column("y")]

    def model(slope, scale):
        return Known(
            columns,
            lambda given, random: np.stack(
                [given[:, 0], slope * given[:, 0] + scale * random.standard_normal(len(given))], axis=1
            ),
            lambda v: stats.norm.logpdf(v[:, 1], slope * v[:, 0], scale),
        )

    x = np.random.default_rng(6).exponential(size=600)
    rows = model(1.0, 0.05).sample(600, seed=7, given=np.stack([x, np.full(600, np.nan)], axis=1))
    right = evaluate(model(1.0, 0.05), rows, draws=3000)
    assert right.verdict.startswith("good: "), right.verdict
    assert right.rivals.found[0].name == "a linear regression"
    assert abs(right.rivals.found[0].gain.mean) < 0.02
    assert [each.column for each in right.measures.checks] == ["y"]
    assert evaluate(model(1.0, 0.08), rows, draws=3000).findings[0].name == "too wide"
    flat = evaluate(model(0.0, float(rows[:, 1].std())), rows, draws=3000)
    assert "underfitted" in [each.name for each in flat.findings]
