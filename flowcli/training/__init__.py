"""Fitting by maximum likelihood: what is decided, where it starts, and the loop that yields where it stands."""

from __future__ import annotations

from flowcli.training.loop.events import Evaluation, Event, Setback, Settings, Tick
from flowcli.training.prepare.fitting import Fitting
from flowcli.training.prepare.resume import resume
from flowcli.training.prepare.setup import prepare_fit
from flowcli.training.series.halving import FIELD, Candidate, SuccessiveHalving
from flowcli.training.series.plans import SeedEnsemble, SingleFit
from flowcli.training.series.refit_with_held_out import refit_with_held_out
from flowcli.training.series.series import Begun, Ended, Finished, Plan, Series, Task

__all__ = [
    "FIELD",
    "Begun",
    "Candidate",
    "Ended",
    "Evaluation",
    "Event",
    "Finished",
    "Fitting",
    "Plan",
    "SeedEnsemble",
    "Series",
    "Setback",
    "Settings",
    "SingleFit",
    "SuccessiveHalving",
    "Task",
    "Tick",
    "prepare_fit",
    "refit_with_held_out",
    "resume",
]
