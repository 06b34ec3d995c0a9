"""Columns mixed by a matrix with an LU decomposition."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform


class LU(Transform):
    """z = L U x + b with L unit lower triangular and U upper triangular with a positive diagonal.

    Paper: Glow (Kingma & Dhariwal, 2018), section 3.2.

    Args:
        columns: D.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.triangles = nn.Parameter(torch.zeros(columns, columns))  # L below the diagonal, U above it
        self.log_diagonal = nn.Parameter(torch.zeros(columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        lower, upper = self._factors()
        return linear(x, lower @ upper, self.bias), self.log_diagonal.sum().expand(len(x))

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        lower, upper = self._factors()
        y = torch.linalg.solve_triangular(lower, (z - self.bias).t(), upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, y, upper=True).t()
        return x, -self.log_diagonal.sum().expand(len(z))

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower = torch.tril(self.triangles, -1) + torch.eye(
            len(self.bias), dtype=self.bias.dtype, device=self.bias.device
        )
        upper = torch.triu(self.triangles, 1) + torch.diag(torch.exp(self.log_diagonal))
        return lower, upper
