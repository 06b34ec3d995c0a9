"""Dense networks, for coupling layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.conditioners.linear import DenseLinear
from flowcli.flows.conditioners.network import Network, SavedActivations, hidden_pairs
from flowcli.flows.context import NO_CONTEXT, Context


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
        return self.evaluate(x.t(), NO_CONTEXT).t()

    def evaluate(self, x: Tensor, context: Context) -> Tensor:  # noqa: D102
        return super().evaluate(self._joined(x, context.features), NO_CONTEXT)

    def forward_saving(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, SavedActivations]:  # noqa: D102
        outputs, saved = super().forward_saving(self._joined(x, features), None)
        return outputs, saved._replace(features=features)

    def gradient(  # noqa: D102
        self, saved: SavedActivations, gradient: Tensor, *, of_x: bool, of_given: bool
    ) -> tuple[Tensor | None, Tensor | None, list[Tensor | None]]:
        joined, _, of_weights = super().gradient(saved, gradient, of_x=of_x or of_given, of_given=False)
        if joined is None:
            return None, None, of_weights
        if saved.features is None:
            return joined[: self.inputs], None, of_weights
        columns = self.inputs - saved.features.shape[1]
        return joined[:columns], joined[columns:].t(), of_weights

    def planes(self, outputs: Tensor, count: int) -> Tensor:  # noqa: D102
        return outputs.view(count, len(outputs) // count, outputs.shape[1])

    def units(self, planes: Tensor) -> Tensor:  # noqa: D102
        return planes.reshape(planes.shape[0] * planes.shape[1], planes.shape[2])

    def _joined(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Return columns and context as one input; a column of zeros where there are neither."""
        columns_seen = [x] if features is None else [x, features.t()]
        return torch.cat(columns_seen) if self.inputs else x.new_zeros(1, x.shape[1])
