"""K weighted Gaussians with full covariance, as parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gaussians(nn.Module):
    """K weighted Gaussians in D columns, by their inverse Cholesky factors.

    Component k has covariance (P_k' P_k)^-1 with P_k lower triangular, so its *residual* e_k = P_k (x - m_k) is
    standard normal, and e_ki depends on the columns up to i alone: the exact conditionals of a mixture, column by
    column, come for free.

    Args:
        columns: D.
        components: K.
    """

    def __init__(self, columns: int, components: int) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, columns) if components > 1 else torch.zeros(1, columns))
        self.log_diagonal = nn.Parameter(torch.zeros(components, columns))
        self.below_diagonal = nn.Parameter(torch.zeros(components, columns, columns))

    @torch.no_grad()
    def set(self, weights: Tensor, means: Tensor, factors: Tensor) -> None:
        """Take a mixture found elsewhere: weights (K,), means (K, D), inverse Cholesky factors P (K, D, D)."""
        self.log_weights.copy_(torch.log(weights))
        self.means.copy_(means)
        self.log_diagonal.copy_(torch.log(torch.diagonal(factors, dim1=1, dim2=2)))
        self.below_diagonal.copy_(torch.tril(factors, -1))

    def factors(self) -> Tensor:
        """The inverse Cholesky factors P, (K, D, D)."""
        return torch.tril(self.below_diagonal, -1) + torch.diag_embed(torch.exp(self.log_diagonal))

    def residuals(self, x: Tensor) -> Tensor:
        """The residuals e of rows x (B, D), (K, B, D)."""
        # The means go first: P x - P m would lose what a component far out is about.
        return torch.matmul(x - self.means[:, None], self.factors().mT)
