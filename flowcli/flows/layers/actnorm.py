"""Scale and shift per column, from the data at the start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform


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
        return x * torch.exp(self.log_scale) + self.shift, self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return (z - self.shift) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(z))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Centre and scale the rows x (N, D)."""
        deviation, mean = torch.std_mean(x, dim=0)
        self.log_scale.copy_(-torch.log(torch.where(deviation > 0, deviation, 1.0)))
        self.shift.copy_(-mean * torch.exp(self.log_scale))
