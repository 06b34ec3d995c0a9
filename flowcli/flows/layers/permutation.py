"""A fixed order of the columns."""

from __future__ import annotations

from typing import Any

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
        return _Reorder.apply(x, self.order), x.new_zeros(len(x))  # type: ignore[no-untyped-call]

    def output_context(self, context: Context) -> Context:  # noqa: D102
        return context.reordered(self.order)

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return _Reorder.apply(z, torch.argsort(self.order)), z.new_zeros(len(z))  # type: ignore[no-untyped-call]


class _Reorder(torch.autograd.Function):
    """The columns of rows (B, D) in another order; automatic differentiation would add where nothing meets."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.t().index_select(0, order).t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradient.t().index_select(0, torch.argsort(order)).t(), None
