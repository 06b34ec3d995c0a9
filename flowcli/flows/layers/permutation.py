"""A fixed order of the columns."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform


class Permutation(Transform):
    """z_i = x_{order_i}; volume is preserved.

    Args:
        order: A permutation of 0 .. D-1, (D,).
    """

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return z[:, torch.argsort(self.order)], z.new_zeros(len(z))
