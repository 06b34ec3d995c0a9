"""A masked network evaluated column by column, at the cost of about one pass."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowcli.flows.context import NO_CONTEXT, Context

if TYPE_CHECKING:
    from flowcli.flows.conditioners.masked import MaskedNetwork


class Stepper:
    """The steps of a masked network.

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
        *self._hidden, self._last = network.affines()
        self._network = network
        # The context's part is there from the start, with the bias of the first layer.
        self._start = self._hidden[0].bias
        if network.context is not None:
            assert context.given is not None
            self._start = torch.addmm(self._start, network.context.weight, context.given.t())
        self._values = [affine.weight.new_empty(len(affine.weight), rows) for affine in self._hidden]
        # Without residual blocks nobody needs a value once it is activated.
        self._active = [torch.empty_like(value) for value in self._values] if network.residual else self._values
        # Hidden layers of a residual network come in pairs with the degrees of their block.
        degrees = [network.degrees[0]]
        for number in range(1, len(self._hidden)):
            degrees.append(network.degrees[(number - 1) // 2 if network.residual else number])
        self._edges = [[bisect_left(d, column) for column in range(network.columns + 1)] for d in degrees]

    @torch.no_grad()
    def parameters(self, column: int, x: Tensor) -> Tensor:  # noqa: D102
        network, source = self._network, x
        known = network.input_edges[column]
        stream = self._values[0]
        for number, affine in enumerate(self._hidden):
            begin, end = self._edges[number][column : column + 2]
            value, active = self._values[number], self._active[number]
            if begin < end:
                bias = affine.bias[begin:end] if number else self._start[begin:end]
                new = value[begin:end]
                torch.addmm(bias, affine.weight[begin:end, :known], source[:known], out=new)
                if number and network.adds_stream(number):
                    new += stream[begin:end]
                if active is value:
                    network.activation.apply_(new)
                else:
                    active[begin:end] = network.activation.apply(new)
            if number and network.adds_stream(number):
                stream = value
            source, known = active, end
        begin, end = network.output_edges[column : column + 2]
        return torch.addmm(self._last.bias[begin:end], self._last.weight[begin:end, :known], source[:known])
