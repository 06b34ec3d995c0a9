"""The weights that are kept, and how long nothing has become better."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from flowcli.flows import MixedDensity
from flowcli.training.loop.events import mean_and_error

# With so few held-out rows, weights have to be better than those at the start by so many standard errors: of many
# evaluations some are by chance. Six of 60 penguins held out, that and folds at the start bring -16.22 to about -15.63.
FEW_HELD_OUT, CLEAR = 50, 2.0


class BestWeights:
    """Keeps the weights of each part of a density from the evaluation where it was best.

    Parts (codes, angles, coordinates) share no weights and their log-densities add up, so each has a best moment of its
    own.

    Args:
        density: The averaged density, at its start.
        held_out: How many rows are held out.
        weights: Of these, (M,); ``None`` where all count alike.

    Attributes:
        density: The best weights so far.
        since_best: Evaluations since any part was better than ever.
    """

    def __init__(self, density: MixedDensity, held_out: int, weights: Tensor | None) -> None:
        self.density = copy.deepcopy(density)
        self._weights = weights
        self._first = torch.zeros(len(density.parts), held_out, dtype=torch.float64)  # nats at the start
        self._best = [-math.inf] * len(density.parts)
        self._kept = [-math.inf] * len(density.parts)  # the nats of the weights that are kept
        self.since_best = 0

    def begin(self, nats: Tensor) -> None:
        """Note the nats (parts, M) of the held-out rows at the start."""
        self._first = nats

    def is_clear(self, nats: Tensor) -> bool:
        """Return whether nats (parts, M) are better than those at the start by more than chance."""
        return self._is_clear((nats - self._first).sum(0))

    def take_in(self, nats: Tensor, density: MixedDensity) -> None:
        """Keep the weights of those parts that have never been better, by their nats (parts, M)."""
        improved = False
        for index, of_part in enumerate(nats):
            mean, _ = mean_and_error(of_part, self._weights)
            if mean > self._best[index]:
                self._best[index] = mean
                improved = True
            if mean > self._kept[index] and self._is_clear(of_part - self._first[index]):
                self._kept[index] = mean
                self.density.parts[index].load_state_dict(density.parts[index].state_dict())
        self.since_best = 0 if improved else self.since_best + 1

    def _is_clear(self, gains: Tensor) -> bool:
        """Return whether gains (M,) since the start are more than chance, where rows are few."""
        if len(gains) >= FEW_HELD_OUT or not bool(gains.any()):
            return True
        gain, error = mean_and_error(gains, self._weights)
        return gain > CLEAR * error  # which one row alone, whose error nobody knows, is never

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all but the weights as plain values and tensors."""
        document = {
            "since_best": self.since_best,
            "best_parts": [nats if math.isfinite(nats) else None for nats in self._best],
            "kept_parts": [nats if math.isfinite(nats) else None for nats in self._kept],
        }
        return document, {"first": self._first.clone()}

    def restore(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        self.since_best = document["since_best"]
        self._best, self._kept = (
            [-math.inf if nats is None else nats for nats in document[name]] for name in ("best_parts", "kept_parts")
        )
        self._first = tensors["first"].clone()
