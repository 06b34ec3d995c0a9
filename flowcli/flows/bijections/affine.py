"""Scale and shift."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.bijections.bijection import Bijection
from flowcli.flows.kernels.planes import soft_clip


class Affine(Bijection):
    """z = exp(s) x + t with parameters (t, s), the log-scale s kept within a bound.

    Papers: NICE and RealNVP (Dinh et al., 2015, 2017); MAF (Papamakarios et al., 2017).

    Args:
        bound: Largest absolute log-scale.
    """

    parameters = 2

    def __init__(self, bound: float = 5.0) -> None:
        self.bound = bound

    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift, raw = theta.unbind()
        log_scale = soft_clip(raw, self.bound)
        return torch.addcmul(shift, x, torch.exp(log_scale)), log_scale.expand_as(x)

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift, raw = theta.unbind()
        log_shrink = -soft_clip(raw, self.bound)
        return (z - shift) * torch.exp(log_shrink), log_shrink.expand_as(z)
