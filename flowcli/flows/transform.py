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

    def start(self, x: Tensor) -> None:
        """Set the parameters from training rows x (N, D), where a start that depends on the data is better."""
