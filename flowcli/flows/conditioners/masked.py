"""Masked networks: the parameters of column i depend on the columns before i alone.

Each hidden unit has a *degree*: a unit of degree d sees columns 0 .. d-1. Units are sorted by degree, so every mask is
a staircase, and what column i - 1 unlocks is one slice of each hidden layer; the products and the stepper build on
that. Paper: MADE (Germain et al., 2015).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.conditioners.autoregressive import AutoregressiveNetwork
from flowcli.flows.conditioners.linear import MaskedLinear
from flowcli.flows.conditioners.network import hidden_pairs
from flowcli.flows.conditioners.stepper import Stepper
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

    def steps(self, rows: int, context: Context = NO_CONTEXT) -> Stepper:  # noqa: D102
        return Stepper(self, rows, context)


def unit_degrees(width: int, columns: int, context: int) -> list[int]:
    """Degrees of a layer's units, sorted and evenly spread, (width,).

    The lowest degree is 1 (one column seen), or 0 where the context, or nothing but a bias, is all there is to see.
    """
    lowest = 0 if context or columns == 1 else 1
    return [lowest + unit * (columns - lowest) // width for unit in range(width)]


def _between(before: list[int], after: list[int]) -> MaskedLinear:
    """A masked layer between units of these degrees: each sees those of its own degree or a lower one."""
    return MaskedLinear([bisect_right(before, degree) for degree in after], len(before))
