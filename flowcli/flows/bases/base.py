"""What a base is, and the random numbers that bases draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context


class Base(nn.Module, ABC):
    """A density over latents z (B, D) that can be evaluated and sampled.

    Of a row in which some columns are not there (``Context.observed``) it is the density of the others; what is drawn
    for them is zero.
    """

    @abstractmethod
    def log_prob(self, z: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return log-density of each latent, in nats, (B,)."""

    @abstractmethod
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw latents (rows, D) with a generator on the CPU, so that a seed means the same on every device."""


def normal(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers (rows, columns), with the dtype and device of ``like``."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(like)


def uniform(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers (rows, columns), with the dtype and device of ``like``."""
    return torch.rand(rows, columns, generator=generator, dtype=torch.float64).to(like)


def summed(log_densities: Tensor, context: Context) -> Tensor:
    """Return the sum over the columns (B, D) that are observed, (B,)."""
    return (log_densities if context.observed is None else log_densities * context.observed).sum(-1)


Rows = Callable[[Tensor, Context], Tensor]


def by_completeness(whole: Rows, partial: Rows, z: Tensor, context: Context) -> Tensor:
    """Compute something of each row, in one way where all of its columns are observed and in another one elsewhere."""
    if context.observed is None:
        return whole(z, context)
    complete = (context.observed > 0).all(1)
    out: Tensor | None = None
    for chosen, compute in ((complete, whole), (~complete, partial)):
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            own = context.select(rows)
            found = compute(z[rows], own if compute is partial else Context(own.features))
            out = found.new_zeros(len(z), *found.shape[1:]) if out is None else out
            out = out.index_copy(0, rows, found)
    return z.new_zeros(0) if out is None else out
