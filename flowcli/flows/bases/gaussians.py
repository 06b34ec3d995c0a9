"""K weighted Gaussians with full covariance, as parameters."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Tape(NamedTuple):
    """What the gradient of residuals needs: the factors P (K, D, D) and the differences m - x (K, D, B)."""

    factors: Tensor
    differences: Tensor


class Gaussians(nn.Module):
    """K weighted Gaussians in D columns, by their inverse Cholesky factors.

    Component k has covariance (P_k' P_k)^-1 with P_k lower triangular, so its *residual* e_k = P_k (m_k - x) is
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

    @torch.no_grad()
    def factors(self) -> Tensor:
        """The inverse Cholesky factors P (K, D, D), without gradients."""
        factors = torch.tril(self.below_diagonal, -1)
        torch.diagonal(factors, dim1=1, dim2=2).copy_(torch.exp(self.log_diagonal))
        return factors

    def residuals(self, x: Tensor) -> Tensor:
        """The residuals e (K, D, B) of rows given column by column, x (D, B)."""
        out = _Residuals.apply(x, self, self.means, self.log_diagonal, self.below_diagonal)  # type: ignore[no-untyped-call]
        return cast("Tensor", out)

    @torch.no_grad()
    def taped(self, x: Tensor) -> tuple[Tensor, Tape]:
        """The residuals without gradients, and what ``gradient`` needs."""
        # The difference goes first: P m - P x would lose what a component far out is about.
        tape = Tape(self.factors(), self.means.unsqueeze(2) - x)
        return torch.bmm(*tape), tape

    def gradient(self, tape: Tape, grad: Tensor, *, of_x: bool) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """The gradients of x, where it is wanted, and of means, log-diagonal and what is below it."""
        factors, differences = tape
        grad_x = torch.mm(factors.flatten(0, 1).t(), grad.flatten(0, 1)).neg_() if of_x else None
        of_means = torch.bmm(grad.sum(2).unsqueeze(1), factors).squeeze(1)
        of_factors = torch.bmm(grad, differences.transpose(1, 2))
        of_diagonal = torch.diagonal(of_factors, dim1=1, dim2=2) * torch.diagonal(factors, dim1=1, dim2=2)
        return grad_x, of_means, of_diagonal, of_factors.tril_(-1)


class _Residuals(torch.autograd.Function):
    """Residuals by themselves, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gaussians: Gaussians, *parameters: Tensor) -> Tensor:
        e, ctx.tape = gaussians.taped(x)
        ctx.gaussians = gaussians
        return e

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_x, *of_parameters = ctx.gaussians.gradient(ctx.tape, grad, of_x=ctx.needs_input_grad[0])
        return of_x, None, *of_parameters
