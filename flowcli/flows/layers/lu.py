"""Columns mixed by a matrix with an LU decomposition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.gaussian_mixture import Patterns
from flowcli.flows.transform import Transform


class LU(Transform):
    """z = L U x + b with L unit lower triangular and U upper triangular with a positive diagonal.

    Paper: Glow (Kingma & Dhariwal, 2018), section 3.2.

    Where columns are not observed, their rows and columns are left out of both triangles, which stay triangles.

    Args:
        columns: D.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.triangles = nn.Parameter(torch.zeros(columns, columns))  # L below the diagonal, U above it
        self.log_diagonal = nn.Parameter(torch.zeros(columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        if context.observed is not None:
            return self._of_observed(x, context.observed)
        z = _Mix.apply(x.t(), self.triangles, self.log_diagonal, self.bias)  # type: ignore[no-untyped-call]
        return z.t(), self.log_diagonal.sum().expand(len(x))

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return x and log|det dx/dz|; carries no gradient."""
        lower, upper = _factors(self.triangles, self.log_diagonal)
        if context.observed is not None:
            patterns = Patterns.of(context.observed)
            lower, upper = (_left_out(triangle, patterns.observed)[patterns.own] for triangle in (lower, upper))
            shifted = (z - self.bias * context.observed)[:, :, None]
            y = torch.linalg.solve_triangular(lower, shifted, upper=False, unitriangular=True)
            x = torch.linalg.solve_triangular(upper, y, upper=True)[:, :, 0]
            return x, -(context.observed * self.log_diagonal).sum(1)
        y = torch.linalg.solve_triangular(lower, z.t() - self.bias[:, None], upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, y, upper=True).t()
        return x, -self.log_diagonal.sum().expand(len(z))

    def _of_observed(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log|det dz/dx| of rows of which some columns are observed."""
        lower, upper = torch.tril(self.triangles, -1), torch.triu(self.triangles, 1)
        y = observed * (x @ upper.t() + x * torch.exp(self.log_diagonal))
        return observed * (y @ lower.t() + y + self.bias), (observed * self.log_diagonal).sum(1)


def _left_out(triangle: Tensor, observed: Tensor) -> Tensor:
    """Return a triangle (D, D) without what is not observed in patterns (P, D), and with ones there, (P, D, D)."""
    both = observed[:, :, None] & observed[:, None, :]
    return torch.where(both, triangle, torch.eye(len(triangle), dtype=triangle.dtype, device=triangle.device))


def _factors(triangles: Tensor, log_diagonal: Tensor) -> tuple[Tensor, Tensor]:
    """L and U, (D, D) each."""
    lower, upper = torch.tril(triangles, -1), torch.triu(triangles, 1)
    lower.diagonal().fill_(1)
    upper.diagonal().copy_(torch.exp(log_diagonal))
    return lower, upper


class _Mix(torch.autograd.Function):
    """L U x + b of columns by rows x (D, B)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, triangles: Tensor, log_diagonal: Tensor, bias: Tensor) -> Tensor:
        lower, upper = _factors(triangles, log_diagonal)
        matrix = torch.mm(lower, upper)
        ctx.save_for_backward(x, lower, upper, matrix)
        return torch.addmm(bias[:, None], matrix, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, lower, upper, matrix = ctx.saved_tensors
        of_matrix = torch.mm(gradient, x.t())
        of_lower = torch.mm(of_matrix, upper.t()).tril_(-1)
        of_upper = torch.mm(lower.t(), of_matrix)
        of_log_diagonal = torch.mul(of_upper.diagonal(), upper.diagonal())
        of_x = torch.mm(matrix.t(), gradient) if ctx.needs_input_grad[0] else None
        return of_x, of_lower.add_(of_upper.triu_(1)), of_log_diagonal, gradient.sum(1)
