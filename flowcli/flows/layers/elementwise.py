"""A bijection per column, with parameters of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.bijections import Bijection
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform, only_observed


class Elementwise(Transform):
    """Every column is transformed by itself, whatever the others are.

    Args:
        columns: D.
        bijection: How a column is transformed.
    """

    def __init__(self, columns: int, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection
        self.theta = nn.Parameter(torch.zeros(bijection.parameters, columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        z, log_derivative = self.bijection.forward(x, self.theta[:, None, :])
        return only_observed(z, log_derivative, context)

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        x, log_derivative = self.bijection.inverse(z, self.theta[:, None, :])
        return only_observed(x, log_derivative, context)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Parameters that suit the rows x (N, D)."""
        for column, theta in zip(x.t(), self.theta.t(), strict=True):
            seen = column[~column.isnan()]
            if len(seen):
                theta.copy_(self.bijection.initialize(seen[:, None])[:, 0])
