"""Columns mixed by a rotation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.gaussian_mixture import Patterns
from flowcli.flows.transform import Transform


class Rotation(Transform):
    """z = R x with R = (I - A)(I + A)^-1, Cayley's map of a learned skew-symmetric A.

    Volume is preserved: R is a rotation whatever A is, to the precision it is computed in. Source: Golub & Van Loan,
    Matrix computations, on Cayley transforms of skew-symmetric matrices. Where columns are not observed, their rows and
    columns of A are zero: what is left is skew, and R a rotation of the others.

    Args:
        columns: D.
        random: Whether to start at a random rotation, from torch's global generator, instead of the identity.
    """

    def __init__(self, columns: int, *, random: bool = False) -> None:
        super().__init__()
        # A is the part below the diagonal, made skew.
        self.generator = nn.Parameter(torch.randn(columns, columns) if random else torch.zeros(columns, columns))

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self._turned(x, context, back=False), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self._turned(z, context, back=True), z.new_zeros(len(z))

    def _turned(self, rows: Tensor, context: Context, *, back: bool) -> Tensor:
        """Return rows (B, D) turned, or turned back."""
        lower = torch.tril(self.generator, -1)
        skew = lower - lower.t()
        if context.observed is None:
            matrix = _cayley(skew)
            return rows @ (matrix if back else matrix.t())
        patterns = Patterns.of(context.observed)
        matrices = _cayley(skew * (patterns.observed[:, :, None] & patterns.observed[:, None, :]))
        return torch.einsum("bji,bj->bi" if back else "bij,bj->bi", matrices[patterns.own], rows)


def _cayley(skew: Tensor) -> Tensor:
    """Return the rotations of skew-symmetric matrices, (..., D, D)."""
    identity = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    # (I - A) and (I + A)^-1 commute, so one solve gives their product.
    matrix: Tensor = torch.linalg.solve(identity + skew, identity - skew)
    return matrix
