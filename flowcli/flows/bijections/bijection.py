"""What a transform of one coordinate is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Bijection(ABC):
    """A strictly increasing map of each coordinate, which depends on parameters that anyone may supply.

    Parameters are *planar*: theta has shape (P, ...), one plane per parameter, and each plane broadcasts with x. Where
    theta is zero the map is the identity, so that a network whose last layer is zero starts there.

    Autograd differentiates ``evaluate``, unless a bijection has its gradient written out (``KernelBijection``).

    Attributes:
        parameters: P, the number of parameters per coordinate.
    """

    parameters: int

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log dz/dx, both of the shape of x."""
        return self.evaluate(x, theta)

    @abstractmethod
    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``forward`` does; it is what a bijection writes down."""

    @abstractmethod
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, both of the shape of z; carries no gradient."""

    def initialize(self, x: Tensor) -> Tensor:
        """Return parameters (P, D) that suit the rows x (N, D); the identity unless a bijection knows better."""
        return x.new_zeros(self.parameters, x.shape[-1])
