"""The distribution function of a mixture of logistics, seen through the logit."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.bijections.kernel_bijection import KernelBijection
from flowcli.flows.kernels import mixture_cdf
from flowcli.flows.kernels.bits import BITS
from flowcli.flows.kernels.mixture_cdf import SavedMixtureCdf


class MixtureCdf(KernelBijection[SavedMixtureCdf]):
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
        return mixture_cdf.forward(x, theta, self._gains(theta), self.bound, save=False)[:2]

    def forward_saving(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, SavedMixtureCdf]:  # noqa: D102
        return mixture_cdf.forward(x, theta, self._gains(theta), self.bound)

    def gradient(self, saved: SavedMixtureCdf, grad_z: Tensor, grad_log: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return mixture_cdf.gradient(saved, grad_z, grad_log)

    @torch.no_grad()
    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz, by Newton's method kept inside a bracket; carries no gradient."""
        return mixture_cdf.inverse(z, theta.expand(-1, *z.shape), self._gains(theta), self.bound)

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

    def _gains(self, like: Tensor) -> Tensor:
        """Return how strongly each component's parameters act, (K,)."""
        return torch.linspace(0.5, 1.5, self.components, dtype=like.dtype, device=like.device)

    def _mixture(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, locations and log-scales, (K, ...)."""
        gains = self._gains(theta).view(-1, *[1] * (theta.ndim - 1))
        components = mixture_cdf.components_at(theta, gains, self.bound)
        return torch.log_softmax(components.bits / BITS, 0), components.locations, -components.negative_log_scales
