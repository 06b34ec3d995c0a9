"""Which rows are held out."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.training.prepare.split import hold_out
from tests.fits import rows


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("columns", [1, 3, 120])
def test_the_share_is_held_out(share, columns):
    mask, copies = hold_out(rows(400, columns), share, 0)
    assert mask.shape == (400,)
    assert mask.sum() == round(share * 400)
    assert copies == 0


def test_copies_are_on_one_side():
    values = np.round(2 * rows(500, 2))
    mask, copies = hold_out(values, 0.2, 0)
    held, trained = ({tuple(row) for row in values[row_set]} for row_set in (mask, ~mask))
    assert not held & trained
    assert copies == 500 - len(held | trained)
    assert 0 < mask.sum() < 500


def test_zero_is_zero_whatever_its_sign():
    values = np.array([[0.0], [-0.0]] * 20 + [[1.0]] * 3)
    mask, _ = hold_out(values, 0.5, 0)
    assert len(set(mask[:40])) == 1


def test_the_share_is_one_of_rows_even_where_some_have_many_copies():
    values = np.concatenate([np.zeros((300, 1)), rows(700, 1)])
    for seed in range(20):
        mask, _ = hold_out(values, 0.1, seed)
        assert 0.05 < mask.mean() < 0.15


def test_the_seed_chooses():
    values = rows(200, 2)
    one, again, other = (hold_out(values, 0.1, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_at_least_one_row():
    assert hold_out(rows(3, 1), 0.01, 0)[0].sum() == 1


def test_a_frequent_value_of_a_rounded_column_is_on_both_sides():
    """All of it on one side, held-out rows would speak against what the training rows are full of."""
    random = np.random.default_rng(0)
    values = np.where(random.random(2000) < 0.35, 400.0, np.round(random.lognormal(6, 0.5, 2000)))[:, None]
    everywhere = np.ones(2000, dtype=bool)
    mask, copies = hold_out(values, 0.1, 0, ~everywhere, everywhere)
    assert mask.sum() == pytest.approx(200, abs=10)
    assert (values[mask] == 400).mean() == pytest.approx(0.35, abs=0.08)
    assert 0 < copies < 1400


def test_the_copies_of_a_table_that_stands_twice_in_a_file_are_on_one_side():
    values = np.round(rows(300, 3), 2)
    everywhere = np.ones(600, dtype=bool)
    mask, _ = hold_out(np.concatenate([values, values]), 0.1, 0, ~everywhere, everywhere)
    assert np.array_equal(mask[:300], mask[300:])
