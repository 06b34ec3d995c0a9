"""K weighted Gaussians with full covariance, as parameters."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowcli.flows.context import Context
from flowcli.flows.gaussian_mixture import Marginals, Patterns, covariances_of


class SavedComponents(NamedTuple):
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
        context: C, the number of conditioning variables that log-weights, and the place of all means together, are a
            linear function of.
    """

    def __init__(self, columns: int, components: int, context: int = 0) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, columns) if components > 1 else torch.zeros(1, columns))
        self.log_diagonal = nn.Parameter(torch.zeros(components, columns))
        self.below_diagonal = nn.Parameter(torch.zeros(components, columns, columns))
        self.gate = nn.Parameter(torch.zeros(components, context)) if context else None
        self.shift = nn.Parameter(torch.zeros(columns, context)) if context else None

    def centred(self, z: Tensor, context: Context, sign: float = 1.0) -> Tensor:
        """Return rows z (B, D) less what the conditioning variables move all means by; sign -1 moves them back."""
        if self.shift is None:
            return z
        assert context.features is not None
        moved = sign * (context.features @ self.shift.t())
        return z - (moved if context.observed is None else moved * context.observed)

    @torch.no_grad()
    def set(
        self,
        weights: Tensor,
        means: Tensor,
        factors: Tensor,
        gate: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> None:
        """Set the parameters to those of a given mixture.

        Args:
            weights: (K,).
            means: (K, D).
            factors: Inverse Cholesky factors P (K, D, D).
            gate: What each conditioning variable adds to the log-weights, (K, C).
            shift: What it adds to all means, (D, C).
        """
        if shift is not None:
            assert self.shift is not None
            self.shift.copy_(shift)
        if gate is not None:
            assert self.gate is not None
            self.gate.copy_(gate)
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

    def weights(self, context: Context) -> Tensor:
        """Return the log-weights, up to a constant: (K,), or of each row (K, B) where there is something given."""
        if self.gate is None:
            return self.log_weights
        assert context.features is not None
        return torch.addmm(self.log_weights[:, None], self.gate, context.features.t())

    def marginals(self, observed: Tensor) -> Marginals:
        """Return the components' exact marginals over the observed columns, (B, D), of each row."""
        # The covariances of narrow Gaussians are beyond float32, which Apple's GPUs have nothing above.
        exact = torch.float32 if observed.device.type == "mps" else torch.float64
        below = torch.tril(self.below_diagonal.to(exact), -1)
        factors = below + torch.diag_embed(torch.exp(self.log_diagonal.to(exact)))
        marginals = Marginals.of(covariances_of(factors), Patterns.of(observed))
        return marginals._replace(factors=marginals.factors.to(self.means.dtype))

    def residuals(self, x: Tensor) -> Tensor:
        """Return the residuals e (K, D, B) of rows given column by column, x (D, B)."""
        out = _Residuals.apply(x, self, self.means, self.log_diagonal, self.below_diagonal)  # type: ignore[no-untyped-call]
        return cast("Tensor", out)

    @torch.no_grad()
    def forward_saving(self, x: Tensor) -> tuple[Tensor, SavedComponents]:
        """The residuals without gradients, and what ``gradient`` needs."""
        # The difference goes first: P m - P x would lose what a component far out is about.
        saved = SavedComponents(self.factors(), self.means.unsqueeze(2) - x)
        return torch.bmm(*saved), saved

    def gradient(
        self, saved: SavedComponents, grad: Tensor, *, of_x: bool
    ) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Return the gradients of x, where it is wanted, and of means, log-diagonal and what is below it."""
        factors, differences = saved
        grad_x = torch.mm(factors.flatten(0, 1).t(), grad.flatten(0, 1)).neg_() if of_x else None
        of_means = torch.bmm(grad.sum(2).unsqueeze(1), factors).squeeze(1)
        of_factors = torch.bmm(grad, differences.transpose(1, 2))
        of_diagonal = torch.diagonal(of_factors, dim1=1, dim2=2) * torch.diagonal(factors, dim1=1, dim2=2)
        return grad_x, of_means, of_diagonal, of_factors.tril_(-1)


class _Residuals(torch.autograd.Function):
    """Residuals by themselves, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gaussians: Gaussians, *parameters: Tensor) -> Tensor:
        e, ctx.saved = gaussians.forward_saving(x)
        ctx.gaussians = gaussians
        return e

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_x, *of_parameters = ctx.gaussians.gradient(ctx.saved, grad, of_x=ctx.needs_input_grad[0])
        return of_x, None, *of_parameters
