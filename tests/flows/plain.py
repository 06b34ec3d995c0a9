"""Bijections as the papers write them down, operation by operation: what kernels are compared with.

Each takes values x and planes theta (P, *x.shape), and gives z and log dz/dx.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LARGEST = -math.log(1e-3)


def clipped(value: Tensor, bound: float) -> Tensor:
    return value / (1 + (value / bound).abs())


def plain_affine(x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    log_scale = clipped(theta[1], 5.0)
    return x * log_scale.exp() + theta[0], log_scale


def plain_spline(x: Tensor, theta: Tensor, bins: int, bound: float, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Durkan et al. (2019), equations 4 and 5, over normalised knots."""
    knots = []
    for sizes in (theta[:bins], theta[bins : 2 * bins]):
        shares = torch.softmax(clipped(sizes, LARGEST / 2), 0)
        ends = torch.cat([torch.zeros_like(shares[:1]), shares.cumsum(0)[:-1], torch.ones_like(shares[:1])])
        knots.append(bound * (2 * ends - 1))
    inside = x.abs() < bound
    safe = torch.where(inside, x, 0.0)
    k = (safe >= knots[0][1:-1]).sum(0, keepdim=True)

    def at(planes: Tensor, index: Tensor) -> Tensor:
        return planes.gather(0, index)[0]

    x0, x1, y0, y1 = (at(axis, index) for axis in knots for index in (k, k + 1))
    d0, d1 = at(slopes, k), at(slopes, k + 1)
    s, t = (y1 - y0) / (x1 - x0), (safe - x0) / (x1 - x0)
    below = s + (d1 + d0 - 2 * s) * t * (1 - t)
    y = y0 + (y1 - y0) * (s * t**2 + d0 * t * (1 - t)) / below
    slope = s**2 * (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) / below**2
    return torch.where(inside, y, x), torch.where(inside, slope.log(), 0.0)


def plain_interval(x: Tensor, theta: Tensor, bins: int = 5, bound: float = 3.0) -> tuple[Tensor, Tensor]:
    inner = clipped(theta[2 * bins :], LARGEST).exp()
    one = torch.ones_like(inner[:1])
    return plain_spline(x, theta, bins, bound, torch.cat([one, inner, one]))


def plain_circle(x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    slopes = clipped(theta[8:12], LARGEST).exp()
    y, log_slope = plain_spline(x, theta, 4, math.pi, torch.cat([slopes, slopes[:1]]))
    return torch.remainder(y + theta[-1] + math.pi, 2 * math.pi) - math.pi, log_slope


def plain_cdf(x: Tensor, theta: Tensor, bound: float = 5.0) -> tuple[Tensor, Tensor]:
    weights, locations, raw = theta.chunk(3)
    gains = torch.linspace(0.5, 1.5, len(weights), dtype=x.dtype).view(-1, *[1] * x.ndim)
    log_weights = torch.log_softmax(weights * gains, 0)
    log_scales = gains * raw / (1 + (gains * raw / bound).abs())
    t = (x - gains * locations) * torch.exp(-log_scales)
    log_cdf = torch.logsumexp(log_weights + logsigmoid(t), 0)
    log_survival = torch.logsumexp(log_weights + logsigmoid(-t), 0)
    log_density = torch.logsumexp(log_weights - log_scales + logsigmoid(t) + logsigmoid(-t), 0)
    return log_cdf - log_survival, log_density - log_cdf - log_survival
