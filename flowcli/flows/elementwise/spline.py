"""Rational-quadratic splines, on an interval of the line and on the circle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.flows.elementwise import rational_quadratic
from flowcli.flows.elementwise.bijection import Bijection, soft_clip
from flowcli.flows.elementwise.rational_quadratic import Bin

# Bins may differ in width, and knots in slope, by at most this factor from the identity's (a log).
LARGEST_LOG_SLOPE = -math.log(1e-3)


class Spline(Bijection):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    Parameters: K widths and K heights (before a softmax) and K - 1 log-slopes at the inner knots. Paper: Neural
    spline flows (Durkan et al., 2019).

    Args:
        bins: K, the number of bins.
        bound: Where the identity begins.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        self.bins = bins
        self.bound = bound
        self.parameters = 3 * bins - 1

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        inside = x.abs() < self.bound
        safe = torch.where(inside, x, 0.0)
        horizontal, vertical, slopes = self._knots(theta)
        y, log_derivative = rational_quadratic.forward(safe, _locate(safe, horizontal, horizontal, vertical, slopes))
        return torch.where(inside, y, x), torch.where(inside, log_derivative, 0.0)

    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        inside = z.abs() < self.bound
        safe = torch.where(inside, z, 0.0)
        horizontal, vertical, slopes = self._knots(theta)
        x, log_derivative = rational_quadratic.inverse(safe, _locate(safe, vertical, horizontal, vertical, slopes))
        return torch.where(inside, x, z), torch.where(inside, log_derivative, 0.0)

    def _knots(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Horizontal and vertical positions of the K + 1 knots, and the slopes at them."""
        k = self.bins
        horizontal = _positions(theta[:k], self.bound)
        vertical = _positions(theta[k : 2 * k], self.bound)
        inner = torch.exp(soft_clip(theta[2 * k :], LARGEST_LOG_SLOPE))
        end = torch.ones_like(inner[:1])
        return horizontal, vertical, torch.cat([end, inner, end])


class CircularSpline(Bijection):
    """A monotone rational-quadratic spline of the circle [-pi, pi) onto itself, followed by a rotation.

    Parameters: K widths, K heights, K log-slopes (the two ends are one point of the circle) and the angle of the
    rotation. Paper: Normalizing flows on tori and spheres (Rezende et al., 2020).

    Args:
        bins: K, the number of bins.
    """

    def __init__(self, bins: int = 8) -> None:
        self.bins = bins
        self.parameters = 3 * bins + 1

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        x = _wrap(x)
        horizontal, vertical, slopes = self._knots(theta)
        y, log_derivative = rational_quadratic.forward(x, _locate(x, horizontal, horizontal, vertical, slopes))
        return _wrap(y + theta[-1]), log_derivative

    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        z = _wrap(z - theta[-1])
        horizontal, vertical, slopes = self._knots(theta)
        x, log_derivative = rational_quadratic.inverse(z, _locate(z, vertical, horizontal, vertical, slopes))
        return _wrap(x), log_derivative

    def _knots(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k = self.bins
        horizontal = _positions(theta[:k], math.pi)
        vertical = _positions(theta[k : 2 * k], math.pi)
        slopes = torch.exp(soft_clip(theta[2 * k : 3 * k], LARGEST_LOG_SLOPE))
        return horizontal, vertical, torch.cat([slopes, slopes[:1]])


def _positions(sizes: Tensor, bound: float) -> Tensor:
    """Positions of K + 1 knots on [-bound, bound], from K unnormalised sizes of the bins."""
    shares = torch.softmax(soft_clip(sizes, LARGEST_LOG_SLOPE / 2), dim=0)
    inner = bound * (2 * torch.cumsum(shares, dim=0)[:-1] - 1)
    end = torch.full_like(sizes[:1], bound)
    return torch.cat([-end, inner, end])


def _locate(value: Tensor, edges: Tensor, horizontal: Tensor, vertical: Tensor, slopes: Tensor) -> Bin:
    """The bin that each value lies in, among the knots whose positions along the value's axis are ``edges``."""
    left = (value >= edges[1:-1]).sum(dim=0, keepdim=True)
    shape = (-1, *left.shape[1:])

    def at(knots: Tensor, index: Tensor) -> Tensor:
        return knots.expand(len(knots), *shape[1:]).gather(0, index)[0]

    right = left + 1
    return Bin(
        x0=at(horizontal, left),
        x1=at(horizontal, right),
        y0=at(vertical, left),
        y1=at(vertical, right),
        d0=at(slopes, left),
        d1=at(slopes, right),
    )


def _wrap(angle: Tensor) -> Tensor:
    """The same angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
