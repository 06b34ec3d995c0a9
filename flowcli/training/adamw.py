"""Adam with decoupled weight decay, on parameters that are one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Numbers of each vector that are worked on at once: half a dozen such pieces are what the cache of a core holds.
PIECE = 2**14


class AdamW:
    """Steps of AdamW; those of torch.optim.AdamW, to rounding.

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
        self._vector, self._decayed = vector, vector[:decaying]
        self._weight_decay, self._betas, self._epsilon = weight_decay, betas, epsilon
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
        keep_mean, keep_square = self._betas
        # Both averages begin at zero, and are small at first for that reason alone.
        root = math.sqrt(1 - keep_square**number)
        epsilon, rate = self._epsilon * root, -learning_rate * root / (1 - keep_mean**number)
        for piece in pieces(self._vector, part):
            if self._weight_decay:
                self._decayed[piece].mul_(1 - learning_rate * self._weight_decay)
            own, mean = gradient[piece], self.mean[piece].lerp_(gradient[piece], 1 - keep_mean)
            square = self.square[piece].mul_(keep_square).addcmul_(own, own, value=1 - keep_square)
            self._vector[piece].addcdiv_(mean, torch.sqrt(square).add_(epsilon), value=rate)


def pieces(vector: Tensor, part: slice = slice(None)) -> Iterator[slice]:
    """A part of a vector in pieces that a processor's cache holds; in one piece elsewhere."""
    begin, end, _ = part.indices(len(vector))
    step = PIECE if vector.device.type == "cpu" else max(1, end - begin)
    for start in range(begin, end, step):
        yield slice(start, min(end, start + step))


def add_up(gradients: list[Tensor], part: slice = slice(None)) -> Tensor:
    """Add gradients (P,) to the first of them, in its place; return the squared length of that part of the sum."""
    whole, *others = gradients
    squares = []
    for piece in pieces(whole, part):
        own = whole[piece]
        for other in others:
            own += other[piece]
        squares.append(torch.dot(own, own))
    return torch.stack(squares).sum() if squares else whole.new_zeros(())


def shortening(square: Tensor, longest: float) -> Tensor:
    """What a gradient of that squared length is multiplied by to be no longer than ``longest``."""
    return (longest / (square.sqrt() + 1e-6)).clamp_(max=1)
