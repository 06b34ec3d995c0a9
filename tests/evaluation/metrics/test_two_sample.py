"""A classifier tells draws from rows where there is something to tell, and not where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from flowcli.evaluation.metrics.two_sample import _placed, two_sample
from flowcli.table import Schema
from flowcli.table.schema import Column
from tests.evaluation.known import real

THREE = Schema(tuple(real(3)))


def cloud(count, seed):
    return np.random.default_rng(seed).standard_normal((count, 3))


def test_nothing_is_told_of_one_distribution():
    """Folds that share rows do not make the error too small: z has a spread of one at most."""
    found = [two_sample(cloud(200, seed), cloud(300, 1000 + seed), THREE, seed) for seed in range(30)]
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.015)
    assert np.std([(each.auc - 0.5) / each.error for each in found]) < 1.25
    assert sum(each.chance < 0.05 for each in found) <= 5
    assert found[0].columns == ()


def test_the_auc_is_that_of_the_best_classifier():
    """Of two Gaussians apart by d in one column it is Phi(d / sqrt 2), and the divergence d^2 / 2."""
    rows, draws = cloud(4000, 1), cloud(4000, 2)
    rows[:, 1] += 1.0
    found = two_sample(rows, draws, THREE, 0, least_chance=0.01)
    assert found.low < stats.norm.cdf(np.sqrt(0.5)) < found.high + 0.01
    assert found.nats == pytest.approx(0.5, abs=0.12)
    assert found.columns[0][0] == "c1"
    assert found.pairs == 4000


def test_categories_and_missing_cells_are_seen():
    schema = Schema((Column("kind", "category", levels=tuple("abcdefgh")), Column("x", missing=True)))
    random = np.random.default_rng(3)

    def table(odd):
        kind = random.integers(0, 8, 1000).astype(float)
        absent = random.random(1000) < np.where((kind % 2 == 1) == odd, 0.4, 0.1)
        return np.stack([kind, np.where(absent, np.nan, random.standard_normal(1000))], axis=1)

    assert two_sample(table(True), table(False), schema, 0).auc > 0.6
    assert two_sample(table(True), table(True), schema, 0).chance > 0.001


def test_the_share_that_it_is_sure_of_is_the_mode_that_is_missing():
    rows, draws = cloud(2000, 4), cloud(2000, 5)
    rows[:300] += 8
    found = two_sample(rows, draws, THREE, 0)
    assert found.sure_rows == pytest.approx(0.15, abs=0.02)
    assert found.sure_draws == 0


def test_what_is_given_tells_nothing():
    """Row and draw of a pair share it; a classifier that had one to learn from would know the other."""
    schema = Schema((Column("x", given=True), Column("y")))
    random = np.random.default_rng(6)
    x = random.standard_normal(400)
    rows, draws = (np.stack([x, x + random.standard_normal(400)], axis=1) for _ in range(2))
    found = two_sample(rows, draws, schema, 0)
    assert abs(found.auc - 0.5) < 3 * found.error


def test_too_few_rows_are_none_at_all():
    assert two_sample(cloud(49, 7), cloud(100, 8), THREE, 0) is None


def test_a_row_is_placed_as_scikit_learn_does():
    random = np.random.default_rng(9)
    rows, draws = np.round(random.standard_normal(50), 1), np.round(random.standard_normal(50), 1)
    expected = roc_auc_score(np.repeat([1, 0], 50), np.concatenate([rows, draws]))
    for placed in _placed(rows, draws):
        assert placed.mean() == pytest.approx(expected)
