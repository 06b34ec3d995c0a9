"""Where values lie along an axis."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from flowcli.evaluation.plots.labels import below, beside
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import SMALL
from flowcli.evaluation.plots.words import width
from flowcli.table import Column
from tests.evaluation.plots.tables import KINDS, MANY, mixed


@pytest.mark.parametrize("column", KINDS, ids=range(len(KINDS)))
def test_most_values_lie_between_the_ends_and_come_back(column):
    values = mixed(len(KINDS), 2000)[1][:, KINDS.index(column)]
    scale = Scale.of(column, values)
    positions = scale.positions(values)
    np.testing.assert_array_equal(np.isnan(positions), np.isnan(values))
    present = ~np.isnan(values)
    assert np.mean((positions[present] >= 0) & (positions[present] <= 1)) > 0.95
    assert scale.beyond(values) == pytest.approx(np.mean((positions[present] < 0) | (positions[present] > 1)))
    if not scale.count:
        np.testing.assert_allclose(
            scale.values(positions[present]), values[present], rtol=1e-6, atol=1e-9 * np.ptp(values[present])
        )
    for at, _ in (*below(scale, 1.2).ticks, *beside(scale, 1.2)):
        assert -1e-9 <= at <= 1 + 1e-9


def test_heavy_tails_leave_the_middle_room():
    values = 1e6 * np.random.default_rng(0).standard_t(1, 10_000)
    positions = Scale.of(Column("x"), values).positions(values)
    middle = np.quantile(positions, [0.25, 0.75])
    assert middle[1] - middle[0] > 0.04
    assert 0 < Scale.of(Column("x"), values).beyond(values) < 0.06


@pytest.mark.parametrize(("kind", "log"), [("positive", True), ("real", False)])
def test_a_logarithm_is_for_positive_columns_that_reach_far(kind, log):
    values = np.exp(2 * np.random.default_rng(0).normal(size=500))
    assert Scale.of(Column("x", kind), values).log == log
    assert not Scale.of(Column("x", kind), 5 + values / values.max()).log
    with_zeros = np.concatenate([values, np.zeros(100)])
    assert not Scale.of(Column("x", kind, atoms=(0.0,)), with_zeros).log


def test_what_has_no_logarithm_lies_below():
    scale = Scale.of(Column("x", "positive", linear_below=0.1), np.exp(2 * np.random.default_rng(0).normal(size=5000)))
    assert scale.log
    np.testing.assert_array_equal(scale.positions(np.array([0.0, -1.0])), [-np.inf, -np.inf])


def test_rounded_numbers_are_spread_over_their_cells_and_atoms_are_not():
    random = np.random.default_rng(0)
    column = Column("x", step=2.0, atoms=(0.0,))
    values = np.repeat([0.0, 10.0], 1000)
    scale = Scale.of(column, values)
    deviation = scale.values(scale.positions(values, random))
    np.testing.assert_allclose(deviation[:1000], 0.0, atol=1e-9)
    assert deviation[1000:].min() < 9.1
    assert deviation[1000:].max() > 10.9
    assert abs(deviation[1000:] - 10).max() <= 1 + 1e-9


def test_an_angle_at_the_cut_is_spread_to_both_ends():
    scale = Scale.of(Column("a", "circular", lower=0.0, upper=360.0, step=10.0), np.array([0.0, 350.0]))
    positions = scale.positions(np.zeros(500), np.random.default_rng(0))
    assert ((positions >= 0) & (positions <= 1)).all()
    assert 0.3 < (positions > 0.5).mean() < 0.7
    assert [text for _, text in scale.ticks(5)] == ["0", "90", "180", "270", "360"]


def test_levels_that_the_model_does_not_know_have_a_place_of_their_own():
    column = Column("k", "category", levels=("x", "y"))
    assert Scale.of(column, np.array([0.0, 1.0])).labels == ("x", "y")
    scale = Scale.of(column, np.array([0.0, -1.0]))
    assert scale.labels == ("x", "y", "(others)")
    np.testing.assert_allclose(scale.positions(np.array([0.0, 1.0, -1.0])), [1 / 6, 0.5, 5 / 6])


def test_of_many_levels_the_frequent_ones_have_names_that_tell_them_apart():
    column = Column("k", "category", levels=MANY)
    values = np.repeat(np.arange(30.0), np.arange(1, 31))
    scale = Scale.of(column, values)
    assert scale.labels == (*MANY[19:], "(others)")
    texts = [text for _, text in beside(scale, 2.0)]
    assert len(set(texts)) == 12
    assert texts[0] == "…19…"


@pytest.mark.parametrize("inches", [0.6, 1.1, 3.0])
@pytest.mark.parametrize("ends", [(0, 1), (-1e-7, 3e-7), (1.7e9, 1.70001e9), (-123456, 98765432)])
def test_ticks_have_room(inches, ends):
    ticks = below(Scale(Column("x"), low=ends[0], high=ends[1]), inches).ticks
    assert ticks
    for (a, left), (b, right) in pairwise(ticks):
        assert (b - a) * inches * 72 > (width(left, SMALL) + width(right, SMALL)) / 2
