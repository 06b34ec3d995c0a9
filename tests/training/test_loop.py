"""The loop: the same numbers whatever interrupts it, and a way back from bad ones."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from flowcli import config
from flowcli.errors import ModelFileError, NumericsError, UsageError
from flowcli.model.files.state_file import load_state, save_state
from flowcli.table.schema import Column
from flowcli.training import Evaluation, Setback, resume
from flowcli.training.loop.ema import EMA
from flowcli.training.loop.schedule import rate_factor
from tests.fits import SHORT, prepared, rows, table

NET = "flow.layers.1.layers.1.autoregressive.net"
TINY = [
    f"{NET}.hidden=[6, 6]",
    "flow.layers.1.repeat=1",
    "flow.layers.1.layers.1.autoregressive.transform.spline.bins=3",
]
# Everything that has a state or draws random numbers.
ROUGH = [*TINY, f"{NET}.dropout=0.3", "train.noise=0.05", "train.average=0.8", "train.weight_decay=0.1"]
CASES = {
    "cosine": [*ROUGH, "train.schedule=cosine", "train.warmup=5"],
    "plateau": [*ROUGH, "train.schedule=plateau", "train.patience=6", "train.learning_rate=0.2"],
    "constant": [*ROUGH, "train.schedule=constant", "train.average=0"],
}


def data(count=60):
    cloud = rows(count, 2)
    return table(np.column_stack([np.round(2 * cloud[:, 0]), cloud[:, 1]]), [Column("n", step=1.0), Column("x")])


def start(case="cosine", changes=(), **options):
    changes = [*CASES[case], "train.epochs=12", "train.batch_size=16", *changes]
    fitting = prepared(data(), "nsf", changes, **options)
    return fitting, changes


def evaluate_every(fitting, steps):
    fitting.loop.settings = dataclasses.replace(fitting.loop.settings, evaluate_every=steps)
    return fitting


def run(fitting, stop_at=None, time_limit=None):
    """The events until the end, or until the step at which somebody asks to stop."""
    return list(fitting.loop.run(lambda: fitting.loop.step == stop_at, time_limit))


def figures(fitting):
    """The history without what a clock measured."""
    return [
        {k: None if v != v else v for k, v in vars(e).items() if k not in ("seconds", "rows_per_second")}
        for e in fitting.loop.history
    ]


def weights(fitting):
    document, tensors = fitting.loop.state()
    kept = ("step", "halvings", "setbacks", "since_best", "loss_count", "learning_rate", "log_det_sum")
    return {k: document[k] for k in kept}, tensors


def assert_same(one, other):
    (plain, tensors), (other_plain, other_tensors) = weights(one), weights(other)
    assert plain == other_plain
    assert tensors.keys() == other_tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, other_tensors[name]), name
    assert figures(one) == figures(other)
    assert one.loop.outcome == other.loop.outcome


def taken_up(state, fitting, changes, every):
    """A fit that goes on from a state in a process that knows nothing else."""
    document, tensors = state
    again = resume(
        json.loads(json.dumps(document, allow_nan=False)),
        {name: tensor.clone() for name, tensor in tensors.items()},
        fitting.encoder,
        data(),
        config.load("nsf", [*SHORT, *changes]),
        seed=0,
        notice=lambda line: None,
    )
    return evaluate_every(again, every)


@pytest.fixture(params=CASES)
def case(request):
    return request.param


def test_resumed_after_any_step_it_ends_with_the_same_bits(case):
    whole, changes = start(case)
    evaluate_every(whole, 5)
    run(whole)
    steps = whole.loop.step
    assert steps > 15
    walk, _ = start(case)
    evaluate_every(walk, 5)
    for step in range(steps):
        run(walk, stop_at=step)
        assert walk.loop.step == step
        assert walk.loop.outcome == "interrupted"
        torch.manual_seed(step)  # whatever the process did in between
        walk = taken_up(walk.state(), walk, changes, 5)
    run(walk)
    assert_same(walk, whole)
    for step in (0, 1, 4, 5, 6, steps - 1):
        once, _ = start(case)
        run(evaluate_every(once, 5), stop_at=step)
        once = taken_up(once.state(), once, changes, 5)
        run(once)
        assert_same(once, whole)


def test_resumed_before_and_after_an_evaluation(case):
    whole, changes = start(case)
    evaluate_every(whole, 5)
    run(whole)
    # After an evaluation the command line saves between two events; before one, when a signal is late.
    for after in (0, 1, 2):
        part, _ = start(case)
        events = evaluate_every(part, 5).loop.run(lambda: False)
        for _ in range(after + 1):
            next(events)
        part = taken_up(part.state(), part, changes, 5)
        run(part)
        assert_same(part, whole)
    part, _ = start(case)
    run(evaluate_every(part, 5), stop_at=4)
    with torch.random.fork_rng():
        part.loop._take_step(part.loop._progress(None))
    assert part.loop._due(None)
    part = taken_up(part.state(), part, changes, 5)
    run(part)
    assert_same(part, whole)


def test_resumed_from_a_file(case, tmp_path):
    whole, changes = start(case)
    evaluate_every(whole, 5)
    run(whole)
    part, _ = start(case)
    run(evaluate_every(part, 5), stop_at=7)
    save_state(part.state(), part.encoder, tmp_path / "state")
    document, tensors, encoder = load_state(tmp_path / "state")
    part.encoder = encoder
    part = taken_up((document, tensors), part, changes, 5)
    run(part)
    assert_same(part, whole)
    assert np.array_equal(part.density().log_prob(data().values), whole.density().log_prob(data().values))


def test_a_state_is_a_copy():
    fitting, _ = start()
    run(evaluate_every(fitting, 5), stop_at=3)
    _, tensors = fitting.state()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    run(fitting)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors.items())


def test_only_the_same_fit_is_resumed():
    fitting, changes = start()
    run(fitting, stop_at=3)
    document, tensors = fitting.state()

    def again(document=document, rows=None, changes=changes, seed=0):
        request = config.load("nsf", [*SHORT, *changes])
        return resume(document, tensors, fitting.encoder, rows or data(), request, seed=seed, notice=lambda line: None)

    again()
    with pytest.raises(UsageError, match="seed"):
        again(seed=1)
    with pytest.raises(UsageError, match="rows"):
        again(rows=data(61))
    with pytest.raises(UsageError, match="config"):
        again(changes=[*changes, "train.noise=0.1"])
    with pytest.raises(UsageError, match="columns"):
        again(rows=table(data().values, [Column("m", step=1.0), Column("x")]))
    with pytest.raises(UsageError, match="column kinds"):
        again(rows=table(data().values, [Column("n"), Column("x")]))
    loop = document["loop"]
    for damaged in ({"step": 3}, {**loop, "history": [{}]}):
        with pytest.raises(ModelFileError):
            again({**document, "loop": damaged})
    del tensors["loss_sum"]
    with pytest.raises(ModelFileError):
        again()


# --- bad numbers ------------------------------------------------------------------------------------------------------


def poisoned(fitting, steps):
    """Spoil the gradient at these steps, counted over all steps taken."""
    taken = []

    def spoil(gradient):
        return gradient * math.nan if len(taken) - 1 in steps else gradient

    take_step = fitting.loop._take_step

    def counted(progress):
        taken.append(fitting.loop.step)
        take_step(progress)

    fitting.loop._take_step = counted
    next(p for p in fitting.loop.density.parameters() if p.requires_grad).register_hook(spoil)
    return taken


@pytest.mark.parametrize("bad", [0, 6, 9])
def test_one_bad_gradient_costs_half_of_the_rate(case, bad):
    fitting, _ = start(case)
    evaluate_every(fitting, 5)
    taken = poisoned(fitting, {bad})
    events = run(fitting)
    (setback,) = [event for event in events if isinstance(event, Setback)]
    back = bad // 5 * 5
    assert (setback.step, setback.back_to) == (back + 5, back)
    assert setback.learning_rate <= fitting.loop.settings.learning_rate / 2
    assert taken[back : back + 10] == [*range(back, back + 5)] * 2
    assert fitting.loop.outcome != "running"
    assert all(math.isfinite(event.held_out_nats) for event in events if isinstance(event, Evaluation))
    assert all(tensor.isfinite().all() for tensor in fitting.loop.best.state_dict().values())
    assert fitting.loop._setbacks == 1
    if case != "plateau":
        assert fitting.loop._halvings == 1


def test_bad_gradients_for_ever_end_the_fit_with_the_best_kept():
    fitting, _ = start()
    evaluate_every(fitting, 5)
    poisoned(fitting, range(7, 1000))
    with pytest.raises(NumericsError, match="diverged"):
        run(fitting)
    assert [e.step for e in fitting.loop.history] == [0, 5]
    density = fitting.density()
    assert np.isfinite(density.log_prob(data().values)).all()


def test_each_setback_is_told():
    fitting, _ = start()
    evaluate_every(fitting, 5)
    poisoned(fitting, range(7, 1000))
    seen = []

    def see():
        for event in fitting.loop.run(lambda: False):
            seen.append(event)

    with pytest.raises(NumericsError):
        see()
    rate = fitting.loop.settings.learning_rate
    assert [e.learning_rate for e in seen if isinstance(e, Setback)] == [rate / 2, rate / 4, rate / 8]


def test_stopped_with_bad_numbers_on_board_it_goes_back_after_resuming_as_well():
    changes = start()[1]

    def broken():
        fitting, _ = start()
        evaluate_every(fitting, 5)
        poisoned(fitting, {6})
        return fitting

    whole = broken()
    run(whole)
    part = broken()
    run(part, stop_at=8)
    state = part.state()
    part = taken_up(state, part, changes, 5)
    events = run(part)
    assert [type(e) for e in events][:1] == [Setback]
    assert_same(part, whole)


def test_no_start_is_no_fit():
    fitting, _ = start()
    fitting.loop._held_out_log_det[0] = -math.inf
    with pytest.raises(NumericsError, match="held-out"):
        next(fitting.loop.run(lambda: False))


# --- endings ----------------------------------------------------------------------------------------------------------


def test_it_stops_early_when_patience_ends():
    fitting, changes = start(
        changes=["train.patience=3", "train.learning_rate=0.5", "train.schedule=constant", "train.epochs=90"]
    )
    evaluate_every(fitting, 4)
    run(fitting)
    assert fitting.loop.outcome == "stopped early"
    best = max(fitting.loop.history, key=lambda e: e.held_out_nats)
    assert fitting.loop.step == best.step + 3 * 4
    assert best.best
    part, _ = start(
        changes=["train.patience=3", "train.learning_rate=0.5", "train.schedule=constant", "train.epochs=90"]
    )
    run(evaluate_every(part, 4), stop_at=fitting.loop.step - 1)
    part = taken_up(part.state(), part, changes, 4)
    run(part)
    assert_same(part, fitting)


def test_patience_of_zero_never_stops():
    fitting, _ = start(changes=["train.patience=0", "train.learning_rate=0.5", "train.schedule=constant"])
    run(evaluate_every(fitting, 2))
    assert fitting.loop.outcome == "finished"
    assert fitting.loop.step == fitting.loop.settings.steps


def test_a_time_limit_ends_the_fit_with_a_rate_near_zero():
    fitting, _ = start(changes=["train.epochs=1000000", "train.warmup=0", "train.patience=0"])
    events = run(evaluate_every(fitting, 10), time_limit=0.7)
    assert fitting.loop.outcome == "out of time"
    assert 0.7 <= fitting.loop.seconds < 1.5
    rates = [e.learning_rate for e in events]
    assert rates[-1] < 0.05 * fitting.loop.settings.learning_rate
    assert all(later <= sooner for sooner, later in itertools.pairwise(rates[1:]))
    assert events[-1].step == fitting.loop.step


def test_no_epochs_leave_the_start():
    fitting, _ = start(changes=["train.epochs=0"])
    before = copy.deepcopy(fitting.loop.density.state_dict())
    (event,) = run(fitting)
    assert fitting.loop.outcome == "finished"
    assert event.step == 0
    density = fitting.density()
    assert all(torch.equal(tensor, before[name]) for name, tensor in density.joint.state_dict().items())
    assert density.summary["best_step"] == 0


def test_the_best_averaged_weights_are_copied():
    fitting, _ = start()
    evaluate_every(fitting, 5)
    events = fitting.loop.run(lambda: False)
    kept = None
    for event in events:
        if event.best:
            kept = copy.deepcopy(fitting.loop.average.density.state_dict())
        if event.step >= 20:
            break
    density = fitting.density()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in density.joint.state_dict().items())
    log_prob = density.log_prob(data().values)
    list(events)
    assert np.array_equal(log_prob, density.log_prob(data().values))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in density.joint.state_dict().items())


def test_what_few_held_out_rows_gain_by_chance_is_not_believed():
    lucky = believed = 0
    for seed in range(8):
        cloud = np.random.default_rng(seed).normal(size=(60, 2))
        fitting = prepared(table(cloud), "maf-mixture", ["train.epochs=20", "train.batch_size=16"], seed=seed)
        list(evaluate_every(fitting, 5).loop.run(lambda: False))
        first, *others = fitting.loop.history
        lucky += max(e.held_out_nats for e in others) > first.held_out_nats
        believed += fitting.density().summary["best_step"] > 0
    assert lucky >= 3  # of six held-out rows, some evaluation is better by chance
    assert believed <= 1


def test_held_out_nats_are_those_of_the_density():
    fitting = prepared(table(rows(80, 2)), "nsf", TINY)
    list(fitting.loop.run(lambda: False))
    best = [e for e in fitting.loop.history if e.best][-1]
    nats = fitting.density().log_prob(fitting.held_out.values)
    assert best.held_out_nats == pytest.approx(nats.mean(), abs=1e-5)
    assert best.held_out_error == pytest.approx(nats.std(ddof=1) / math.sqrt(len(nats)), rel=1e-4)
    assert fitting.density().summary["held_out_nats"] == pytest.approx(nats.mean(), abs=1e-12)


def test_train_nats_are_in_the_units_of_the_table():
    values = 1000 * rows(200, 2)
    fitting = prepared(table(values), "nsf", [*TINY, "train.learning_rate=1e-9", "train.average=0"])
    list(fitting.loop.run(lambda: False))
    of_all = fitting.density().log_prob(fitting.train.values).mean()
    assert fitting.loop.history[-1].train_nats == pytest.approx(of_all, abs=0.1)


def test_training_leaves_the_random_state_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    fitting, _ = start()
    for _ in fitting.loop.run(lambda: False):
        assert torch.equal(before, torch.random.get_rng_state())
    fitting.density().sample(3, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


@pytest.mark.parametrize("name", ["auto", "gaussianization", "maf-mixture", "nsf-coupling"])
def test_a_seed_is_a_result(name):
    def weights(seed):
        torch.rand(seed + 3)
        fitting = prepared(data(), name, seed=seed)
        list(fitting.loop.run(lambda: False))
        return fitting.density().log_prob(data().values)

    one = weights(0)
    assert np.array_equal(one, weights(0))
    assert not np.array_equal(one, weights(1))


# --- parts ------------------------------------------------------------------------------------------------------------


def test_rows_are_shuffled_and_spread_afresh_in_each_epoch():
    fitting, _ = start()
    source = fitting.loop.rows
    first, second = source.epoch(0).clone(), source.epoch(1).clone()
    assert not torch.equal(first, second)
    assert not torch.equal(first.sort(0).values[:, 0], second.sort(0).values[:, 0])  # rounded: spread anew
    assert torch.equal(first.sort(0).values[:, 1], second.sort(0).values[:, 1])  # not rounded: the same values
    assert torch.equal(first, source.epoch(0))
    assert first.dtype == torch.float32


def test_the_rate():
    def rate(kind, step, progress=0.0, halvings=0):
        return rate_factor(kind, step=step, warmup=9, progress=progress, halvings=halvings)

    assert rate("constant", 0) == pytest.approx(0.1)
    assert rate("constant", 9) == rate("constant", 1000) == 1
    assert rate("cosine", 1000, 0.5) == pytest.approx(0.5)
    assert rate("cosine", 1000, 1.0) == rate("cosine", 1000, 2.0) == pytest.approx(0)
    assert rate("plateau", 1000, 0.9, halvings=2) == 0.25


def test_the_average_is_that_of_all_weights_so_far():
    fitting, _ = start()
    flow = fitting.loop.density
    average = EMA(flow, 0.5)
    name, parameter = next(iter(flow.named_parameters()))
    expected = parameter.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            parameter.add_(1.0)
        average.update(step)
        keep = min(0.5, step / (10 + step))
        expected = keep * expected + (1 - keep) * parameter.detach()
    torch.testing.assert_close(average.density.get_parameter(name), expected)
