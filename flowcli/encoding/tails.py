"""Heavy tails made light: values as far out as a power law puts them go where a normal would have them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Where tails begin, in units of a coordinate's scale: a fifteenth of a normal lies beyond, on each side.
BEGIN = 1.5
_BEYOND = 0.5 * math.erfc(BEGIN / math.sqrt(2))
# A normal's mass beyond the point over its density there (Mills' ratio): with it the map has slope one there.
_WIDTH = _BEYOND / (math.exp(-0.5 * BEGIN**2) / math.sqrt(2 * math.pi))
LEAST_INDEX = 0.05  # below this a tail cannot be told from a normal's in any table
MOST_INDEX = 2.0


class Tails:
    """A bijection of the line for each column that is the identity in the middle.

    Beyond ``BEGIN`` a generalised Pareto distribution with the column's tail index is mapped to the tail of a normal:
    z = -F^-1( F(-b) (1 + t (x - b) / w)^(-1/t) ), with F the normal distribution function. At b it continues the
    identity with slope one. Where the index is zero the side is left alone. What is normal after it has, before
    it, tails that fall like |x|^(-1/t). Papers: Flexible tails for normalizing flows (Hickling & Prangle, 2025); Tails
    of Lipschitz triangular flows (Jaini et al., 2020), on why a flow of splines cannot make such tails by itself.

    Args:
        index: Tail indices below and above, (2, D), zero or from ``LEAST_INDEX`` to ``MOST_INDEX``.
    """

    def __init__(self, index: Tensor) -> None:
        self.index = index

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, D) and the log-derivatives (B, D) of rows x (B, D)."""
        index, heavy = self._tail_of_each(x)
        out = x.abs() - BEGIN
        out = torch.where(heavy, out, 0.0)
        # The logarithm of the mass beyond, which is all that is known of the farthest values.
        stretched = torch.log1p(index * out / _WIDTH)
        log_beyond = math.log(_BEYOND) - stretched / index
        z = _normal_quantile(log_beyond)
        log_derivative = log_beyond - math.log(_WIDTH) - stretched - _log_density(z)
        return (
            torch.where(heavy, torch.copysign(z, x), x),
            torch.where(heavy, log_derivative, 0.0),
        )

    def inverse(self, z: Tensor) -> Tensor:
        """Return the rows x (B, D) of z (B, D)."""
        index, heavy = self._tail_of_each(z)
        log_beyond = torch.special.log_ndtr(-torch.where(heavy, z.abs(), BEGIN))
        out = torch.expm1(-index * (log_beyond - math.log(_BEYOND))) / index
        return torch.where(heavy, torch.copysign(BEGIN + _WIDTH * out, z), z)

    def _tail_of_each(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index on the side that each value lies on, and whether it lies in a tail that is heavy."""
        index = torch.where(x < 0, self.index[0], self.index[1])
        heavy = (index > 0) & (x.abs() > BEGIN)
        return torch.where(index > 0, index, 1.0), heavy


def _log_density(z: Tensor) -> Tensor:
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)


def _normal_quantile(log_beyond: Tensor) -> Tensor:
    """Return the z with so much of a normal's mass above it, by Newton's method on the logarithm of that mass.

    From below ``z = sqrt(-2 log p)`` the function is concave, so the steps never jump over the root from the right.
    """
    z = torch.sqrt((-2 * log_beyond).clamp_min(1e-12))
    for _ in range(8):
        log_tail = torch.special.log_ndtr(-z)
        slope = torch.exp(_log_density(z) - log_tail)  # minus the derivative of the logarithm
        z = z + (log_tail - log_beyond) / slope
    return z
