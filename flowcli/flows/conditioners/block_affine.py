"""Affine maps as the networks' arithmetic wants them: units by rows, and no product with a block of zeros.

Values are stored units by rows, (units, B). What a staircase mask leaves is a run of whole rows for every step of the
matrix, so each step is one product of slices, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

# A step is no smaller than what a matrix product is quick at, and there are no more steps than these.
LEAST_SIZE, LEAST_INPUTS, MOST_STEPS = 16_384, 32, 8


class Step(NamedTuple):
    """Rows ``begin`` to ``end`` of a matrix, which see no more than its first ``seen`` inputs."""

    begin: int
    end: int
    seen: int


def staircase(seen: Sequence[int], inputs: int) -> list[Step]:
    """Cut a matrix into steps.

    Args:
        seen: How many of the inputs, counted from the first, each row sees; never falling.
        inputs: Size of the input.
    """
    rows = len(seen)
    count = max(1, min(MOST_STEPS, rows * inputs // LEAST_SIZE, inputs // LEAST_INPUTS))
    edges = pairwise(rows * i // count for i in range(count + 1))
    return [Step(begin, end, seen[end - 1]) for begin, end in edges]


class Affine(NamedTuple):
    """W v + b for values v (I, B).

    Attributes:
        weight: W with every zero of a mask in place, (O, I).
        bias: b, (O, 1).
        steps: What of W there is to multiply with.
    """

    weight: Tensor
    bias: Tensor
    steps: Sequence[Step]

    @property
    def inputs(self) -> int:
        """How many numbers are read."""
        return self.weight.shape[1]

    def __call__(self, value: Tensor) -> Tensor:
        """Return W v + b, (O, B)."""
        out = value.new_empty(len(self.weight), value.shape[1])
        for begin, end, seen in self.steps:
            torch.addmm(self.bias[begin:end], self.weight[begin:end, :seen], value[:seen], out=out[begin:end])
        return out

    def transposed(self, grad: Tensor) -> Tensor:
        """Return W' g, (I, B), of gradients g (O, B)."""
        out = grad.new_empty(self.weight.shape[1], grad.shape[1])
        known = 0
        for begin, _, seen in self.steps:
            if seen > known:  # these inputs are seen from here on
                torch.mm(self.weight[begin:, known:seen].t(), grad[begin:], out=out[known:seen])
                known = seen
        out[known:].zero_()
        return out

    def outer(self, grad: Tensor, value: Tensor) -> Tensor:
        """Return g v', (O, I), the gradient of W, for values v (I, B); zero where there is no step."""
        out = torch.empty_like(self.weight)
        for begin, end, seen in self.steps:
            step = out[begin:end]
            if seen == step.shape[1]:
                torch.mm(grad[begin:end], value.t(), out=step)
            else:
                step[:, :seen] = torch.mm(grad[begin:end], value[:seen].t())
                step[:, seen:].zero_()
        return out
