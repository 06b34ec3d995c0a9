"""A masked network evaluated column by column, at the cost of about one pass."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.networks.masked import MaskedLinear, MaskedNetwork


class Stepper:
    """The parameters of column 0, 1, 2, ... in turn, as inverting an autoregressive map needs them.

    A rerun of the whole network for every column would cost D passes. Here each step computes only the hidden units
    that the last column unlocked, one slice of each layer, from units that are known by then. Values are stored
    units by rows, so that a slice is contiguous. Dropout is off, and no gradient is kept.

    Args:
        network: The network.
        rows: B.
        context: What the density depends on besides the row.
    """

    @torch.no_grad()
    def __init__(self, network: MaskedNetwork, rows: int, context: Context = NO_CONTEXT) -> None:
        layers = [network.first, *(cast("MaskedLinear", layer) for layer in network.trunk.layers)]
        sizes = (network.planes, network.columns)
        self._trunk = network.trunk
        self._weights = [layer.masked_weight() for layer in layers]
        self._biases = [layer.bias[:, None] for layer in layers]
        self._values = [weight.new_empty(len(weight), rows) for weight in self._weights]
        self._active = [torch.empty_like(value) for value in self._values]
        self._last_weight = network.last.masked_weight().view(*sizes, -1).transpose(0, 1).contiguous()
        self._last_bias = network.last.bias.view(sizes).t()[:, :, None]
        self._context = None if network.context is None else network.context(context.given).t()
        # Trunk layers of a residual network come in pairs with the degrees of their block.
        degrees = [network.degrees[0]]
        for number in range(1, len(layers)):
            degrees.append(network.degrees[(number - 1) // 2 if network.trunk.residual else number])
        self._edges = [torch.searchsorted(d, torch.arange(network.columns + 1)).tolist() for d in degrees]

    @torch.no_grad()
    def parameters(self, column: int, x: Tensor) -> Tensor:
        """The parameters of one column, (P, B).

        Args:
            column: The column, counted from 0; to be asked for in turn.
            x: Columns by rows, (D, B), of which those before ``column`` are read.
        """
        values, active = self._values, self._active
        source, known = x, column
        stream = values[0]
        for number, weight in enumerate(self._weights):
            begin, end = self._edges[number][column : column + 2]
            if begin < end:
                new = torch.addmm(self._biases[number][begin:end], weight[begin:end, :known], source[:known])
                if number == 0 and self._context is not None:
                    new += self._context[begin:end]
                if number and self._trunk.adds_stream(number):
                    new += stream[begin:end]
                values[number][begin:end] = new
                active[number][begin:end] = self._trunk.activation(new)
            if number and self._trunk.adds_stream(number):
                stream = values[number]
            source, known = active[number], end
        return torch.addmm(self._last_bias[column], self._last_weight[column, :, :known], source[:known])
