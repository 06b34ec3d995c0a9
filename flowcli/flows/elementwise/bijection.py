"""What a transform of one coordinate is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Bijection(ABC):
    """A strictly increasing map of each coordinate, which depends on parameters that anyone may supply.

    Parameters are *planar*: theta has shape (P, ...), one plane per parameter, and each plane broadcasts with x. Where
    theta is zero the map is the identity, so that a network whose last layer is zero starts there.

    Attributes:
        parameters: P, the number of parameters per coordinate.
    """

    parameters: int

    @abstractmethod
    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log dz/dx, both of the shape of x."""

    @abstractmethod
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, both of the shape of z."""

    def start(self, x: Tensor) -> Tensor:
        """Parameters (P, D) that suit the rows x (N, D); the identity unless a bijection knows better."""
        return x.new_zeros(self.parameters, x.shape[-1])


def planes_like(strides: tuple[int, ...], planes: int, x: Tensor) -> Tensor:
    """Room for parameters (P, *x.shape) whose dimensions lie in memory in the order of some strides, without gaps."""
    shape = (planes, *x.shape)
    dense, step = [0] * len(shape), 1
    for dim in sorted(range(len(shape)), key=lambda d: (strides[d], -d)):
        dense[dim] = step
        step *= shape[dim]
    return torch.empty_strided(shape, dense, dtype=x.dtype, device=x.device)


def soft_clip(value: Tensor, bound: float) -> Tensor:
    """Squash the line smoothly into (-bound, bound), with slope one at zero."""
    return value / (1 + torch.abs(value / bound))
