"""A mixture of Gaussians whose exact conditionals a masked network corrects."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from flowcli.flows.bases.base import Base, normal, uniform
from flowcli.flows.bases.gaussians import Gaussians
from flowcli.flows.bases.normal import LOG_SQRT_2PI
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.elementwise.bijection import soft_clip
from flowcli.flows.networks import MaskedNetwork, Stepper

LARGEST_LOG_SCALE = 7.0


class AutoregressiveMixture(Base):
    """p(z) = prod_i p(z_i | z_<i), each conditional a mixture of K Gaussians.

    The conditionals of a full-covariance mixture are mixtures themselves, known exactly: with the residuals e_k of
    ``Gaussians``,

        p(z_i | z_<i) = sum_k softmax_k( log w_k + sum_{j<i} log N_kj ) N_ki,
        log N_ki = log P_k,ii - e_ki^2 / 2 - log(2 pi) / 2.

    The network adds to each column's log-weights, shifts its components (in units of their scales) and changes their
    log-scales. It is zero at the start, so a fit begins at the likelihood of the mixture that EM found, and can only
    improve on it. Papers: MADE and MAF (Germain et al., 2015; Papamakarios et al., 2017) have autoregressive mixtures
    that start from nothing.

    Args:
        columns: D.
        components: K.
        network: A masked network with 3 K parameters per column.
    """

    def __init__(self, columns: int, components: int, network: MaskedNetwork) -> None:
        super().__init__()
        self.gaussians = Gaussians(columns, components)
        self.network = network

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        gaussians = self.gaussians
        e = gaussians.residuals(z)
        log_weights, shift, log_scale = self._corrections(self.network(z, context))
        log_diagonal = gaussians.log_diagonal[:, None]
        log_normals = log_diagonal - 0.5 * e * e - LOG_SQRT_2PI
        before = torch.cumsum(pad(log_normals[..., :-1], (1, 0)), dim=-1)
        log_weights = log_weights + gaussians.log_weights[:, None, None] + before
        corrected = (e - shift) * torch.exp(-log_scale)
        log_corrected = log_diagonal - log_scale - 0.5 * corrected * corrected - LOG_SQRT_2PI
        conditionals = torch.logsumexp(log_weights + log_corrected, 0) - torch.logsumexp(log_weights, 0)
        return conditionals.sum(-1)

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw column after column: a component by its conditional weight, then its corrected normal."""
        gaussians = self.gaussians
        components, columns = gaussians.means.shape
        factors = gaussians.factors()
        stepper = Stepper(self.network, rows, context)
        z = factors.new_empty(columns, rows)
        draws = uniform(rows, columns, generator, factors).t()
        noise = normal(rows, columns, generator, factors).t()
        offsets = torch.einsum("kij,kj->ki", factors, gaussians.means)
        log_weights = gaussians.log_weights[:, None].repeat(1, rows)
        for i in range(columns):
            extra, shift, log_scale = self._corrections(stepper.parameters(i, z))
            edges = torch.cumsum(torch.softmax(log_weights + extra, 0), 0)
            k = (draws[i] > edges).sum(0, keepdim=True).clamp_max(components - 1)
            residual = noise[i] * torch.exp(log_scale.gather(0, k)) + shift.gather(0, k)
            # The part of every residual that the columns before i fix: e_ki = P_k,ii z_i + known_k.
            known = torch.addmm(-offsets[:, i, None], factors[:, i, :i], z[:i])
            diagonal = factors[:, i, i, None]
            z[i] = ((residual - known.gather(0, k)) / diagonal[k[0]].t())[0]
            e = diagonal * z[i] + known
            log_weights += gaussians.log_diagonal[:, i, None] - 0.5 * e * e
        return z.t().contiguous()

    def _corrections(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Additions to the log-weights, shifts and log-scales, each (K, ...)."""
        k = len(self.gaussians.log_weights)
        return theta[:k], theta[k : 2 * k], soft_clip(theta[2 * k :], LARGEST_LOG_SCALE)
