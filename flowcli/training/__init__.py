"""Fitting by maximum likelihood: what is decided, where it starts, and the loop that yields where it stands."""

from __future__ import annotations

from flowcli.training.all_rows import with_held_out_rows
from flowcli.training.fitting import Fitting, prepare, resume
from flowcli.training.loop import Evaluation, Event, Setback, Settings, Tick
from flowcli.training.plans import One, Several
from flowcli.training.series import Begun, Ended, Finished, Plan, Series, Task
from flowcli.training.tuning import FIELD, Best, Candidate

__all__ = [
    "FIELD",
    "Begun",
    "Best",
    "Candidate",
    "Ended",
    "Evaluation",
    "Event",
    "Finished",
    "Fitting",
    "One",
    "Plan",
    "Series",
    "Setback",
    "Settings",
    "Several",
    "Task",
    "Tick",
    "prepare",
    "resume",
    "with_held_out_rows",
]
