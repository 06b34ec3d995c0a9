"""Dense networks, for coupling layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from flowcli.flows.networks.trunk import ActivationName, Trunk, layer_pairs


class DenseNetwork(nn.Module):
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
        super().__init__()
        self.inputs = inputs
        self.first = nn.Linear(max(inputs, 1), hidden[0])
        layers = layer_pairs(hidden, residual=residual, make=nn.Linear)
        self.trunk = Trunk(layers, residual=residual, activation=activation, dropout=dropout)
        self.last = nn.Linear(hidden[-1], outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, outputs)."""
        out: Tensor = self.last(self.trunk(self.first(x if self.inputs else x.new_zeros(len(x), 1))))
        return out
