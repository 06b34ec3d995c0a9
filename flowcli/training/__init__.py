"""Fitting by maximum likelihood: what is decided, where it starts, and the loop that yields where it stands."""

from __future__ import annotations

from flowcli.training.fitting import Fitting, prepare, resume
from flowcli.training.loop import Evaluation, Event, Setback, Settings, Tick

__all__ = ["Evaluation", "Event", "Fitting", "Setback", "Settings", "Tick", "prepare", "resume"]
