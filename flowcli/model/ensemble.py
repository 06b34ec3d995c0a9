"""The density of several flows together: a mixture of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowcli.encoding.encoder import Encoder
from flowcli.encoding.rounding import DRAWS
from flowcli.model.density import Density, Rows, Scores
from flowcli.model.flow_density import FlowDensity
from flowcli.model.held_out import HeldOut
from flowcli.table import Schema


@dataclass
class Ensemble(Density):
    """p(x) = sum_k w_k p_k(x), where each p_k is the density of a flow over the same columns.

    Its logarithm is never below the mean of theirs (Jensen), so that what flows disagree about is a gain.

    Attributes:
        members: The flows.
        weights: w, positive, with the sum one, (K,).
        summary: What is known of the training of all of them.
        held_out: How likely the held-out rows were under the mixture, if that is known.
        encoder: How the first of the flows has rows encoded.
    """

    members: Sequence[FlowDensity]
    weights: Rows
    summary: dict[str, Any] = field(default_factory=dict)
    held_out: HeldOut | None = None
    encoder: Encoder = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """The first flow's encoding stands for all."""
        self.encoder = self.members[0].encoder

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.members[0].schema

    @property
    def device(self) -> torch.device:
        """Where the flows are computed."""
        return self.members[0].device

    @property
    def rounded(self) -> bool:
        """Whether log-densities are estimates, because there are columns of which cells have a mass."""
        return self.members[0].rounded

    @property
    def block_rows(self) -> int:
        """How many rows are scored at once."""
        return self.members[0].block_rows

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return sum(member.parameters for member in self.members)

    def to(self, device: torch.device | str) -> Ensemble:
        """Return a copy of this density whose flows are on another device."""
        return replace(self, members=[member.to(device) for member in self.members])

    def scores(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Scores:
        """Return log-density of each row, with its standard error; see ``Density.scores``.

        The flows share the points in cells, so their errors add up, each by its share of the row's density.
        """
        result = [member.scores(values, double=double, draws=draws, seed=seed) for member in self.members]
        parts = np.stack([scores.log_prob for scores in result]) + np.log(self.weights)[:, None]
        log_prob = np.logaddexp.reduce(parts, axis=0)
        weights = np.exp(parts - np.where(np.isfinite(log_prob), log_prob, 0.0))
        return Scores(log_prob, (weights * np.stack([scores.error for scores in result])).sum(axis=0))

    def log_prob_at(self, residuals: Tensor, shares: Tensor) -> Tensor:
        """Return the log-density at one point of each rounding interval; see ``Density.log_prob_at``."""
        parts = torch.stack([member.log_prob_at(residuals, shares) for member in self.members])
        return torch.logsumexp(parts + torch.from_numpy(np.log(self.weights))[:, None], 0)

    def draw(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw as many rows as are given, each from a flow drawn by weight; see ``Density.draw``."""
        weights = torch.from_numpy(self.weights)
        chosen = torch.multinomial(weights, len(given), replacement=True, generator=generator)
        out = np.empty(tuple(given.shape))
        for index, member in enumerate(self.members):
            own = (chosen == index).nonzero()[:, 0]
            if len(own):
                out[own.numpy()] = member.draw(given[own], generator)
        return out
