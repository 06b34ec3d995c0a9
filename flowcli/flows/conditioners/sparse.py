"""Sparse autoregressive networks: a small network of its own for each column, which sees few of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.conditioners.autoregressive import AutoregressiveNetwork
from flowcli.flows.conditioners.column_blocks import BlockAffine, BlockLinear, ChosenLinear
from flowcli.flows.conditioners.mutual_information import mutual_information
from flowcli.flows.conditioners.network import hidden_pairs
from flowcli.flows.context import NO_CONTEXT, Context


class SparseNetwork(AutoregressiveNetwork):
    """Column i's parameters from the few columns before it that say most about it, its *parents*.

    In many columns most have little to say about most others, and a network that sees them all learns noise. Which
    ones are seen is chosen once, by the mutual information of pairs of columns in the training rows (by which Chow and
    Liu, 1968, choose trees), so this is a Bayesian network with learned conditionals.

    Args:
        columns: D.
        parameters: P, the parameters per column.
        parents: How many columns each sees at most.
        hidden: Widths of the hidden layers of each column's network; all equal if ``residual``.
        residual: Whether blocks with skip connections are used.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training.
        context: C, the number of conditioning variables, which every column sees.
    """

    first: ChosenLinear

    def __init__(
        self,
        columns: int,
        parameters: int,
        parents: int,
        hidden: Sequence[int],
        *,
        residual: bool,
        activation: ActivationName,
        dropout: float,
        context: int = 0,
    ) -> None:
        def between(before: int, after: int) -> BlockLinear:
            return BlockLinear(columns, before, after)

        super().__init__(
            ChosenLinear(columns, min(parents, max(columns - 1, 1)), hidden[0]),
            hidden_pairs(hidden, residual=residual, make=between),
            between(hidden[-1], parameters),
            context=context,
            residual=residual,
            activation=activation,
            dropout=dropout,
        )
        self.columns, self.planes_each = columns, parameters

    @torch.no_grad()
    def select_parents(self, x: Tensor) -> None:  # noqa: D102
        if self.columns > 1:
            self.first.choose(mutual_information(x))

    def column_by_column(self, rows: int, context: Context = NO_CONTEXT) -> SparseSteps:  # noqa: D102
        return SparseSteps(self, context)


class SparseSteps:
    """The parameters of one column after the other: each column has a network of its own, so each is one pass.

    Args:
        network: The network.
        context: What the density depends on besides the row.
    """

    def __init__(self, network: SparseNetwork, context: Context) -> None:
        self._network = network
        self._affines = cast("list[BlockAffine]", network.affines())
        self._from_context: Tensor | None = None
        if network.context is not None:
            assert context.features is not None
            self._from_context = torch.mm(network.context.weight, context.features.t())

    @torch.no_grad()
    def parameters(self, column: int, x: Tensor) -> Tensor:  # noqa: D102
        network = self._network
        first, *others = self._affines
        parents = network.first.parents[column, : min(column, first.weight.shape[2])]
        value = self._block(first, column, x.index_select(0, parents))
        if self._from_context is not None:
            value += self._from_context.view(network.columns, len(value), -1)[column]
        stream = value
        for number, affine in enumerate(others, 1):
            value = self._block(affine, column, network.activation.apply(value))
            if network.adds_stream(number) and number < len(others):
                stream = value = value + stream
        return value

    @staticmethod
    def _block(affine: BlockAffine, column: int, value: Tensor) -> Tensor:
        """Return what one block makes of its values (I, B), or of the first of them."""
        weight = affine.weight[column, :, : len(value)]
        bias = affine.bias.view(affine.weight.shape[:2])[column]
        return torch.addmm(bias[:, None], weight, value)
