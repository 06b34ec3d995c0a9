"""The distribution function of a mixture of logistics, seen through the logit.

With log-weights g_k, which add up to one, and t_k = (x - m_k) / s_k,

    A = log sum_k e^(g_k) sigmoid(t_k),    C = log sum_k e^(g_k) sigmoid(-t_k),
    E = log sum_k e^(g_k) sigmoid(t_k) sigmoid(-t_k) / s_k,
    z = A - C,    log dz/dx = E - A - C.

Each sum is taken relative to its largest term, so neither tail, nor a gap between components, ever rounds to zero.
Since sigmoid(t) = e^min(t, 0) sigmoid(|t|), and the last factor is no less than a half, the terms are exponentials of
g + min(t, 0), g - max(t, 0) and g - |t| - log s, times that factor or its square. The lesser and the larger of t and 0
are made of t and |t|, of which autograd takes the right derivative at 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.flows.bijections.bijection import Bijection
from flowcli.flows.kernels.bits import BITS
from flowcli.flows.kernels.planes import soft_clip

MOST_STEPS = 100
FLATTEST = 80.0  # largest log of a Newton step's length over the error that causes it


class Components(NamedTuple):
    """A mixture's components, (K, ...), of which each plane broadcasts with x.

    Attributes:
        log_weights: g.
        locations: m.
        log_scales: log s.
        inverse_scales: 1 / s.
    """

    log_weights: Tensor
    locations: Tensor
    log_scales: Tensor
    inverse_scales: Tensor


class MixtureCdf(Bijection):
    """z = logit( sum_k w_k sigmoid((x - m_k) / s_k) ), a smooth bijection of the line with linear tails.

    Parameters: K log-weights, K locations and K log-scales. With all of them zero every component is the standard
    logistic and the map is the identity; the parameters of different components act with different strength, so
    that the components part when they are trained. Papers: Neural autoregressive flows (Huang et al., 2018), Flow++
    (Ho et al., 2019), Gaussianization flows (Meng et al., 2020).

    Args:
        components: K.
        bound: Largest absolute log-scale.
    """

    def __init__(self, components: int = 8, bound: float = 5.0) -> None:
        self.components = components
        self.bound = bound
        self.parameters = 3 * components

    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return value_and_log_slope(x, self.components_at(theta))

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, by Newton's method kept inside a bracket; carries no gradient."""
        components = self.components_at(theta)
        # At a quantile of the mixture no component is both above and below its own quantile: this brackets it.
        own = torch.addcdiv(components.locations, z, components.inverse_scales)
        low, high = own.amin(0), own.amax(0)
        x = _newton(z, torch.lerp(low, high, 0.5), low, high, components, MOST_STEPS)
        return x, -value_and_log_slope(x, components)[1]

    def initialize(self, x: Tensor) -> Tensor:
        """Components at the quantiles of the rows, as wide as their distance, so that z is near standard logistic."""
        k = self.components
        shares = (torch.arange(k, dtype=x.dtype, device=x.device) + 0.5) / k
        locations = torch.quantile(x[:100_000], shares, dim=0)
        deviation = torch.std(x, dim=0).clamp_min(torch.finfo(x.dtype).tiny).expand_as(locations)
        gaps = torch.gradient(locations, dim=0)[0] if k > 1 else deviation
        scales = torch.maximum(gaps, 0.1 * deviation) * 0.6
        gains = self._gains(x)[:, None]
        log_scales = scales.log().clamp(-0.8 * self.bound, 0.8 * self.bound)
        raw = log_scales / (1 - log_scales.abs() / self.bound)
        return torch.cat([torch.zeros_like(locations), locations / gains, raw / gains])

    def components_at(self, theta: Tensor) -> Components:
        """Return the components that parameters (3 K, ...) stand for."""
        gains = self._gains(theta).view(-1, *[1] * (theta.ndim - 1))
        weights, locations, raw_log_scales = (gains * planes for planes in theta.chunk(3))
        log_scales = soft_clip(raw_log_scales, self.bound)
        return Components(torch.log_softmax(weights, 0), locations, log_scales, torch.exp(-log_scales))

    def _gains(self, like: Tensor) -> Tensor:
        """Return how strongly each component's parameters act, (K,)."""
        return torch.linspace(0.5, 1.5, self.components, dtype=like.dtype, device=like.device)


def value_and_log_slope(x: Tensor, components: Components) -> tuple[Tensor, Tensor]:
    """Return z and log dz/dx, both of the shape of x."""
    log_weights, locations, log_scales, inverse_scales = components
    half = (x - locations) * (0.5 * inverse_scales)
    away = torch.abs(half)
    factor = torch.sigmoid(2 * away)
    log_cdf = _log_sum(log_weights + (half - away), factor)
    log_survival = _log_sum(log_weights - (half + away), factor)
    log_density = _log_sum(log_weights - log_scales - 2 * away, torch.square(factor))
    return log_cdf - log_survival, log_density - log_cdf - log_survival


def _log_sum(exponents: Tensor, factors: Tensor) -> Tensor:
    """Return log sum_k f_k e^(a_k), for factors from 1/4 to 1; the exponents are overwritten."""
    peak = exponents.detach().amax(0)
    # Where exp underflows, MKL takes a hundred times as long as elsewhere; exp2 does not.
    powers = exponents.sub_(peak).mul_(BITS).exp2_()
    return peak + torch.log((powers * factors).sum(0))


def _newton(z: Tensor, x: Tensor, low: Tensor, high: Tensor, components: Components, steps: int) -> Tensor:
    """Newton's method within a bracket, halved where a step leaves it; goes on with those values that need it alone."""
    precision = torch.finfo(x.dtype).eps
    least_error = 2 * precision * (1 + torch.abs(z))
    narrowest = precision**0.5 / components.inverse_scales.amax(0)
    for step in range(1, steps + 1):
        value, log_slope = value_and_log_slope(x, components)
        error = value - z
        # Where the slope is next to nothing, what rounding makes must not lead away.
        error = torch.where(error.abs() > least_error, error, 0.0)
        low, high = torch.where(error <= 0, x, low), torch.where(error <= 0, high, x)
        move = error * torch.exp(torch.clamp_max(-log_slope, FLATTEST))
        newton = x - move
        within = torch.minimum(torch.maximum(newton, low), high)
        # Errors square at every step, so a small one is the last; no step corrects what rounding does.
        done = torch.abs(move) <= narrowest + 4 * precision * torch.abs(x)
        x = torch.where(done | (within == newton), within, torch.lerp(low, high, 0.5))
        left = torch.nonzero(~done.flatten()).squeeze(1)
        if not len(left):
            break
        if 4 * len(left) < x.numel():
            few = Components(*(_at(left, plane, x.shape) for plane in components))
            z_left, x_left, low_left, high_left = (values.flatten()[left] for values in (z, x, low, high))
            found = _newton(z_left, x_left, low_left, high_left, few, steps - step)
            return x.flatten().index_copy(0, left, found).view(x.shape)
    return x


def _at(positions: Tensor, planes: Tensor, shape: torch.Size) -> Tensor:
    """Return some positions of planes that broadcast to a shape, (K, P)."""
    return planes.expand(-1, *shape).flatten(1).index_select(1, positions)
