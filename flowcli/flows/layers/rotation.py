"""Columns mixed by a rotation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform, refuse_missing


class Rotation(Transform):
    """z = R x with R = (I - A)(I + A)^-1, Cayley's map of a learned skew-symmetric A.

    Volume is preserved: R is a rotation whatever A is, to the precision it is computed in. Source: Golub & Van Loan,
    Matrix computations, on Cayley transforms of skew-symmetric matrices.

    Args:
        columns: D.
        random: Whether to start at a random rotation, from torch's global generator, instead of the identity.
    """

    def __init__(self, columns: int, *, random: bool = False) -> None:
        super().__init__()
        # A is the part below the diagonal, made skew.
        self.generator = nn.Parameter(torch.randn(columns, columns) if random else torch.zeros(columns, columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        refuse_missing(self, context)
        return x @ self._matrix().t(), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        refuse_missing(self, context)
        return z @ self._matrix(), z.new_zeros(len(z))

    def _matrix(self) -> Tensor:
        lower = torch.tril(self.generator, -1)
        skew = lower - lower.t()
        identity = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        # (I - A) and (I + A)^-1 commute, so one solve gives their product.
        matrix: Tensor = torch.linalg.solve(identity + skew, identity - skew)
        return matrix
