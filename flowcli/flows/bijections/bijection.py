"""What a transform of one coordinate is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Saved = TypeVar("Saved")


class Bijection(ABC, Generic[Saved]):
    """A strictly increasing map of each coordinate, which depends on parameters that anyone may supply.

    Parameters are *planar*: theta has shape (P, ...), one plane per parameter, and each plane broadcasts with x. Where
    theta is zero the map is the identity, so that a network whose last layer is zero starts there.

    A bijection writes its gradient out: ``forward_saving`` leaves what ``gradient`` needs. So a layer can go forward
    and backward as a whole, and nobody has to follow every small operation.

    Attributes:
        parameters: P, the number of parameters per coordinate.
    """

    parameters: int

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log dz/dx, both of the shape of x."""
        theta = theta.expand(-1, *x.shape)
        if torch.is_grad_enabled() and (x.requires_grad or theta.requires_grad):
            z, log_derivative = _Transformed.apply(x, theta, self)  # type: ignore[no-untyped-call]
            return z, log_derivative
        return self.evaluate(x, theta)

    @abstractmethod
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, both of the shape of z; carries no gradient."""

    @abstractmethod
    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the forward map, without gradients; every plane of theta has the shape of x."""

    @abstractmethod
    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Saved]:
        """Return the forward map, and what ``gradient`` needs of it."""

    @abstractmethod
    def gradient(self, saved: Saved, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of x and of theta, from those of z and of log dz/dx, which broadcast with x.

        That of theta lies in memory as theta does.
        """

    def initialize(self, x: Tensor) -> Tensor:
        """Parameters (P, D) that suit the rows x (N, D); the identity unless a bijection knows better."""
        return x.new_zeros(self.parameters, x.shape[-1])


class _Transformed(torch.autograd.Function):
    """A bijection by itself, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, bijection: Bijection[Any]) -> tuple[Tensor, Tensor]:
        z, log_derivative, ctx.saved = bijection.forward_saving(x, theta)
        ctx.bijection = bijection
        return z, log_derivative

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor, None]:
        return *ctx.bijection.gradient(ctx.saved, grad_z, grad_log), None
