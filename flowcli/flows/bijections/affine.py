"""Scale and shift."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.flows.bijections.bijection import Bijection
from flowcli.flows.kernels.planes import constant, planes_like


class _Saved(NamedTuple):
    x: Tensor
    scale: Tensor
    squeeze: Tensor
    strides: tuple[int, ...]


class Affine(Bijection[_Saved]):
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
        log_scale = torch.div(raw, self._squeeze(raw))
        return torch.addcmul(shift, x, torch.exp(log_scale)), log_scale

    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, _Saved]:  # noqa: D102
        shift, raw = theta.unbind()
        squeeze = self._squeeze(raw)
        log_scale = torch.div(raw, squeeze)
        scale = torch.exp(log_scale)
        return torch.addcmul(shift, x, scale), log_scale, _Saved(x, scale, squeeze, theta.stride())

    def gradient(self, saved: _Saved, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        x, scale, squeeze, strides = saved
        grad_x = torch.mul(grad_z, scale)
        grad_theta = planes_like(strides, 2, x)
        grad_shift, grad_raw = grad_theta.unbind()
        grad_shift.copy_(grad_z)
        grad_raw.copy_(torch.addcmul(grad_log, grad_x, x).div_(squeeze).div_(squeeze))
        return grad_x, grad_theta

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift, raw = theta.unbind()
        log_shrink = torch.div(raw, self._squeeze(raw)).neg_()
        return (z - shift).mul_(torch.exp(log_shrink)), log_shrink.expand_as(z)

    def _squeeze(self, raw: Tensor) -> Tensor:
        """By what a raw log-scale is divided to stay within the bound; its derivative is one over the square."""
        one = constant(1.0, raw.dtype, raw.device)
        return torch.add(one, torch.abs(raw), alpha=1 / self.bound)
