"""Dense networks, for coupling layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.networks.activation import ActivationName
from flowcli.flows.networks.linear import DenseLinear
from flowcli.flows.networks.network import Network, hidden_pairs


class DenseNetwork(Network):
    """A network (B, inputs) -> (B, outputs) whose output is zero at the start.

    Args:
        inputs: Size of the input, context included; with 0 the output is a learned constant.
        outputs: Size of the output.
        hidden: Widths of the hidden layers; of the residual blocks, all equal, if ``residual``.
        residual: Whether blocks with skip connections are used.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        *,
        residual: bool,
        activation: ActivationName,
        dropout: float,
    ) -> None:
        super().__init__(
            DenseLinear(max(inputs, 1), hidden[0]),
            hidden_pairs(hidden, residual=residual, make=DenseLinear),
            DenseLinear(hidden[-1], outputs),
            context=0,
            residual=residual,
            activation=activation,
            dropout=dropout,
        )
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, outputs), which lie in memory unit by unit."""
        seen = x.t() if self.inputs else x.new_zeros(1, len(x))
        return self.evaluate(seen, NO_CONTEXT).t()
