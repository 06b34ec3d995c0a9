"""Independent normals."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import Base, normal, summed
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.kernels.planes import LOG_SQRT_2PI


class Normal(Base):
    """Independent normals, standard ones at the start.

    Args:
        columns: D.
        learnable: Whether mean and scale are parameters like any other, or fixed.
    """

    mean: Tensor
    log_scale: Tensor

    def __init__(self, columns: int, *, learnable: bool = False) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(columns), requires_grad=learnable)
        self.log_scale = nn.Parameter(torch.zeros(columns), requires_grad=learnable)

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        e = (z - self.mean) * torch.exp(-self.log_scale)
        return summed(-0.5 * e * e - self.log_scale - LOG_SQRT_2PI, context)

    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        z = self.mean + normal(rows, len(self.mean), generator, self.mean) * torch.exp(self.log_scale)
        return z if context.observed is None else z * context.observed
