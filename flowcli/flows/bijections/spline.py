"""Rational-quadratic splines, on an interval of the line and on the circle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.flows.bijections.kernel_bijection import KernelBijection
from flowcli.flows.kernels import spline
from flowcli.flows.kernels.spline import SavedSpline


class Spline(KernelBijection[SavedSpline]):
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

    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return spline.forward(x, theta, self.bins, self.bound, save=False)[:2]

    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, SavedSpline]:  # noqa: D102
        return spline.forward(x, theta, self.bins, self.bound)

    def gradient(self, saved: SavedSpline, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return spline.gradient(saved, self.bound, grad_z, grad_log)

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return spline.inverse(z, theta.expand(-1, *z.shape), self.bins, self.bound)


class CircularSpline(KernelBijection[SavedSpline]):
    """A monotone rational-quadratic spline of the circle [-pi, pi) onto itself, followed by a rotation.

    Parameters: K widths, K heights, K log-slopes (the two ends are one point of the circle) and the angle of the
    rotation. Paper: Normalizing flows on tori and spheres (Rezende et al., 2020).

    Args:
        bins: K, the number of bins.
    """

    def __init__(self, bins: int = 8) -> None:
        self.bins = bins
        self.parameters = 3 * bins + 1

    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.forward_saving(x, theta)[:2]

    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, SavedSpline]:  # noqa: D102
        y, log_derivative, saved = spline.forward(_wrap(x), theta[:-1], self.bins, math.pi)
        return _wrap(y + theta[-1]), log_derivative, saved

    def gradient(self, saved: SavedSpline, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        grad_x, grad_spline = spline.gradient(saved, math.pi, grad_z, grad_log)
        return grad_x, torch.cat([grad_spline, grad_z[None]])

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        x, log_derivative = spline.inverse(_wrap(z - theta[-1]), theta[:-1].expand(-1, *z.shape), self.bins, math.pi)
        return _wrap(x), log_derivative


def _wrap(angle: Tensor) -> Tensor:
    """Return an angle, in radians, wrapped into [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
