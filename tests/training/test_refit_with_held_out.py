"""What held-out rows are used for when they have nothing to judge any more."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowcli.table.schema import Column
from flowcli.training import SeedEnsemble, Series, SingleFit, Task, refit_with_held_out
from flowcli.training.prepare.row_sets import RowSet
from tests.fits import prepared, rows, run, table

AUTO = ("train.epochs=4", "flow.base.autoregressive_mixture.components=2")


def heaps(count, seed=0):
    """Two Gaussians in three columns, on which no network can improve."""
    random = np.random.default_rng(seed)
    distant = 8.0 * random.integers(2, size=(count, 1))
    return random.normal(size=(count, 3)) @ np.array([[1, 0.5, 0], [0, 1, -0.7], [0, 0, 1]]) + distant


def at_the_start(data, **options):
    """A fit that has not taken a step."""
    fitting = prepared(data, "auto", AUTO, short=(), **options)
    events = fitting.loop.run(lambda: False)
    next(events)
    events.close()
    return fitting


def gaussians(density):
    return density.joint.flow.base.gaussians


def test_a_mixture_that_nothing_improved_on_is_one_of_all_rows():
    fitting = at_the_start(table(heaps(300)))
    density = fitting.density()
    whole = refit_with_held_out(density, fitting.train, fitting.held_out)
    everything = np.concatenate([fitting.train.values, fitting.held_out.values])
    means = [gaussians(each).log_weights.softmax(0) @ gaussians(each).means for each in (density, whole)]
    truth = density.encoder.coordinates.forward(torch.from_numpy(everything))[0].mean(0).float()
    # A mixture that EM has finished with has the mean of its rows.
    torch.testing.assert_close(means[1], truth, atol=2e-4, rtol=0)
    assert (means[0] - truth).abs().max() > 2e-3
    assert whole.log_prob(everything).mean() > density.log_prob(everything).mean()
    assert whole.summary["held_out_nats"] == density.summary["held_out_nats"]  # rows judged by others than themselves
    assert whole.summary["held_out_rows_fitted"]


def test_on_average_that_is_closer_to_new_rows():
    new = heaps(4000, 99)
    gains = []
    for seed in range(8):
        fitting = at_the_start(table(heaps(60, seed)))
        density = fitting.density()
        whole = refit_with_held_out(density, fitting.train, fitting.held_out)
        gains.append(whole.log_prob(new).mean() - density.log_prob(new).mean())
    assert np.mean(gains) > 0.01


def test_what_has_learned_stays_as_it_is():
    fitting = run(prepared(table(rows(3000, 2)), "auto", ("train.epochs=10",), short=()))
    density = fitting.density()
    assert density.summary["best_step"] > 0
    assert refit_with_held_out(density, fitting.train, fitting.held_out) is density


@pytest.mark.parametrize("changes", [("flow.base=normal",), ("flow.base.autoregressive_mixture.start=random",)])
def test_what_em_has_not_started_stays_as_it_is(changes):
    fitting = prepared(table(heaps(200)), "auto", ("train.epochs=1", *changes), short=())
    events = fitting.loop.run(lambda: False)
    next(events)
    events.close()
    density = fitting.density()
    assert refit_with_held_out(density, fitting.train, fitting.held_out) is density


def test_missing_cells_categories_and_weights_have_their_part():
    random = np.random.default_rng(0)
    values = np.column_stack([heaps(400), random.integers(3, size=400)])
    values[random.random(400) < 0.3, 1] = np.nan
    columns = [Column("a"), Column("b", missing=True), Column("c"), Column("d", "category", levels=("x", "y", "z"))]
    fitting = at_the_start(table(values, columns))
    density = fitting.density()
    codes = copy.deepcopy(density.joint.codes.state_dict())
    weighted = [
        replace(row_set, weights=np.where(row_set.values[:, 0] > 4, 1.9, 0.1))
        for row_set in (fitting.train, fitting.held_out)
    ]
    equal, other = (
        refit_with_held_out(density, fitting.train, fitting.held_out),
        refit_with_held_out(density, *weighted),
    )
    both = np.concatenate([fitting.train.values, fitting.held_out.values])
    assert equal.log_prob(both).mean() > density.log_prob(both).mean()
    high = both[both[:, 0] > 4]
    assert other.log_prob(high).mean() > equal.log_prob(high).mean() + 0.1
    assert all(torch.equal(tensor, equal.joint.codes.state_dict()[name]) for name, tensor in codes.items())


@pytest.mark.parametrize("difference", [False, True])
def test_rows_that_somebody_kept_apart_stay_apart(difference):
    data, valid = table(heaps(200)), table(heaps(50, 1))
    series = Series(Task(data, valid=valid if difference else None), SingleFit(at_the_start(data).request))
    events = series.run(lambda: False)
    list(itertools.islice(events, 2))
    events.close()
    density = series.fitting.density()
    assert series.completed(density).summary.get("held_out_rows_fitted", False) == (not difference)
    assert "held_out_rows_fitted" not in density.summary


def test_each_flow_of_an_ensemble_sees_to_itself():
    series = Series(Task(table(heaps(200))), SeedEnsemble(at_the_start(table(heaps(200))).request, 2))
    for _ in series.run(lambda: False):
        pass
    density = series.density()
    whole = series.completed(density)
    assert any("held_out_rows_fitted" in member.summary for member in whole.members)
    for before, after in zip(density.members, whole.members, strict=True):
        assert after.summary.get("held_out_rows_fitted", False) == (before.summary["best_step"] == 0)
    assert whole.summary == {**density.summary, "held_out_rows_fitted": True}
    assert not any("held_out_rows_fitted" in each.summary for each in (density, *density.members))


def test_rows_too_far_out_for_this_fit_do_not_come_back():
    fitting = at_the_start(table(heaps(300)))
    density = fitting.density()
    values = np.concatenate([fitting.held_out.values, [[1e200, 0.0, 0.0], [0.0, -1e15, 0.0]]])
    wild = RowSet.of(values, fitting.encoder)
    tame, spoilt = (refit_with_held_out(density, fitting.train, held) for held in (fitting.held_out, wild))
    assert np.array_equal(tame.log_prob(heaps(50, 1)), spoilt.log_prob(heaps(50, 1)))


def test_weights_of_both_sides_are_in_one_unit():
    """A row of weight two is two rows, whatever its side's other weights are."""
    fitting = at_the_start(table(heaps(300)))
    density = fitting.density()
    train, held = fitting.train.values, fitting.held_out.values
    weighted = [
        RowSet.of(values, fitting.encoder, np.full(len(values), weight))
        for values, weight in ((train, 1.0), (held, 2.0))
    ]
    doubled = [RowSet.of(rows, fitting.encoder) for rows in (train, np.concatenate([held, held]))]
    one, other = (refit_with_held_out(density, *both_sets).log_prob(train) for both_sets in (weighted, doubled))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_what_is_given_still_moves_the_mixture():
    random = np.random.default_rng(0)
    given = random.normal(size=400)
    values = np.column_stack([given, heaps(400) + 3 * given[:, None]])
    columns = [Column("g", given=True), Column("a"), Column("b"), Column("c")]
    fitting = at_the_start(table(values, columns))
    density = fitting.density()
    whole = refit_with_held_out(density, fitting.train, fitting.held_out)
    both = np.concatenate([fitting.train.values, fitting.held_out.values])
    assert whole.log_prob(both).mean() > density.log_prob(both).mean()
    assert torch.equal(gaussians(whole).shift, gaussians(density).shift)
    assert gaussians(whole).shift.abs().max() > 0.2  # three, in units of the columns' spread
