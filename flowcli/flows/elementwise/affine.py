"""Scale and shift."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowcli.flows.elementwise.bijection import Bijection, planes_like


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
        theta = theta.expand(-1, *x.shape)
        if torch.is_grad_enabled() and (x.requires_grad or theta.requires_grad):
            z, log_scale = _Affine.apply(x, theta, self.bound)
            return z, log_scale
        log_scale = theta[1] / _squeeze(theta[1], self.bound)
        return torch.addcmul(theta[0], x, torch.exp(log_scale)), log_scale

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz; carries no gradient."""
        log_shrink = -theta[1] / _squeeze(theta[1], self.bound)
        return (z - theta[0]) * torch.exp(log_shrink), log_shrink.expand_as(z)


class _Affine(torch.autograd.Function):
    """The forward map with its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, bound: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        squeeze = _squeeze(theta[1], bound)
        log_scale = theta[1] / squeeze
        scale = torch.exp(log_scale)
        ctx.strides = theta.stride()
        ctx.save_for_backward(x, scale, squeeze)
        return torch.addcmul(theta[0], x, scale), log_scale

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: D102
        x, scale, squeeze = ctx.saved_tensors
        grad_x = grad_z * scale
        grad_theta = planes_like(ctx.strides, 2, x)
        grad_theta[0] = grad_z
        torch.addcmul(grad_log, grad_x, x, out=grad_theta[1]).div_(squeeze).div_(squeeze)
        return grad_x, grad_theta, None


def _squeeze(raw: Tensor, bound: float) -> Tensor:
    """By what a raw log-scale is divided to stay within the bound; its derivative is one over the square."""
    return torch.abs(raw).div_(bound).add_(1)
