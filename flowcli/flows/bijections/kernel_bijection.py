"""Bijections whose gradient is written out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowcli.flows.bijections.bijection import Bijection

Saved = TypeVar("Saved")


class KernelBijection(Bijection, Generic[Saved]):
    """A bijection with its own gradient: ``forward_saving`` leaves what ``gradient`` needs.

    So a layer can go forward and backward as a whole, and nobody has to follow every small operation. ``evaluate``
    carries no gradient. It pays for splines (``docs/decisions/0007-gradients-written-out.md``).
    """

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        theta = theta.expand(-1, *x.shape)
        if torch.is_grad_enabled() and (x.requires_grad or theta.requires_grad):
            z, log_derivative = _Transformed.apply(x, theta, self)  # type: ignore[no-untyped-call]
            return z, log_derivative
        return self.evaluate(x, theta)

    @abstractmethod
    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Saved]:
        """Return what ``evaluate`` does, and what ``gradient`` needs of it."""

    @abstractmethod
    def gradient(self, saved: Saved, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of x and of theta, from those of z and of log dz/dx, which broadcast with x.

        That of theta lies in memory as theta does.
        """


class _Transformed(torch.autograd.Function):
    """A kernel bijection by itself, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, bijection: KernelBijection[Any]) -> tuple[Tensor, Tensor]:
        z, log_derivative, ctx.saved = bijection.forward_saving(x, theta)
        ctx.bijection = bijection
        return z, log_derivative

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor, None]:
        return *ctx.bijection.gradient(ctx.saved, grad_z, grad_log), None
