"""A chain of layers over a base."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import Base
from flowcli.flows.conditioners import Network
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.transform import Transform


class Flow(nn.Module):
    """A density over rows of D columns: log p(x) = log p_Z(f(x)) + log |det df/dx|.

    Args:
        layers: The layers that make up f, in the order in which data passes them.
        base: The density of the latents.
    """

    def __init__(self, layers: Iterable[Transform], base: Base) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.base = base

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return the latents z (B, D) and log|det dz/dx| (B,)."""
        log_det = x.new_zeros(len(x))
        for layer in self.layers:
            assert isinstance(layer, Transform)
            x, layer_log_det = layer(x, context)
            context = layer.output_context(context)
            log_det = log_det + layer_log_det
        return x, log_det

    def output_context(self, context: Context) -> Context:
        """Return the context of the latents."""
        for layer in self.layers:
            assert isinstance(layer, Transform)
            context = layer.output_context(context)
        return context

    def freeze(self) -> Flow:
        """Ready the flow for use: no dropout, no gradients, and what every use of its networks needs made once."""
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, Network):
                module.freeze()
        return self

    def inverse(self, z: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return the rows x (B, D) and log|det dx/dz| (B,)."""
        log_det = z.new_zeros(len(z))
        contexts = [context]
        for layer in self.layers:
            assert isinstance(layer, Transform)
            contexts.append(layer.output_context(contexts[-1]))
        for layer, before in zip(reversed(self.layers), reversed(contexts[:-1]), strict=True):
            assert isinstance(layer, Transform)
            z, layer_log_det = layer.inverse(z, before)
            log_det = log_det + layer_log_det
        return z, log_det

    def log_prob(self, x: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return log-density of each row, in nats, (B,)."""
        z, log_det = self(x, context)
        log_prob: Tensor = self.base.log_prob(z, self.output_context(context)) + log_det
        return log_prob

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw rows (B, D): z from the base, then the inverse of f."""
        return self.inverse(self.base.sample(rows, generator, self.output_context(context)), context)[0]
