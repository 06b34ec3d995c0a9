"""Rows that are there twice, and rows that are training rows."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.evaluation.evaluate import evaluate
from flowcli.evaluation.metrics.repeats import numbered, once, seen
from tests.evaluation.known import correlated, gaussians

RIGHT = correlated([[1, 0.6], [0.6, 1]])


def normal(count, seed, digits=None):
    x = np.random.default_rng(seed).standard_normal((count, 2))
    return x if digits is None else np.round(x, digits)


def test_equal_rows_have_one_number_missing_cells_and_zeros_included():
    one = np.array([[1.0, np.nan], [0.0, 2.0], [np.nan, 1.0]])
    other = np.array([[-0.0, 2.0], [1.0, -np.nan], [1.0, 1.0]])
    (a, b, c), (d, e, f) = numbered(one, other)
    assert (a, b) == (e, d)
    assert len({a, b, c, f}) == 4


@pytest.mark.parametrize("times", [2, 3])
def test_a_right_model_is_good_on_rows_that_are_there_more_than_once(times):
    """A classifier, or a simple model, that has learned from a row knows its twin in another fold."""
    for seed in range(4):
        rows = RIGHT.sample(250, seed=10 + seed)
        found = evaluate(RIGHT, np.tile(rows, (times, 1)), draws=1500, seed=seed)
        assert found.verdict.startswith("good: "), found.verdict
        assert found.repeats == (times - 1) * 250
        # All is as it would be of each row once.
        assert found.nats == evaluate(RIGHT, rows, draws=1500, seed=seed).nats


def test_a_bad_model_is_found_on_rows_that_are_there_twice():
    rows = RIGHT.sample(400, seed=20)
    model = gaussians([1], [[0, 0]], 0.6)
    found = evaluate(model, np.tile(rows, (2, 1)), draws=1500)
    assert "too narrow" in [each.name for each in found.findings]
    assert found.findings == evaluate(model, rows, draws=1500).findings


def test_rows_repeat_where_draws_do_not():
    rows, draws = normal(300, 0), normal(800, 1)
    assert once(rows, draws) is None
    assert once(np.tile(rows, (2, 1)), draws).tolist() == list(range(300))
    assert once(rows[[0, 0]], draws).tolist() == [0]
    # By chance, in few digits; and an atom that the model should know.
    assert once(normal(1000, 0, 1), normal(1000, 1, 1)) is None
    assert once(np.zeros((100, 2)), np.zeros((100, 2))) is None
    rows[:100] = 0.0
    assert once(rows, draws) is None


def test_rows_that_the_model_was_fitted_to_are_not_new():
    train = RIGHT.sample(500, seed=30)
    found = evaluate(RIGHT, train, train=train, draws=1000)
    assert found.findings[0].name == "rows not new"
    assert found.findings[0].words.startswith("500 of 500 rows are among the training rows")
    assert found.copies is None
    new = evaluate(RIGHT, RIGHT.sample(500, seed=31), train=train, draws=1000)
    assert new.verdict.startswith("good: "), new.verdict
    assert new.copies is not None


def test_rows_are_like_training_rows_by_chance_and_copies_are_no_chance():
    train, rows, draws = (normal(400, seed) for seed in range(3))
    assert seen(rows, draws, train) is None
    rows[:100] = train[:100]
    assert seen(rows, draws, train).count == 100
    assert seen(rows, train, train).count == 100
    assert seen(*(normal(400, seed, 0) for seed in range(3))) is None
