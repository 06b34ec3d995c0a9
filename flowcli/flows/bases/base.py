"""What a base is, and the random numbers that bases draw."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context


class Base(nn.Module, ABC):
    """A density over latents z (B, D) that can be evaluated and sampled."""

    @abstractmethod
    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Log-density of each latent, in nats, (B,)."""

    @abstractmethod
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw latents (rows, D) with a generator on the CPU, so that a seed means the same on every device."""


def normal(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers (rows, columns), with the dtype and device of ``like``."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(like)


def uniform(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers (rows, columns), with the dtype and device of ``like``."""
    return torch.rand(rows, columns, generator=generator, dtype=torch.float64).to(like)
