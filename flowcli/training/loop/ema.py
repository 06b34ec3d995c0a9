"""A running average of the weights, which generalises better than the last ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from flowcli.flows import MixedDensity
from flowcli.training.loop.flat_parameters import Flat


class EMA:
    """An exponential moving average of a density's parameters, short-sighted at the beginning.

    Args:
        density: The density that is trained.
        decay: How much of the average is kept in each step, in the long run; 0 keeps the last weights.
        flat: The density's parameters as one vector, if they are.
        share: Whether the average lies in memory that forked processes share.
    """

    def __init__(self, density: MixedDensity, decay: float, flat: Flat | None = None, *, share: bool = False) -> None:
        self.density = copy.deepcopy(density).eval()
        self._decay = decay
        self._from: list[Tensor] = list(density.parameters()) if flat is None else [flat.vector]
        self._to: list[Tensor] = (
            list(self.density.parameters()) if flat is None else [Flat(self.density, share=share).vector]
        )
        self.density.requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int, part: slice = slice(None)) -> None:
        """Take in the weights after step number ``step``, counted from 1; that part of each tensor of them."""
        decay = min(self._decay, step / (10 + step))
        for average, weights in zip(self._to, self._from, strict=True):
            average[part].lerp_(weights[part], 1 - decay)
