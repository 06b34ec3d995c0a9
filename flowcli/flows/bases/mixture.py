"""A mixture of Gaussians with full covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.bases.base import Base, by_completeness, normal, uniform
from flowcli.flows.bases.gaussian_components import Gaussians
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.kernels.planes import LOG_SQRT_2PI


class Mixture(Base):
    """sum_k w_k N(z; m_k, S_k), with weights, means and covariances as parameters like any other.

    Where columns are not there, each Gaussian is marginalised exactly. Weights and means may depend on what is given:
    softmax(log w + A g) and m_k + B g.

    Args:
        columns: D.
        components: K.
        context: C, the number of conditioning variables.
    """

    def __init__(self, columns: int, components: int, context: int = 0) -> None:
        super().__init__()
        self.gaussians = Gaussians(columns, components, context)

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        return by_completeness(self._whole, self._partial, self.gaussians.centred(z, context), context)

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw a component for each row, then solve P (z - m) = e for a standard normal e."""
        gaussians = self.gaussians
        weights = gaussians.weights(context).view(len(gaussians.means), -1).t()
        edges = torch.cumsum(torch.softmax(weights, 1), 1)
        draws = uniform(rows, 1, generator, edges)
        component = torch.searchsorted(edges.expand(rows, -1).contiguous(), draws)[:, 0].clamp_max(edges.shape[1] - 1)
        z = normal(rows, gaussians.means.shape[1], generator, edges)
        for k, factor in enumerate(gaussians.factors()):
            own = component == k
            z[own] = torch.linalg.solve_triangular(factor, z[own].t(), upper=False).t() + gaussians.means[k]
        z = gaussians.centred(z, context, -1.0)
        return z if context.observed is None else z * context.observed

    def _whole(self, z: Tensor, context: Context) -> Tensor:
        e, log_dets = self.gaussians.residuals(z.t().contiguous()), self.gaussians.log_diagonal.sum(1)[:, None]
        return self._weighed(log_dets - 0.5 * (e * e).sum(1), context) - z.shape[1] * LOG_SQRT_2PI

    def _partial(self, z: Tensor, context: Context) -> Tensor:
        assert context.observed is not None
        marginals = self.gaussians.marginals(context.observed)
        return self._weighed(marginals.log_prob(marginals.residuals(self.gaussians.means, z.t())), context)

    def _weighed(self, log_normals: Tensor, context: Context) -> Tensor:
        """Return the log-density of rows from that of each component, (K, B)."""
        log_weights = torch.log_softmax(self.gaussians.weights(context), 0)
        return torch.logsumexp(log_weights.view(len(log_normals), -1) + log_normals, dim=0)
