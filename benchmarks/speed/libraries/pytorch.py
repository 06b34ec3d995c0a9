"""What the libraries on top of torch have in common."""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from benchmarks.speed.cases import LEARNING_RATE


class TorchModel(ABC):
    """A flow of such a library: the same step of training for all, and the library's own two calls.

    Args:
        flow: The library's module.
    """

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        self.parameters = count(flow)

    @abstractmethod
    def log_prob(self, rows: Tensor) -> Tensor:
        """Log-densities (B,) of rows (B, D)."""

    @abstractmethod
    def draw(self, rows: int) -> Tensor:
        """Rows (B, D) from the flow."""

    def stepper(self, batches: Tensor) -> Callable[[], Tensor]:
        self.flow.train()
        optimizer = torch.optim.AdamW(self.flow.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        turn = itertools.cycle(batches.unbind())

        def step() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = -self.log_prob(next(turn)).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    def scorer(self, rows: Tensor, block: int) -> Callable[[], list[Tensor]]:
        model, parts = self._frozen(), rows.split(block)

        @torch.inference_mode()
        def score() -> list[Tensor]:
            return [model.log_prob(part) for part in parts]

        return score

    def sampler(self, rows: int, block: int) -> Callable[[], list[Tensor]]:
        model = self._frozen()

        @torch.inference_mode()
        def sample() -> list[Tensor]:
            return [model.draw(block) for _ in range(rows // block)]

        return sample

    def _frozen(self) -> Self:
        model = copy.copy(self)
        model.flow = copy.deepcopy(self.flow).eval().requires_grad_(False)
        return model


def count(flow: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in flow.parameters() if parameter.requires_grad)
