"""Masked networks: the parameters of column i depend on the columns before i alone.

Each hidden unit has a *degree*: a unit of degree d sees columns 0 .. d-1. Units are sorted by degree, so every mask is
a staircase, and what column i - 1 unlocks is one slice of each hidden layer; the products and the stepper build on
that. Paper: MADE (Germain et al., 2015).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.conditioners.autoregressive import AutoregressiveNetwork
from flowcli.flows.conditioners.linear import MaskedLinear
from flowcli.flows.conditioners.network import hidden_pairs
from flowcli.flows.context import NO_CONTEXT, Context


class MaskedNetwork(AutoregressiveNetwork):
    """One network for all columns, in which column i sees those before it.

    Columns may be wider than one number, and have different numbers of parameters; these come one after the other then
    (``evaluate``), and not in planes.

    Args:
        columns: D.
        parameters: P, the parameters per column; or those of each column.
        hidden: Widths of the hidden layers; of the residual blocks, all equal, if ``residual``.
        residual: Whether blocks with skip connections are used.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training.
        context: C, the number of conditioning variables, which every column sees.
        widths: How many numbers each column consists of; one by default.
    """

    def __init__(
        self,
        columns: int,
        parameters: int | Sequence[int],
        hidden: Sequence[int],
        *,
        residual: bool,
        activation: ActivationName,
        dropout: float,
        context: int = 0,
        widths: Sequence[int] | None = None,
    ) -> None:
        degrees = [unit_degrees(width, columns, context) for width in hidden]
        last = degrees[-1]
        each, planes = ([1] * columns, parameters) if isinstance(parameters, int) else (parameters, 1)
        inputs = [0, *accumulate(widths or [1] * columns)]
        seen = [bisect_right(last, column) for column in range(columns) for _ in range(each[column])]
        super().__init__(
            MaskedLinear([inputs[degree] for degree in degrees[0]], inputs[-1]),
            hidden_pairs(degrees, residual=residual, make=_between),
            MaskedLinear(seen, len(last), planes),
            context=context,
            residual=residual,
            activation=activation,
            dropout=dropout,
        )
        self.columns, self.planes_each, self.degrees = columns, planes, degrees
        # Where each column's numbers begin among the inputs, and its parameters among the outputs.
        self.input_edges, self.output_edges = inputs, [0, *accumulate(planes * count for count in each)]

    def column_by_column(self, rows: int, context: Context = NO_CONTEXT) -> Stepper:  # noqa: D102
        return Stepper(self, rows, context)


def unit_degrees(width: int, columns: int, context: int) -> list[int]:
    """Degrees of a layer's units, sorted and evenly spread, (width,).

    The lowest degree is 1 (one column seen), or 0 where the context, or nothing but a bias, is all there is to see.
    """
    lowest = 0 if context or columns == 1 else 1
    return [lowest + unit * (columns - lowest) // width for unit in range(width)]


def _between(before: list[int], after: list[int]) -> MaskedLinear:
    """Return a masked layer between units of these degrees: each sees those of its own degree or a lower one."""
    return MaskedLinear([bisect_right(before, degree) for degree in after], len(before))


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
            assert context.features is not None
            self._start = torch.addmm(self._start, network.context.weight, context.features.t())
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
