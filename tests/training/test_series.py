"""Several fits of one table, one after the other: the same to the bit however often they are interrupted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from flowcli import config
from flowcli.errors import ConfigError, ModelFileError, NumericsError, UsageError
from flowcli.model import Ensemble
from flowcli.training import (
    Begun,
    Candidate,
    Ended,
    Evaluation,
    SeedEnsemble,
    Series,
    SingleFit,
    SuccessiveHalving,
    Task,
)
from flowcli.training.series import series as series_room
from flowcli.training.series.halving import CUT, FIELD, SHORTEST, shares
from flowcli.training.series.series import Finished
from tests.fits import SHORT, prepared, rows, table
from tests.fits import run as run_fit

SMALL = (*SHORT, "flow.layers.1.repeat=1", "flow.layers.1.layers.1.autoregressive.net.hidden=[8, 8]")
NSF = config.load("nsf", SMALL)
NEW = rows(40, 2, 9)


def data():
    return table(rows(150, 2))


def run(series, stop_at=None):
    """The events until the end, or until the running fit's step of a fit's number."""

    def stop():
        return (len(series.finished), series.fitting.loop.step) == stop_at

    return list(series.run(stop))


def again(series, plan, task=None):
    """The series in a process that knows nothing but what was saved."""
    document, tensors = series.state()
    document = json.loads(json.dumps(document, allow_nan=False))
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    return Series(task or Task(data()), plan, (document, tensors), series.fitting.encoder)


def test_one_fit_is_the_fit_itself():
    series = Series(Task(data(), seed=3), SingleFit(NSF, 3))
    events = run(series)
    alone = run_fit(prepared(data(), "nsf", SMALL, short=(), seed=3))
    assert np.array_equal(series.density().log_prob(NEW), alone.density().log_prob(NEW))
    assert isinstance(events[0], Begun)
    assert isinstance(events[-1], Ended)
    assert all(isinstance(event, Evaluation) for event in events[1:-1])


def test_an_ensemble_is_of_the_seeds_fits_with_one_held_out_part():
    series = Series(Task(data(), seed=5), SeedEnsemble(NSF, 3, 5))
    run(series)
    whole = series.density()
    assert isinstance(whole, Ensemble)
    for seed, member in zip((5, 6, 7), whole.members, strict=True):
        alone = run_fit(prepared(data(), "nsf", SMALL, short=(), seed=seed, held_out_seed=5)).density()
        assert np.array_equal(member.log_prob(NEW), alone.log_prob(NEW))
    held_out = series.fitting.held_out.values
    assert whole.summary["held_out_nats"] == pytest.approx(whole.log_prob(held_out).mean())
    assert whole.summary["held_out_nats"] >= np.mean([member.summary["held_out_nats"] for member in whole.members])


@pytest.mark.parametrize("stop_at", [(0, 0), (0, 3), (1, 0), (1, 5), (2, 7)])
def test_an_ensemble_goes_on_where_it_stopped(stop_at):
    plan = SeedEnsemble(NSF, 3)
    whole = Series(Task(data()), plan)
    run(whole)
    part = Series(Task(data()), plan)
    run(part, stop_at)
    assert part.outcome == "interrupted"
    part = again(part, plan)
    run(part)
    assert np.array_equal(part.density().log_prob(NEW), whole.density().log_prob(NEW))
    assert len(part.density().members) == 3


def test_only_the_same_series_goes_on():
    part = Series(Task(data()), SeedEnsemble(NSF, 3))
    run(part, (1, 2))
    with pytest.raises(UsageError, match="it was ensemble 3, now it is ensemble 2"):
        again(part, SeedEnsemble(NSF, 2))
    with pytest.raises(UsageError, match="config"):
        again(part, SeedEnsemble(config.load("nsf", [*SMALL, "train.clip=1"]), 3))
    with pytest.raises(UsageError, match="rows"):
        again(part, SeedEnsemble(NSF, 3), Task(table(rows(150, 2, 8))))


def test_a_damaged_series_is_refused():
    part = Series(Task(data()), SeedEnsemble(NSF, 2))
    run(part, (1, 2))
    document, tensors = part.state()
    for edit in (
        lambda d: d["series"].pop("finished"),
        lambda d: d["series"]["finished"][0].pop("nats"),
        lambda d: d["series"]["kept"]["0"].pop("config"),
        lambda d: d["series"].update(kept=3),
    ):
        broken = json.loads(json.dumps(document))
        edit(broken)
        with pytest.raises(ModelFileError, match="--force"):
            Series(Task(data()), SeedEnsemble(NSF, 2), (broken, tensors), part.fitting.encoder)
    fewer = {name: tensor for name, tensor in tensors.items() if name != "kept.0.coordinates.scale"}
    with pytest.raises(ModelFileError, match="--force"):
        Series(Task(data()), SeedEnsemble(NSF, 2), (document, fewer), part.fitting.encoder)


def test_what_is_left_of_the_time_is_shared():
    plan = SeedEnsemble(NSF, 4, 0, 100.0)
    one = Finished("", 0, -1.0, 0.1, 40.0, 10, "finished")
    assert plan.next([]).seconds == 25.0
    assert plan.next([one]).seconds == pytest.approx(20.0)
    assert plan.next([one, replace(one, seconds=70.0)]).seconds > 0


def test_a_flow_that_diverges_leaves_those_before_it(monkeypatch):
    series = Series(Task(data()), SeedEnsemble(NSF, 3))
    whole = series_room.Fitting.density

    def run_until(second):
        for event in series.run(lambda: False):
            if isinstance(event, Begun) and event.number == second:
                series.fitting.loop._held_out_log_det[0] = -math.inf

    with pytest.raises(NumericsError):
        run_until(2)
    monkeypatch.setattr(series_room.Fitting, "density", whole)
    result = series.density()
    assert isinstance(result, Ensemble)
    assert len(result.members) == 1
    assert np.isfinite(result.log_prob(NEW)).all()


# --- a choice within a given time -------------------------------------------------------------------------------------


def plan(seconds=100.0, field=FIELD, members=1):
    return SuccessiveHalving(lambda candidate: NSF, Candidate("auto", config="auto"), tuple(field), seconds, members)


def played(choice, nats, long=10.0, most=1000):
    """The trials of a choice in which a fit needs so many seconds for an end of its own."""
    finished = []
    while (trial := choice.next(finished)) is not None:
        assert trial.seconds >= SHORTEST
        took = min(trial.seconds, long)
        outcome = CUT if took < long else "finished"
        value = nats(trial.name)
        failed = value is None
        finished.append(Finished(trial.name, trial.round, value, None, took, 0, "it failed" if failed else outcome))
        assert len(finished) < most
    return finished


def test_the_first_trial_is_a_plain_fit_and_has_all_the_time():
    first = plan(77.0).next([])
    assert (first.name, first.seconds, first.round) == ("auto", 77.0, 0)


@pytest.mark.parametrize("seconds", [5.0, 12.0, 50.0, 100.0, 1000.0])
def test_the_time_is_never_exceeded(seconds):
    finished = played(plan(seconds), lambda name: -float(len(name)), long=10.0)
    assert sum(each.seconds for each in finished) <= seconds + 1e-6


def test_rounds_grow_longer_and_fewer():
    finished = played(plan(1000.0), lambda name: -float(len(name)), long=300.0)
    rounds = {}
    for each in finished[1:]:
        rounds.setdefault(each.round, []).append(each)
    first, second = rounds[1], rounds[2]
    assert len(first) > len(second) >= len(first) // 3
    assert min(each.seconds for each in second) > 2 * max(each.seconds for each in first)
    best = sorted(first, key=lambda each: -each.nats)[: len(second)]
    assert {each.name for each in second} == {each.name for each in best}
    assert sum(each.seconds for each in finished) > 0.9 * 1000


def test_a_fit_that_came_to_its_end_is_not_repeated():
    finished = played(plan(1000.0), lambda name: -float(len(name)), long=SHORTEST)
    names = [each.name for each in finished]
    assert len(names) == len(set(names))


def test_later_brackets_change_the_best_further():
    finished = played(plan(2000.0), lambda name: 1.0 if "16 bins" in name else 0.0, long=10.0)
    combined = [each.name for each in finished if ", " in each.name]
    assert combined
    assert all("16 bins" in name for name in combined[:5])
    parts = [frozenset(name.split(", ")) for name in combined]
    assert len(parts) == len(set(parts))
    assert not any({"no quantile map", "quantile map"} <= part for part in parts)


def test_what_fails_comes_last_and_is_not_tried_again():
    finished = played(plan(300.0), lambda name: None if "wide" in name else 0.0, long=60.0)
    assert sum(each.name == "wide networks" for each in finished) == 1
    assert len(finished) > 4


def test_a_choice_among_named_configs_ends_when_all_were_tried():
    field = (Candidate("a", config="a"), Candidate("b", config="b"))
    finished = played(plan(1000.0, field), lambda name: 0.0, long=10.0)
    assert [each.name for each in finished] == ["auto", "a", "b"]


def test_a_config_that_does_not_suit_the_rows_only_loses():
    drawn = {"odd": config.load("mixture", ["flow.base.mixture.components=500"])}
    field = (Candidate("odd", config="odd"), Candidate("good", config="good"))
    choice = SuccessiveHalving(lambda each: drawn.get(each.name, NSF), Candidate("nsf", config="nsf"), field, 60.0)
    series = Series(Task(data()), choice)
    events = run(series)
    assert [each.name for each in series.finished] == ["nsf", "odd", "good"]
    assert series.finished[1].nats is None
    assert "components" in series.finished[1].outcome
    assert series.density().summary["trials"][1]["outcome"] == series.finished[1].outcome
    assert sum(isinstance(event, Ended) for event in events) == 3
    first = SuccessiveHalving(lambda each: drawn["odd"], Candidate("odd", config="odd"), field, 60.0)
    with pytest.raises(ConfigError):
        Series(Task(data()), first)


def heaps():
    """Two heaps, of which a flow that was not trained knows nothing."""
    random = np.random.default_rng(0)
    return table(random.normal(size=(400, 2)) + np.where(random.random((400, 1)) < 0.5, -6.0, 6.0))


UNTRAINED = config.load("nsf", [*SMALL, "train.epochs=0", "flow.layers.0.marginal=none"])


def _choice(members=1):
    mixture = config.load("mixture", ["train.epochs=20"])
    drawn = {"mixture": mixture, "nsf": UNTRAINED}
    field = (Candidate("mixture", config="mixture"),)
    return SuccessiveHalving(lambda each: drawn[each.name], Candidate("nsf", config="nsf"), field, 60.0, members)


def test_the_best_is_chosen_where_it_is_clearly_ahead():
    series = Series(Task(heaps()), _choice())
    run(series)
    result = series.density()
    assert result.summary["chosen"] == "mixture"
    assert result.config == series.fitting.config
    first, second = series.finished
    assert result.summary["held_out_nats"] == second.nats > first.nats


def test_the_first_stays_where_another_is_not_clearly_ahead(monkeypatch):
    monkeypatch.setattr("flowcli.training.series.halving.AT_LEAST", 1000.0)
    series = Series(Task(heaps()), _choice())
    run(series)
    assert series.density().summary["chosen"] == "nsf"


def test_an_ensemble_of_the_best_is_at_least_as_good_as_any(monkeypatch):
    series = Series(Task(heaps()), _choice(members=2))
    run(series)
    result = series.density()
    held_out = series.fitting.held_out.values
    assert isinstance(result, Ensemble)
    singles = [member.log_prob(held_out).mean() for member in result.members]
    assert result.log_prob(held_out).mean() >= max(singles) - 1e-9


def test_a_choice_goes_on_where_it_stopped():
    task = Task(heaps())
    part = Series(task, _choice(2))
    run(part, (1, 3))
    part = again(part, _choice(2), task)
    run(part)
    whole = Series(task, _choice(2))
    run(whole)
    assert [each.name for each in part.finished] == ["nsf", "mixture"]
    assert [each.nats for each in part.finished] == [each.nats for each in whole.finished]


def test_shares_are_the_likeliest():
    """Against a search over all weights of two densities, and where one is the best alone."""
    random = np.random.default_rng(0)
    nats = random.normal(size=(2, 500)) - [[1.0], [1.2]]
    grid = np.linspace(1e-6, 1 - 1e-6, 2001)
    mean = [np.logaddexp(np.log(w) + nats[0], np.log(1 - w) + nats[1]).mean() for w in grid]
    assert shares(nats, None)[0] == pytest.approx(grid[np.argmax(mean)], abs=2e-3)
    assert shares(np.stack([nats[0], nats[0] - 5]), None)[0] > 0.999
    heavy = np.where(nats[0] > nats[1], 2.0, 0.0)
    assert shares(nats, heavy)[0] > 0.99
    impossible = np.stack([nats[0], np.full(500, -np.inf)])
    assert shares(impossible, None)[0] == pytest.approx(1)
