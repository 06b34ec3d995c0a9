"""What a running fit reports, and how it is set up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """How a fit runs, with nothing left to decide; see ``config.TrainConfig``."""

    batch_size: int
    steps: int
    evaluate_every: int
    learning_rate: float
    schedule: Literal["cosine", "plateau", "constant"]
    warmup: int
    patience: int
    clip: float
    weight_decay: float
    average: float
    noise: float


@dataclass(frozen=True)
class Evaluation:
    """Where a fit stands. Nats are means per row, in the units of the table.

    Attributes:
        step: Steps taken, of ``steps``.
        steps: Steps of the whole fit, if nothing stops it early.
        epoch: Passes over the training rows so far.
        train_nats: Mean over the batches since the last evaluation, with dropout and noise, if any.
        held_out_nats: Mean over the held-out rows, of the averaged weights.
        held_out_error: Standard error of that mean.
        learning_rate: Of the last step.
        rows_per_second: Training speed since the last evaluation.
        seconds: Spent so far, resumed parts included.
        best: Whether no earlier evaluation was better.
    """

    step: int
    steps: int
    epoch: float
    train_nats: float
    held_out_nats: float
    held_out_error: float
    learning_rate: float
    rows_per_second: float
    seconds: float
    best: bool

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Evaluation:
        """Return the inverse of ``to_json``."""
        values: dict[str, Any] = {key: math.nan if value is None else value for key, value in entry.items()}
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ``None`` for those that are not finite, which JSON does not know."""
        values = vars(self).items()
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values}


@dataclass(frozen=True)
class Setback:
    """The numbers went wrong; the fit goes on from the last good evaluation with half the learning rate."""

    step: int
    back_to: int
    learning_rate: float


@dataclass(frozen=True)
class Tick:
    """Nothing but time has passed: an occasion to show it, or to save the state."""

    step: int
    steps: int
    seconds: float


Event = Evaluation | Setback | Tick
State = tuple[dict[str, Any], dict[str, Tensor]]
Outcome = Literal["running", "finished", "stopped early", "out of time", "interrupted"]


def mean_and_error(nats: Tensor, weights: Tensor | None) -> tuple[float, float]:
    """Return the mean of log-densities (N,), each with its weight if there are any, and its standard error."""
    if weights is None:
        return float(nats.mean()), float(nats.std()) / math.sqrt(len(nats)) if len(nats) > 1 else math.nan
    shares = weights / weights.sum()
    average = float((shares * nats).sum())
    return average, float((shares * (nats - average)).square().sum().sqrt())
