"""One flow, or several whose densities are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flowcli.config import schema as config
from flowcli.model import Density, Ensemble, FlowDensity
from flowcli.model.held_out import HeldOut
from flowcli.model.training_range import RANGES, training_ranges
from flowcli.training.loop.events import mean_and_error
from flowcli.training.prepare.row_sets import RowSet
from flowcli.training.series.series import Finished, Trial


@dataclass(frozen=True)
class SingleFit:
    """One fit.

    Attributes:
        request: The config.
        seed: Of all random numbers.
        seconds: That it may take, if there is a limit.
    """

    request: config.Config
    seed: int = 0
    seconds: float | None = None

    def next(self, finished: Sequence[Finished]) -> Trial | None:
        """Return the one, if it is still to come."""
        return None if finished else Trial("", self.request, self.seed, self.seconds)

    def kept(self, finished: Sequence[Finished]) -> list[int]:
        """Return the one."""
        return [0]

    def whole(
        self, finished: Sequence[Finished], densities: Mapping[int, FlowDensity], train: RowSet, held_out: RowSet
    ) -> Density:
        """Return the density of the one."""
        return densities[0]

    @property
    def fits(self) -> int:
        """One."""
        return 1

    @property
    def may_fail(self) -> bool:
        """A single fit has to succeed."""
        return False

    def to_json(self) -> dict[str, Any]:
        """Return the plan, to know it again."""
        return {"ensemble": 1}


@dataclass(frozen=True)
class SeedEnsemble:
    """Fits that differ by their seeds alone: in what networks start from, in the order of rows, in dropout.

    Attributes:
        request: The config of all.
        count: How many.
        seed: Of the first; each after it has the next.
        seconds: That all of them may take together, if there is a limit.
    """

    request: config.Config
    count: int
    seed: int = 0
    seconds: float | None = None

    def next(self, finished: Sequence[Finished]) -> Trial | None:
        """Return the next seed's, with its share of the time that is left."""
        left = self.count - len(finished)
        if not left:
            return None
        seconds = None
        if self.seconds is not None:
            seconds = max(1e-3, self.seconds - sum(each.seconds for each in finished)) / left
        number = len(finished)
        return Trial(f"flow {number + 1} of {self.count}", self.request, self.seed + number, seconds)

    def kept(self, finished: Sequence[Finished]) -> list[int]:
        """Return all of them."""
        return list(range(len(finished)))

    def whole(
        self, finished: Sequence[Finished], densities: Mapping[int, FlowDensity], train: RowSet, held_out: RowSet
    ) -> Density:
        """Their mixture, all with one weight."""
        members = [densities[index] for index in sorted(densities)]
        return together(members, np.full(len(members), 1 / len(members)), train, held_out, self.seed, finished)

    @property
    def fits(self) -> int:
        """Their number."""
        return self.count

    @property
    def may_fail(self) -> bool:
        """Every flow of an ensemble has to succeed."""
        return False

    def to_json(self) -> dict[str, Any]:
        """Return the plan, to know it again."""
        return {"ensemble": self.count}


def together(
    members: Sequence[FlowDensity],
    weights: np.ndarray[Any, np.dtype[np.float64]],
    train: RowSet,
    held_out: RowSet,
    seed: int,
    finished: Sequence[Finished],
) -> Ensemble:
    """Return the mixture of some flows, with a summary of how it came about.

    Args:
        members: The flows.
        weights: Of them, (K,).
        train: The training rows.
        held_out: The held-out rows.
        seed: Of all random numbers.
        finished: All fits that ran, those that are no part of it too.
    """
    ensemble = Ensemble(members, weights)
    log_prob = ensemble.log_prob(held_out.values)
    ensemble.held_out = HeldOut.of(log_prob, held_out.weights)
    held_out_nats, held_out_error = mean_and_error(torch.from_numpy(log_prob), held_out.weight_tensor)
    outcomes = {each.outcome for each in finished}
    ensemble.summary = {
        "rows": len(train),
        RANGES: training_ranges(train.values, ensemble.schema),
        "held_out_rows": len(held_out),
        "held_out_nats": held_out_nats,
        "held_out_error": held_out_error if np.isfinite(held_out_error) else None,
        "outcome": outcomes.pop() if len(outcomes) == 1 else "finished",
        "steps": sum(member.summary["steps"] for member in members),
        "best_step": max(member.summary["best_step"] for member in members),
        "seconds": round(sum(each.seconds for each in finished), 3),
        "seed": seed,
        "history": [],
    }
    return ensemble
