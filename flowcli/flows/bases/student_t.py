"""Independent Student t's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import Base, normal
from flowcli.flows.context import NO_CONTEXT, Context


class StudentT(Base):
    """Independent Student t's with learnable degrees of freedom, location and scale, one of each per column.

    Paper: Tails of Lipschitz triangular flows (Jaini et al., 2020), on why a normal base cannot have heavy tails.

    Args:
        columns: D.
        degrees_of_freedom: Where they start.
    """

    def __init__(self, columns: int, degrees_of_freedom: float = 10.0) -> None:
        super().__init__()
        self.log_degrees = nn.Parameter(torch.full((columns,), math.log(degrees_of_freedom)))
        self.mean = nn.Parameter(torch.zeros(columns))
        self.log_scale = nn.Parameter(torch.zeros(columns))

    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:  # noqa: D102
        df = torch.exp(self.log_degrees)
        e = (z - self.mean) * torch.exp(-self.log_scale)
        constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(math.pi * df) - self.log_scale
        return (constant - (df + 1) / 2 * torch.log1p(e * e / df)).sum(-1)

    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw latents: a normal over the root of a chi-squared per degree of freedom."""
        df = torch.exp(self.log_degrees.detach()).double().cpu()
        # A gamma variable by its own quantile would be slow; torch's sampler takes the generator as it is.
        chi_squared = 2 * torch._standard_gamma((df / 2).expand(rows, -1), generator=generator)
        t = normal(rows, len(df), generator, df) * torch.sqrt(df / chi_squared)
        return self.mean + t.to(self.mean) * torch.exp(self.log_scale)
