"""Adam with decoupled weight decay, on parameters that are one vector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class AdamW:
    """Steps of AdamW, by the operation with which torch.optim.AdamW does them when it is fused.

    torch's optimizer looks after each parameter and group, and importing it loads torch's compiler, which takes longer
    than the fit of a small table; this one can be divided among processes. Papers: Adam (Kingma & Ba, 2015), Decoupled
    weight decay regularization (Loshchilov & Hutter, 2019).

    Args:
        vector: The parameters, (P,), changed in place.
        room: Makes vectors of zeros like it.
        decaying: How many of the parameters, from the first, decay.
        weight_decay: By how much these decay, as a multiple of the learning rate.
        betas: How much of the averages of gradients and of their squares is kept in each step.
        epsilon: Added to the root of the latter.
    """

    def __init__(
        self,
        vector: Tensor,
        room: Callable[[], Tensor],
        decaying: int,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self._vector, self._decaying, self._weight_decay = vector, decaying, weight_decay
        self._betas, self._epsilon = betas, epsilon
        self.mean, self.square = room(), room()

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: float, number: int, part: slice = slice(None)) -> None:
        """Take a step against a gradient (P,).

        Args:
            gradient: The gradient.
            learning_rate: The learning rate.
            number: Of the step, from 1.
            part: Which of the parameters to change.
        """
        begin, end, _ = part.indices(len(self._vector))
        border = min(max(begin, self._decaying), end)
        for own, decay in ((slice(begin, border), self._weight_decay), (slice(border, end), 0.0)):
            if own.start < own.stop:
                torch._fused_adamw_(
                    [self._vector[own]],
                    [gradient[own]],
                    [self.mean[own]],
                    [self.square[own]],
                    [],
                    [torch.tensor(float(number), device=gradient.device)],
                    lr=learning_rate,
                    beta1=self._betas[0],
                    beta2=self._betas[1],
                    weight_decay=decay,
                    eps=self._epsilon,
                    amsgrad=False,
                    maximize=False,
                )


def add_up(gradients: list[Tensor], part: slice = slice(None)) -> Tensor:
    """Add gradients (P,) to the first of them, in its place; return the squared length of that part of the sum."""
    whole, *others = (gradient[part] for gradient in gradients)
    for other in others:
        whole += other
    return torch.dot(whole, whole)


def clip_coefficient(square: Tensor, longest: float) -> Tensor:
    """Return what a gradient of that squared length is multiplied by to be no longer than ``longest``."""
    return (longest / (square.sqrt() + 1e-6)).clamp_(max=1)
