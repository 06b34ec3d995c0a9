"""Scale and shift."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.elementwise.bijection import Bijection, soft_clip


class Affine(Bijection):
    """z = exp(s) x + t with parameters (t, s), the log-scale s kept within a bound.

    Papers: NICE and RealNVP (Dinh et al., 2015, 2017); MAF (Papamakarios et al., 2017).

    Args:
        bound: Largest absolute log-scale.
    """

    parameters = 2

    def __init__(self, bound: float = 5.0) -> None:
        self.bound = bound

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift, log_scale = theta[0], soft_clip(theta[1], self.bound)
        return x * torch.exp(log_scale) + shift, log_scale.expand_as(x)

    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift, log_scale = theta[0], soft_clip(theta[1], self.bound)
        return (z - shift) * torch.exp(-log_scale), -log_scale.expand_as(z)
