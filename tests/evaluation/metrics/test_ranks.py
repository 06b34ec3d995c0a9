"""Ranks of rows among draws: uniform where the model is right, whatever the column is, and telling where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from flowcli.evaluation.metrics.calibration import column_ranks
from flowcli.table import Column, Schema
from tests.evaluation.plots.tables import KINDS, mixed


def test_ranks_are_uniform_for_every_kind_of_column():
    schema, rows = mixed(len(KINDS), 4000)
    samples = mixed(len(KINDS), 20_000, seed=1)[1]
    ranks = column_ranks(rows, samples, schema, 0)
    for index, column in enumerate(schema.columns):
        own = ranks[:, index]
        np.testing.assert_array_equal(np.isnan(own), np.isnan(rows[:, index]))
        own = own[~np.isnan(own)]
        assert ((own >= 0) & (own <= 1)).all()
        assert kstest(own, "uniform").pvalue > 1e-3, column.name


def test_few_draws_make_no_ranks_at_the_ends():
    """With draws alone as steps, a rank of 0 or 1 would come too often."""
    random = np.random.default_rng(0)
    rows, samples = random.normal(size=(20_000, 1)), random.normal(size=(20_000, 5, 1))
    ranks = column_ranks(rows, samples, Schema((Column("x"),)), 0)[:, 0]
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_values_above_all_draws_rank_high():
    schema = Schema((Column("x"),))
    samples = np.linspace(0, 1, 99)[:, None]
    ranks = column_ranks(np.array([[-5.0], [0.5], [5.0]]), samples, schema, 0)[:, 0]
    assert ranks[0] < 0.011
    assert ranks[1] == pytest.approx(0.5, abs=0.011)
    assert ranks[2] > 0.989


def test_each_row_is_compared_with_draws_of_its_own():
    schema = Schema((Column("given", given=True), Column("x")))
    given = np.array([0.0, 100.0, -100.0])
    rows = np.column_stack([given, given + 10])
    samples = np.zeros((3, 50, 2)) + given[:, None, None]
    ranks = column_ranks(rows, samples, schema, 0)
    assert np.isnan(ranks[:, 0]).all()
    assert (ranks[:, 1] > 0.98).all()


def test_draws_that_all_are_missing_rank_nothing():
    schema = Schema((Column("x", missing=True),))
    nothing = np.full((5, 1), np.nan)
    assert np.isnan(column_ranks(np.ones((2, 1)), nothing, schema, 0)).all()


def test_the_seed_says_where_among_equals():
    schema = Schema((Column("x"),))
    ones = np.ones((50, 1))
    first, again, other = (column_ranks(ones, ones, schema, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
