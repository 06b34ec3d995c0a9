"""What is decided before a fit, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowcli import config, training
from flowcli.errors import ConfigError, DataError
from flowcli.table.schema import Column
from flowcli.training.prepare import candidates, loop_factory, resolve, setup
from tests.fits import SHORT, last, prepared, rows, run, table

NONE = "flow.layers.0.marginal=none"


def density_of(fitting):
    return last(run(fitting))


def collinear_rows(count=100):
    cloud = rows(count, 4)
    cloud[:, 2] = 3 * cloud[:, 0] - 0.5 * cloud[:, 1] + 7
    return cloud


def test_collinear_columns_with_noise():
    values = collinear_rows()
    said = []
    fitting = prepared(table(values), notice=said.append)
    assert any("'c0', 'c1', 'c2'" in line for line in said)
    assert np.isfinite(density_of(fitting).log_prob(values)).all()


def test_noise_stays_in_the_support():
    values = np.abs(rows(100, 1)) + 1e-6
    values[0] = 1e-9
    values = np.column_stack([values, 2 * values])
    columns = [Column("a", "positive"), Column("b", "bounded", lower=0.0, upper=100.0)]
    fitting = prepared(table(values, columns))
    assert (fitting.train.values > 0).all()
    assert len(fitting.train) + len(fitting.held_out) == 100


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e200])
def test_collinear_at_any_scale(scale):
    values = rows(100, 2)
    said = []
    prepared(table(np.column_stack([values[:, 0] * scale, values[:, 0] + 1e3, values[:, 1]])), notice=said.append)
    assert any("'c0', 'c1' are linear functions" in line for line in said)


def test_outliers_in_the_same_row_are_not_collinear():
    values = rows(100, 3)
    values[5] = [1e30, 2e30, -1e29]
    prepared(table(values))


def test_an_outlier_does_not_hide_collinear_columns():
    values = collinear_rows()
    values[7, 3] = 1e30
    said = []
    prepared(table(values), notice=said.append)
    assert any("'c0', 'c1', 'c2' are linear functions" in line for line in said)


def test_nearly_collinear_is_fine():
    values = rows(100, 2)
    values[:, 1] = values[:, 0] + 1e-3 * values[:, 1]
    prepared(table(values))


def test_constants_are_not_collinear():
    values = np.column_stack([np.ones(100), rows(100, 2), np.full(100, 2.0)])
    columns = [Column("a", "constant", value=1.0), Column("b"), Column("c"), Column("d", "constant", value=2.0)]
    assert len(prepared(table(values, columns)).encoder.coordinates) == 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_rows(count):
    with pytest.raises(DataError, match="too few"):
        prepared(table(rows(count, 3)))
    with pytest.raises(DataError, match="too few"):
        prepared(table(rows(min(count, 2), 1)))


@pytest.mark.parametrize("name", ["auto", "mixture", "nsf", "realnvp", "gaussianization", "maf-mixture", "glow"])
@pytest.mark.parametrize("count", [3, 5])
def test_a_few_rows_are_fitted_with_a_warning(name, count):
    said = []
    changes = ["flow.base.autoregressive_mixture.components=1"] if name == "maf-mixture" else []
    fitting = prepared(table(rows(count, 1)), name, changes, notice=said.append)
    assert any("only" in line for line in said)
    density = density_of(fitting)
    assert np.isfinite(density.log_prob(rows(count, 1))).all()
    assert np.isfinite(density.sample(20, seed=0)).all()


def test_all_constant():
    columns = [Column("a", "constant", value=1.0), Column("b", "constant", value=2.0)]
    with pytest.raises(DataError, match="constant"):
        prepared(table(np.tile([1.0, 2.0], (20, 1)), columns))
    with pytest.raises(DataError, match="constant"):
        prepared(table(np.ones((1, 1)), columns[:1]))


def test_equal_rows_alone():
    with pytest.raises(DataError, match="fewer than two different rows"):
        prepared(table(np.ones((20, 1))))


def test_held_out_rows_may_be_given():
    given = rows(30, 2, seed=9)
    fitting = prepared(table(rows(100, 2)), valid=table(given))
    assert np.array_equal(fitting.held_out.values, given)
    assert len(fitting.train) == 100


def test_impossible_held_out_rows_are_refused():
    columns = [Column("a", "constant", value=1.0), Column("b", "positive")]
    values = np.column_stack([np.ones(50), np.exp(rows(50, 1))])
    for bad in ([2.0, 1.0], [1.0, -1.0]):
        given = np.concatenate([values[:3], [bad]])
        with pytest.raises(DataError, match="row 4"):
            prepared(table(values, columns), valid=table(given, columns))


def test_copies_are_said():
    said = []
    once = rows(100, 1)
    prepared(table(np.concatenate([once, once])), notice=said.append)
    assert any("copies" in line for line in said)


def test_more_components_than_rows():
    with pytest.raises(ConfigError, match="components"):
        prepared(table(rows(20, 2)), "mixture", ["flow.base.mixture.components=50"])


@pytest.mark.parametrize("distant", [1e30, 1e200, -1e300])
@pytest.mark.parametrize(
    ("name", "row"), [*(("mixture", row) for row in range(12)), ("auto", 0), ("nsf", 0), ("realnvp", 0)]
)
def test_one_outlier_is_fine(name, distant, row):
    values = rows(60, 2)
    values[row, 1] = distant
    fitting = prepared(table(values), name)
    density = density_of(fitting)
    log_prob = density.log_prob(values)
    others = np.delete(log_prob, row)
    assert np.isfinite(others).all()
    assert not np.isnan(log_prob[row])
    assert log_prob[row] < others.min()
    assert np.median(others) > -10
    if density.coordinates.marginal is not None:
        assert np.isfinite(log_prob[row])


def test_an_outlier_without_a_quantile_map_is_left_out_and_said():
    values = rows(60, 2)
    values[3, 0] = 1e30
    said = []
    fitting = prepared(table(values), "nsf", [NONE], notice=said.append)
    assert any("left out" in line for line in said)
    assert len(fitting.train) + len(fitting.held_out) == 59


@pytest.mark.parametrize("choice", ["none", "quantile"])
def test_the_quantile_map_is_a_choice(choice):
    fitting = prepared(table(rows(60, 2)), "nsf", [f"flow.layers.0.marginal={choice}"])
    assert (fitting.encoder.coordinates.marginal is not None) == (choice == "quantile")
    assert fitting.config.flow.layers[0].marginal == choice


def test_nothing_is_left_to_auto():
    fitting = prepared(table(rows(60, 2)), "auto")
    assert "'auto'" not in str(fitting.config.to_json())
    assert fitting.request != fitting.config


def test_many_columns():
    fitting = prepared(table(rows(260, 200)), "realnvp")
    assert np.isfinite(density_of(fitting).log_prob(rows(20, 200))).all()


def test_a_mixture_that_is_fitted_again_has_no_gate_of_the_one_before():
    """Layers that do not start at the identity see other components, which the codes say nothing about yet."""
    random = np.random.default_rng(1)
    kind = random.integers(6, size=2000)
    cloud = rows(2000, 2) + 3 * np.cos(kind)[:, None]
    columns = [Column("kind", "category", levels=tuple("abcdef")), Column("x"), Column("y")]
    fitting = prepared(table(np.column_stack([kind, cloud]), columns), "glow", ["flow.base={mixture: {}}"])
    gaussians = fitting.loop.density.flow.base.gaussians
    assert (gaussians.gate == 0).all()


def test_heavy_tails_bring_no_row_back_that_was_left_out():
    """What a fit goes on with is what it began with: the map of tails must not be asked first."""
    random = np.random.default_rng(1)
    values = random.standard_t(2, size=(2000, 2))
    values[7, 0], values[8, 1] = 1e11, -1e12
    data = table(values)
    request = config.load("nsf", [*SHORT, NONE])
    fitting = prepared(data, "nsf", [NONE])
    assert fitting.encoder.coordinates.tails is not None
    document, tensors = fitting.state()
    again = training.resume(document, tensors, fitting.encoder, data, request, seed=0, notice=lambda _: None)
    assert len(again.train) == len(fitting.train) < 1800
    assert len(again.held_out) == len(fitting.held_out)


def checkerboard():
    random = np.random.default_rng(0)
    row = random.integers(4, size=6000)
    return np.column_stack([2 * random.integers(2, size=6000) + row % 2, row]) + random.random((6000, 2))


def test_where_mixtures_cannot_tell_a_few_steps_do(monkeypatch):
    """A checkerboard, whose mixtures are against a quantile map, though not by much."""
    monkeypatch.setattr(resolve, "TRIAL_STEPS", 40)
    reached = {}

    def watched(start_candidates, begin, notice, time_limit, best=candidates.best):
        def noted(candidate):
            begun = begin(candidate)
            reached[candidate.encoder.coordinates.marginal is not None] = begun.loop
            return begun

        return best(start_candidates, noted, notice, time_limit)

    monkeypatch.setattr(setup, "best", watched)
    squares, said = checkerboard(), []
    fitting = prepared(table(squares), "auto", ["train.epochs=20"], short=(), notice=said.append)
    assert any("a few steps of each" in line for line in said)
    assert {loop.step for loop in reached.values()} == {42}  # an evaluation is due then
    better = reached[True].best_nats > reached[False].best_nats
    assert (fitting.encoder.coordinates.marginal is not None) == better
    assert fitting.loop is reached[better]  # nothing that it learned is lost
    assert (fitting.config.train.epochs, fitting.loop.settings.steps, fitting.loop.outcome) == (20, 840, "running")
    assert fitting.loop.seconds > reached[not better].seconds > 0  # the time limit counts both
    again = prepared(table(squares), "auto", ["train.epochs=20"], short=())
    first, second = (each.loop.density.state_dict() for each in (fitting, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    prepared(table(squares), "auto", ["train.epochs=20"], short=(), time_limit=1e-3)
    assert all(loop.step < 42 for loop in reached.values())
    said.clear()
    prepared(table(squares), "auto", ["train.epochs=2"], short=(), notice=said.append)
    assert not any("a few steps of each" in line for line in said)


def test_who_has_beaten_the_one_before_need_not_go_on():
    whole, fitting = (prepared(table(rows(2000, 2))) for _ in range(2))
    levels = [evaluation.held_out_nats for evaluation in whole.loop.run(lambda: False)]
    to_beat = (levels[0] + max(levels)) / 2
    fit = candidates.PreparedFit(None, fitting.encoder, fitting.loop, fitting.train, fitting.held_out)
    candidates._tried(fit, None, to_beat)
    assert 0 < fitting.loop.step < whole.loop.step
    *before, last_level = [evaluation.held_out_nats for evaluation in fitting.loop.history]
    assert max(before) <= to_beat < last_level


def test_a_fit_that_had_a_trial_can_be_compiled_or_resumed_and_goes_on_from_there(monkeypatch):
    """What is compiled is another loop, with the same weights, history and state of the optimizer."""
    monkeypatch.setattr(resolve, "TRIAL_STEPS", 40)
    # What torch's compiler does takes long and is tested elsewhere.
    monkeypatch.setattr(loop_factory, "compiled", lambda density, rows, notice: density.log_prob)
    data = table(checkerboard())
    plain, compiled = (
        prepared(data, "auto", ["train.epochs=10"], short=(), compile=compile) for compile in (False, True)
    )
    again = training.resume(*plain.state(), plain.encoder, data, plain.request, seed=0, notice=lambda _: None)
    for other in (compiled, again):
        assert other.loop.step == plain.loop.step == 42
        assert [e.held_out_nats for e in other.loop.history] == [e.held_out_nats for e in plain.loop.history]
        (_, first), (_, second) = (each.loop.state() for each in (plain, other))
        assert all(torch.equal(first[name], second[name]) for name in first if name.startswith(("now", "optimizer")))
    ends = [run(each).density().log_prob(checkerboard()) for each in (plain, again)]
    assert np.array_equal(*ends)


def test_a_time_limit_cuts_trials_short_but_what_they_learned_still_decides(monkeypatch):
    monkeypatch.setattr(resolve, "TRIAL_STEPS", 10**6)
    monkeypatch.setattr(resolve, "SHARE_OF_TRIAL", 0.2)
    monkeypatch.setattr(resolve, "long_enough", lambda train, rows: True)
    changes = ["train.epochs=4000", "train.batch_size=5000"]  # evaluations are farther apart than a trial lasts
    fitting = prepared(table(checkerboard()), "auto", changes, short=(), time_limit=2.0)
    steps = [evaluation.step for evaluation in fitting.loop.history]
    assert steps[0] == 0
    assert steps[-1] == fitting.loop.step > 0
    assert 0 < fitting.loop.seconds < 2.0


def test_where_columns_are_many_small_networks_are_tried_and_kept_where_they_are_better(monkeypatch):
    monkeypatch.setattr(resolve, "TRIAL_STEPS", 150)
    monkeypatch.setattr(resolve, "UNCLEAR", 0.0)  # one way over mixtures alone
    random = np.random.default_rng(0)
    chain = [random.normal(size=3000)]
    for _ in range(resolve.WIDE - 1):
        chain.append(np.cos(2 * chain[-1]) + 0.2 * random.normal(size=3000))
    heaps = random.normal(size=(3000, 32)) @ random.normal(size=(32, 32)) + 4 * random.integers(0, 2, size=(3000, 1))
    for values, parents in ((np.stack(chain, 1), resolve.PARENTS), (heaps, None)):
        said = []
        fitting = prepared(table(values), "auto", [], short=(), notice=said.append)
        assert any("a few steps of each" in line for line in said)
        layer = fitting.config.to_json()["flow"]["layers"][-1]
        assert layer.get("autoregressive", {}).get("net", {}).get("parents") == parents
        assert (parents is None) == ("autoregressive_mixture" in fitting.config.to_json()["flow"]["base"])
