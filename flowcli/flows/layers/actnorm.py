"""Scale and shift per column, from the data at the start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform, only_observed


class ActNorm(Transform):
    """z = exp(s) x + t, one (s, t) per column; rows start with mean zero and unit variance.

    Paper: Glow (Kingma & Dhariwal, 2018).

    Args:
        columns: D.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(columns))
        self.log_scale = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        z, log_derivative = x * torch.exp(self.log_scale) + self.shift, self.log_scale.expand_as(x)
        return only_observed(z, log_derivative, context)

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        x, log_derivative = (z - self.shift) * torch.exp(-self.log_scale), -self.log_scale.expand_as(z)
        return only_observed(x, log_derivative, context)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Centre and scale the rows x (N, D)."""
        mean = torch.nanmean(x, dim=0).nan_to_num()
        deviation = torch.nanmean((x - mean).square(), dim=0).sqrt()
        self.log_scale.copy_(-torch.log(torch.where(deviation > 0, deviation, 1.0)))
        self.shift.copy_(-mean * torch.exp(self.log_scale))
