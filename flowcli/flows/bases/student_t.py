"""Independent Student t's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import Base, normal, summed
from flowcli.flows.context import NO_CONTEXT, Context

MOST_LOG_DEGREES = math.log(1e6)


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
        df = self._degrees()
        e = (z - self.mean) * torch.exp(-self.log_scale)
        return summed(_log_constant(df) - self.log_scale - (df + 1) / 2 * torch.log1p(e * e / df), context)

    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw latents: a normal over the root of a chi-squared per degree of freedom."""
        df = self._degrees().detach().double().cpu()
        chi_squared = 2 * torch._standard_gamma((df / 2).expand(rows, -1), generator=generator)
        t = normal(rows, len(df), generator, df) * torch.sqrt(df / chi_squared)
        z = self.mean + t.to(self.mean) * torch.exp(self.log_scale)
        return z if context.observed is None else z * context.observed

    def _degrees(self) -> Tensor:
        """Return the degrees of freedom, no more than what a normal can be told from in any table."""
        return torch.exp(self.log_degrees.clamp(-MOST_LOG_DEGREES, MOST_LOG_DEGREES))


def _log_constant(df: Tensor) -> Tensor:
    """Return the logarithm of a Student t's density at zero; a difference of large numbers, so computed in float64."""
    # Apple's GPUs have no float64, so this handful of numbers is computed on the processor there.
    exact = df.cpu().double() if df.device.type == "mps" else df.double()
    constant = torch.lgamma((exact + 1) / 2) - torch.lgamma(exact / 2) - 0.5 * torch.log(math.pi * exact)
    return constant.to(df)
