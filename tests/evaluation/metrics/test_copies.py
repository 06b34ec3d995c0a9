"""Copies are told from draws that are near rows for other reasons; crowds from tails."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.evaluation.metrics.copies import copies
from flowcli.evaluation.metrics.modes import unmatched_points
from flowcli.evaluation.metrics.neighbours import Points, nearest
from flowcli.table import Schema
from flowcli.table.schema import Column
from tests.evaluation.known import real

MIXED = Schema(
    (
        Column("kind", "category", levels=("a", "b"), missing=True),
        Column("x", step=0.1),
        Column("y", missing=True),
        Column("angle", "circular", lower=0.0, upper=360.0),
    )
)


def mixed(count, seed):
    random = np.random.default_rng(seed)
    kind = np.where(random.random(count) < 0.1, np.nan, random.integers(0, 2, count))
    y = np.where(random.random(count) < 0.3, np.nan, random.standard_normal(count))
    x = np.round(random.standard_normal(count), 1)
    return np.stack([kind, x, y, np.round(random.uniform(0, 360, count))], axis=1)


def coarse(count, seed):
    """Rows of which many are the same, to the digit."""
    return np.round(np.random.default_rng(seed).standard_normal((count, 2)))


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_share_of_copies_is_found(share):
    rows, draws = mixed(800, 0), mixed(800, 1)
    count = int(share * len(draws))
    draws[:count] = rows[:count]
    found = copies(rows, draws, MIXED, 0)
    assert found.exact == pytest.approx(share, abs=0.01)
    assert found.close - found.close_rows == pytest.approx(0.9 * share, abs=0.06)
    assert (found.excess > 4) == (share > 0)


def test_copies_of_training_rows_are_found_where_these_are_known():
    train, rows = mixed(500, 2), mixed(500, 3)
    draws = train[np.random.default_rng(4).integers(0, 500, 500)]
    assert copies(rows, draws, MIXED, 0, train).excess > 10
    assert copies(rows, draws, MIXED, 0).excess < 4
    assert copies(rows, mixed(500, 5), MIXED, 0, train).excess < 4


def test_rows_that_repeat_each_other_are_no_reason_for_alarm():
    found = copies(coarse(1000, 0), coarse(1000, 1), Schema(tuple(real(2))), 0)
    assert found.exact > 0.9
    assert found.excess < 4


@pytest.mark.parametrize("scale", [0.7, 1.4])
def test_a_model_that_is_too_narrow_or_too_wide_copies_nothing(scale):
    random = np.random.default_rng(6)
    rows, draws = random.standard_normal((1500, 3)), scale * random.standard_normal((1500, 3))
    found = copies(rows, draws, Schema(tuple(real(3))), 0)
    assert (found.close - found.close_rows < 0.05) or found.excess < 4


def test_a_draw_of_a_conditional_model_may_be_near_its_own_row():
    schema = Schema((Column("x", given=True), Column("y")))
    random = np.random.default_rng(7)
    x = random.standard_normal(800)
    rows, draws = (np.stack([x, np.sin(x) + 0.01 * random.standard_normal(800)], axis=1) for _ in range(2))
    assert copies(rows, draws, schema, 0).excess < 4


def test_distances_are_in_like_units_for_all_columns():
    """Whatever the unit of a column; a huge value is far, and no overflow."""
    rows = mixed(300, 8)
    scaled = rows * [1, 1e-30, 1e200, 1]
    found = [Points(table, MIXED)(table) for table in (rows, scaled)]
    assert np.allclose(*(nearest(points, points, 2, itself=True)[0] for points in found))
    rows[0, 1] = 1e300
    points = Points(rows, MIXED)(rows)
    assert np.isfinite(nearest(points, points, 1, itself=True)[0]).all()


def test_angles_are_near_across_the_cut():
    schema = Schema((MIXED.columns[3],))
    points = Points(np.zeros((1, 1)), schema)(np.array([[359.0], [1.0], [180.0]]))
    assert nearest(points, points, 1, itself=True)[1][:2, 0].tolist() == [1, 0]


def test_the_rare_ones_of_very_many_categories_are_one():
    """A column for each would take gigabytes of a table with a text in each row."""
    codes = np.concatenate([np.repeat(np.arange(50), 10), np.arange(50, 5000)]).astype(float)[:, None]
    schema = Schema((Column("name", "category", levels=tuple(map(str, range(5000)))),))
    points = Points(codes, schema)(np.array([[0.0], [1.0], [60.0], [70.0], [np.nan]]))
    assert points.shape[1] <= 52
    differences = np.linalg.norm(points[:, None] - points, axis=-1)
    assert differences[0].tolist() == pytest.approx([0, 1, 1, 1, 1])
    assert (differences[2, 3], differences[2, 4]) == (0, pytest.approx(1))


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_a_crowd_is_told_from_a_tail(dimensions):
    random = np.random.default_rng(9)
    plain, crowd = random.standard_normal((2000, dimensions)), random.standard_normal((2000, dimensions))
    crowd[:200, 0] += 9
    schema = Schema(tuple(real(dimensions)))
    rows, draws = unmatched_points(crowd, plain, schema, 0)
    assert rows.is_mode
    assert rows.share == pytest.approx(0.1, abs=0.03)
    assert not draws.is_mode
    tail = random.standard_t(2, (2000, dimensions))
    assert not any(each.is_mode for each in unmatched_points(tail, plain, schema, 0))
    assert not any(
        each.is_mode for each in unmatched_points(plain, random.standard_normal((2000, dimensions)), schema, 0)
    )
