"""Adam with decoupled weight decay, on parameters that are one vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class AdamW:
    """Steps of AdamW; those of torch.optim.AdamW, to rounding.

    On one vector a step is seven operations. torch's optimizer looks after each parameter and group, and importing it
    loads torch's compiler, which takes longer than the fit of a small table. Papers: Adam (Kingma & Ba, 2015),
    Decoupled weight decay regularization (Loshchilov & Hutter, 2019).

    Args:
        vector: The parameters, (P,), changed in place.
        decaying: How many of them, from the first, decay.
        weight_decay: By how much these decay, as a multiple of the learning rate.
        betas: How much of the averages of gradients and of their squares is kept in each step.
        epsilon: Added to the root of the latter.
    """

    def __init__(
        self,
        vector: Tensor,
        decaying: int,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self._vector, self._decayed = vector, vector[:decaying]
        self._weight_decay, self._betas, self._epsilon = weight_decay, betas, epsilon
        self._mean, self._square = torch.zeros_like(vector), torch.zeros_like(vector)
        self._room = torch.empty_like(vector)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: float) -> None:
        """Take a step against a gradient (P,)."""
        keep_mean, keep_square = self._betas
        self._steps += 1
        if self._weight_decay:
            self._decayed.mul_(1 - learning_rate * self._weight_decay)
        self._mean.lerp_(gradient, 1 - keep_mean)
        self._square.mul_(keep_square).addcmul_(gradient, gradient, value=1 - keep_square)
        # Both averages begin at zero, and are small at first for that reason alone.
        root = math.sqrt(1 - keep_square**self._steps)
        deviation = torch.sqrt(self._square, out=self._room).add_(self._epsilon * root)
        self._vector.addcdiv_(self._mean, deviation, value=-learning_rate * root / (1 - keep_mean**self._steps))

    def state(self) -> dict[str, Tensor]:
        """Copies of what a later step depends on."""
        steps = torch.tensor(self._steps)
        return {"mean": self._mean.clone(), "square": self._square.clone(), "steps": steps}

    def restore(self, mean: Tensor, square: Tensor, steps: Tensor) -> None:
        """Take up what ``state`` gave."""
        self._mean.copy_(mean)
        self._square.copy_(square)
        self._steps = int(steps)


def clip(gradient: Tensor, longest: float) -> None:
    """Shorten a gradient (P,), in its place, that is longer than that."""
    length = torch.linalg.vector_norm(gradient)
    gradient.mul_((longest / (length + 1e-6)).clamp_(max=1))
