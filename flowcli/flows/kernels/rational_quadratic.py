"""The monotone rational quadratic between two knots (Gregory & Delbourgo, 1982), forward and inverse.

Both functions take coordinates that lie in a known bin, and that bin's corners (x0, y0), (x1, y1) and slopes d0, d1 at
them, all of one shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bin(NamedTuple):
    """The corners of a bin and the slopes at them."""

    x0: Tensor
    x1: Tensor
    y0: Tensor
    y1: Tensor
    d0: Tensor
    d1: Tensor


def forward(x: Tensor, bin: Bin) -> tuple[Tensor, Tensor]:
    """Return y and log dy/dx; x is clamped into its bin."""
    width, height = bin.x1 - bin.x0, bin.y1 - bin.y0
    slope = height / width
    t = ((x - bin.x0) / width).clamp(0, 1)
    return _evaluate(t, height, slope, bin)


def inverse(y: Tensor, bin: Bin) -> tuple[Tensor, Tensor]:
    """Return x and log dx/dy; y is clamped into its bin."""
    width, height = bin.x1 - bin.x0, bin.y1 - bin.y0
    slope = height / width
    curve = bin.d0 + bin.d1 - 2 * slope
    rise = torch.minimum((y - bin.y0).clamp_min(0), height)
    a = height * (slope - bin.d0) + rise * curve
    b = height * bin.d0 - rise * curve
    c = -slope * rise
    # The root that stays stable as a -> 0; rounding can push the discriminant just below zero.
    t = (2 * c / (-b - torch.sqrt((b * b - 4 * a * c).clamp_min(0)))).clamp(0, 1)
    _, log_derivative = _evaluate(t, height, slope, bin)
    return bin.x0 + t * width, -log_derivative


def _evaluate(t: Tensor, height: Tensor, slope: Tensor, bin: Bin) -> tuple[Tensor, Tensor]:
    """Return the curve at the share t of the bin's width."""
    u = 1 - t
    mixed = t * u
    denominator = slope + (bin.d0 + bin.d1 - 2 * slope) * mixed
    y = bin.y0 + height * (slope * t * t + bin.d0 * mixed) / denominator
    numerator = bin.d1 * t * t + 2 * slope * mixed + bin.d0 * u * u
    return y, 2 * torch.log(slope) + torch.log(numerator) - 2 * torch.log(denominator)
