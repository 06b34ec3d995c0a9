"""What every layer of a flow is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from flowcli.flows.context import NO_CONTEXT, Context


class Transform(nn.Module, ABC):
    """A bijection between rows x and latents z, both (B, D), given an optional context."""

    @abstractmethod
    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return z (B, D) and log|det dz/dx| (B,)."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return x (B, D) and log|det dx/dz| (B,)."""

    def output_context(self, context: Context) -> Context:
        """Return the context of what comes out: another one where columns change their places."""
        return context

    def initialize(self, x: Tensor) -> None:
        """Set the parameters from training rows x (N, D), where a start that depends on the data is better.

        Columns that are not observed are NaN.
        """


def only_observed(z: Tensor, log_derivative: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """Return z (B, D) and the sum of the log-derivatives (B, D) over the observed columns, (B,)."""
    if context.observed is None:
        return z, log_derivative.sum(-1)
    # Not a product: what is not observed may be beyond what the map can bear.
    present = context.observed > 0
    return z.where(present, 0.0), log_derivative.where(present, 0.0).sum(-1)
