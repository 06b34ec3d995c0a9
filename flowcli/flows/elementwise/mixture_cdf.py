"""The distribution function of a mixture of logistics, seen through the logit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from flowcli.flows.elementwise.bijection import Bijection, soft_clip

NEWTON_STEPS = 100


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

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        log_weights, locations, log_scales = self._mixture(theta)
        return _logit_cdf(x, log_weights, locations, log_scales)

    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, by Newton's method kept inside a bracket; carries no gradient."""
        with torch.no_grad():
            log_weights, locations, log_scales = self._mixture(theta)
            # At a quantile of the mixture no component is both above and below its own quantile: this brackets it.
            own = locations + torch.exp(log_scales) * z
            low, high = own.amin(0), own.amax(0)
            x = (low + high) / 2
            for _ in range(NEWTON_STEPS):
                value, log_slope = _logit_cdf(x, log_weights, locations, log_scales)
                low = torch.where(value <= z, x, low)
                high = torch.where(value >= z, x, high)
                newton = x - (value - z) * torch.exp(-log_slope)
                # Written so that a step that is not a number falls back to bisection too.
                step = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
                if torch.equal(step, x):
                    break
                x = step
            _, log_slope = _logit_cdf(x, log_weights, locations, log_scales)
            return x, -log_slope

    def start(self, x: Tensor) -> Tensor:
        """Components at the quantiles of the rows, as wide as their distance, so that z is near standard logistic."""
        k = self.components
        shares = (torch.arange(k, dtype=x.dtype, device=x.device) + 0.5) / k
        locations = torch.quantile(x[:100_000], shares, dim=0)
        spread = torch.std(x, dim=0).clamp_min(torch.finfo(x.dtype).tiny).expand_as(locations)
        gaps = torch.gradient(locations, dim=0)[0] if k > 1 else spread
        scales = torch.maximum(gaps, 0.1 * spread) * 0.6
        gains = self._gains(x)[:, None]
        log_scales = scales.log().clamp(-0.8 * self.bound, 0.8 * self.bound)
        raw = log_scales / (1 - log_scales.abs() / self.bound)
        return torch.cat([torch.zeros_like(locations), locations / gains, raw / gains])

    def _gains(self, like: Tensor) -> Tensor:
        """How strongly each component's parameters act, (K,)."""
        return torch.linspace(0.5, 1.5, self.components, dtype=like.dtype, device=like.device)

    def _mixture(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k = self.components
        gains = self._gains(theta).reshape(k, *[1] * (theta.ndim - 1))
        log_weights = torch.log_softmax(theta[:k] * gains, dim=0)
        return log_weights, gains * theta[k : 2 * k], soft_clip(gains * theta[2 * k :], self.bound)


def _logit_cdf(x: Tensor, log_weights: Tensor, locations: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """The logit of the mixture's distribution function at x, and the log of its derivative.

    Both log F and log(1 - F) are sums in logarithms, so that neither tail ever rounds to zero or one.
    """
    t = (x - locations) * torch.exp(-log_scales)
    below, above = logsigmoid(t), logsigmoid(-t)
    log_cdf = torch.logsumexp(log_weights + below, dim=0)
    log_survival = torch.logsumexp(log_weights + above, dim=0)
    log_density = torch.logsumexp(log_weights - log_scales + below + above, dim=0)
    return log_cdf - log_survival, log_density - log_cdf - log_survival
