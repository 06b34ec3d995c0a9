"""A mixture of Gaussians with full covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.flows.bases.base import Base, normal, uniform
from flowcli.flows.bases.gaussians import Gaussians
from flowcli.flows.bases.normal import LOG_SQRT_2PI
from flowcli.flows.context import NO_CONTEXT, Context


class Mixture(Base):
    """sum_k w_k N(z; m_k, S_k), with weights, means and covariances as parameters like any other.

    Args:
        columns: D.
        components: K.
    """

    def __init__(self, columns: int, components: int) -> None:
        super().__init__()
        self.gaussians = Gaussians(columns, components)

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        gaussians = self.gaussians
        e = gaussians.residuals(z.t().contiguous())
        constants = torch.log_softmax(gaussians.log_weights, 0) + gaussians.log_diagonal.sum(1)
        log_normals = constants[:, None] - 0.5 * (e * e).sum(1)
        return torch.logsumexp(log_normals, dim=0) - z.shape[1] * LOG_SQRT_2PI

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw a component for each row, then solve P (z - m) = e for a standard normal e."""
        gaussians = self.gaussians
        edges = torch.cumsum(torch.softmax(gaussians.log_weights, 0), 0)
        draws = uniform(rows, 1, generator, edges)[:, 0]
        component = torch.searchsorted(edges, draws).clamp_max(len(edges) - 1)
        z = normal(rows, gaussians.means.shape[1], generator, edges)
        for k, factor in enumerate(gaussians.factors()):
            own = component == k
            z[own] = torch.linalg.solve_triangular(factor, z[own].t(), upper=False).t() + gaussians.means[k]
        return z
