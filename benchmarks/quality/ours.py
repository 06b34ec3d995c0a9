"""flowcli, as ``flowcli fit`` runs it, with its test rows scored on the way, out of time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.quality.run import AUTO, ON_CURVE, Budget, Clock, Method, Run
from flowcli import config as configs
from flowcli import table, training
from flowcli.config.schema import Config
from flowcli.model import Ensemble
from flowcli.training import Evaluation

MOST_POINTS = 40


def flowcli_fit(config: str) -> Method:
    """A fit with one of the shipped configs, to its own end: it knows no budget."""

    def fit(train: pd.DataFrame, test: pd.DataFrame, budget: Budget, seed: int) -> Run:
        clock = Clock()
        rows = table.from_frame(train, notice=_silent)
        fitting = training.prepare_fit(rows, configs.load(config, []), seed=seed, notice=_silent)
        values = table.frame_values(test, rows.schema.columns)

        def score() -> float:
            return float(fitting.density().log_prob(values[:ON_CURVE]).mean())

        last = fitting.loop.step
        if fitting.loop.history:  # of a trial, from which the fit goes on
            clock.note(score)
        for event in fitting.loop.run(lambda: False):
            due = isinstance(event, Evaluation) and event.step - last >= event.steps / MOST_POINTS
            if isinstance(event, Evaluation) and event.best and (due or event.step == 0):
                last = event.step
                clock.note(score)
        density = training.refit_with_held_out(fitting.density(), fitting.train, fitting.held_out)
        seconds = clock.seconds
        summary = density.summary
        log_prob = density.log_prob(values)
        clock.curve.append((seconds, float(log_prob[:ON_CURVE].mean())))
        note = f"{summary['outcome']}, {summary['steps']:,} steps; {_architecture(density.config.to_json()['flow'])}"
        return Run(log_prob, seconds, clock.curve, note)

    return fit


def seed_ensemble(count: int) -> Method:
    """What ``fit --ensemble`` gives."""
    return _series(lambda seed: training.SeedEnsemble(configs.load(AUTO, []), count, seed))


def tuned(seconds: float) -> Method:
    """What ``fit --tune`` gives."""

    def make(candidate: training.Candidate) -> Config:
        return configs.load(candidate.config or AUTO, list(candidate.changes))

    return _series(
        lambda seed: training.SuccessiveHalving(make, training.Candidate(AUTO), training.FIELD, seconds, seed=seed)
    )


def _series(plan: Callable[[int], training.Plan]) -> Method:
    def fit(train: pd.DataFrame, test: pd.DataFrame, budget: Budget, seed: int) -> Run:
        clock = Clock()
        rows = table.from_frame(train, notice=_silent)
        series = training.Series(training.Task(rows, seed=seed), plan(seed))
        for _ in series.run(lambda: False):
            pass
        density = series.completed(series.density())
        seconds = clock.seconds
        values = table.frame_values(test, rows.schema.columns)
        log_prob = density.log_prob(values)
        members = density.members if isinstance(density, Ensemble) else []
        own = np.stack([member.log_prob(values) for member in members]) if members else None
        note = str(density.summary.get("chosen", ""))
        return Run(log_prob, seconds, [(seconds, float(log_prob[:ON_CURVE].mean()))], note, own)

    return fit


def _architecture(flow: dict[str, object]) -> str:
    """What was built, in a few words."""
    layers, base = flow.get("layers", []), flow.get("base")
    return f"{layers} over {base}"


def _silent(_: str) -> None:
    """Say nothing."""
