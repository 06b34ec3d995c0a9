"""Ranks among draws are uniform for a right model, whatever the columns are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flowcli.evaluation.metrics.calibration import _chance_of_shares, _lumped, checks, column_ranks
from flowcli.evaluation.metrics.information import divergence
from flowcli.table import Schema
from flowcli.table.schema import Column

COLUMNS = (
    Column("real"),
    Column("rounded", "positive", step=0.1),
    Column("few", "discrete", values=(0.0, 1.0, 2.0), step=1.0),
    Column("rain", "positive", atoms=(0.0,), missing=True),
    Column("kind", "category", levels=("a", "b", "c"), missing=True),
    Column("angle", "circular", lower=0.0, upper=360.0),
    Column("same", "constant", value=3.0),
)
SCHEMA = Schema(COLUMNS)


def table(count, seed):
    random = np.random.default_rng(seed)
    rain = np.where(random.random(count) < 0.4, 0.0, random.exponential(size=count))
    return np.stack(
        [
            random.standard_normal(count),
            # Not the very numbers of the grid, as they come out of different sums.
            np.round(random.exponential(size=count), 1) + random.choice([0, 1e-13], count),
            random.choice(3, count, p=[0.7, 0.2, 0.1]),
            np.where(random.random(count) < 0.1, np.nan, rain),
            np.where(random.random(count) < 0.2, np.nan, random.choice(3, count, p=[0.5, 0.499, 0.001])),
            random.uniform(0, 360, count),
            np.full(count, 3.0),
        ],
        axis=1,
    )


def test_ranks_are_uniform_and_missing_where_the_cell_is():
    rows, draws = table(4000, 0), table(9000, 1)
    ranks = column_ranks(rows, draws, SCHEMA, 0)
    assert (np.isnan(ranks) == np.isnan(rows)).all()
    assert np.nanmin(ranks) >= 0
    assert np.nanmax(ranks) <= 1
    for column in ranks.T:
        assert stats.kstest(column[~np.isnan(column)], "uniform").pvalue > 1e-3
    assert (column_ranks(rows, draws, SCHEMA, 0)[0] == ranks[0]).all()


def test_ranks_are_among_the_rows_own_draws_where_there_are_such():
    schema = Schema((Column("x", given=True), Column("y")))
    x = np.arange(3.0)
    rows = np.stack([x, 10 * x], axis=1)
    draws = np.stack([np.repeat(x[:, None], 4, 1), 10 * x[:, None] + [-1, -0.5, 0.5, 1]], axis=2)
    ranks = column_ranks(rows, draws, schema, 0)
    assert np.isnan(ranks[:, 0]).all()
    assert ((ranks[:, 1] >= 0.4) & (ranks[:, 1] <= 0.6)).all()


def test_the_chances_of_a_right_model_are_uniform_at_most():
    """Of many columns, Holm's adjustment keeps false alarms to the level for all of them together."""
    alarms = []
    for seed in range(60):
        rows, draws = table(300, 100 + seed), table(900, 500 + seed)
        found = checks(column_ranks(rows, draws, SCHEMA, seed), rows, draws, SCHEMA)
        assert [(each.column, each.aspect) for each in found] == [
            ("real", "values"), ("rounded", "values"), ("few", "values"), ("rain", "missing"), ("rain", "values"),
            ("kind", "missing"), ("kind", "shares"), ("angle", "values"),
        ]  # fmt: skip
        alarms.append(min(each.adjusted for each in found) < 0.05)
    assert np.mean(alarms) < 0.12


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        (lambda x: x[:, 0].__iadd__(0.5), "real", "the rows lie higher"),
        (lambda x: x[:, 0].__imul__(0.7), "real", "the model is too wide"),
        (lambda x: x[:, 3].__imul__(1.4), "rain", "the model's tails are too light"),
        (lambda x: x[:300, 4].fill(1), "kind", "'a' has"),
        (lambda x: x[:300, 3].fill(np.nan), "rain", "missing in"),
    ],
)
def test_a_column_that_is_off_is_found(change, column, words):
    rows, draws = table(2000, 2), table(4000, 3)
    change(rows)
    found = checks(column_ranks(rows, draws, SCHEMA, 0), rows, draws, SCHEMA)
    worst = min(found, key=lambda each: each.adjusted)
    assert (worst.column, worst.adjusted < 1e-4, worst.nats > 0.005) == (column, True, True)
    assert worst.detail.startswith(words)


def test_an_unknown_category_is_one_of_its_own():
    rows, draws = table(500, 4), table(500, 5)
    rows[:200, 4] = -1
    found = checks(column_ranks(rows, draws, SCHEMA, 0), rows, draws, SCHEMA)
    (kind,) = [each for each in found if each.aspect == "shares"]
    assert kind.adjusted < 1e-6
    assert "an unknown text" in kind.detail


KIND = Schema((Column("kind", "category", levels=tuple("abcd")),))


def shares(rows, draws):
    """The look at one category, of counts of its levels in rows and in draws."""
    tables = [np.repeat(np.arange(len(each)), each)[:, None].astype(float) for each in (rows, draws)]
    (found,) = checks(column_ranks(*tables, KIND, 0), *tables, KIND)
    return found


@pytest.mark.parametrize("rare", [1e-3, 3e-4])
@pytest.mark.parametrize("levels", [2, 4])
def test_a_rare_category_raises_no_false_alarm(rare, levels):
    """Where far fewer than one are expected, a chi-square test at a level of 0.0025 has 0.02 and 0.04 of them."""
    random = np.random.default_rng(30)
    shares = np.append(np.full(levels - 1, (1 - rare) / (levels - 1)), rare)
    rows, draws = (random.multinomial(count, shares, 2000) for count in (200, 10_000))
    chances = [_chance_of_shares(*_lumped(np.stack(both).astype(float))) for both in zip(rows, draws, strict=True)]
    for level in (0.0025, 0.01, 0.05):
        assert np.mean(np.array(chances) < level) < level + 3 * np.sqrt(level / 2000)


def test_a_rare_category_that_is_not_rare_among_rows_is_found_and_named():
    """The difference of a frequent one may be as large, and be chance."""
    found = shares([262, 228, 0, 10], [5000, 5000, 0, 0])
    assert found.chance < 1e-6
    assert found.detail.startswith("'d' has 2.0% of the rows")


def test_a_few_rows_cost_nothing_that_they_do_not_show():
    """One row that is not missing says next to nothing of a model that has few missing."""
    assert divergence(np.array([0.0, 1.0]), np.array([40.0, 9960.0])) == 0.0
    assert divergence(np.array([1.0, 0.0, 0.0]), np.array([900.0, 50.0, 50.0])) == 0.0
    true = 0.5 * np.log(0.5 / 0.3) + 0.5 * np.log(0.5 / 0.7)
    assert divergence(np.array([500.0, 500.0]), np.array([3000.0, 7000.0])) == pytest.approx(true, rel=0.1)
