"""What networks share in which the parameters of column i depend on the columns before i alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from torch import Tensor

from flowcli.flows.conditioners.network import Network
from flowcli.flows.context import NO_CONTEXT, Context


class ColumnByColumn(Protocol):
    """The parameters of column 0, 1, 2, ... in turn, as inverting an autoregressive map needs them."""

    def parameters(self, column: int, x: Tensor) -> Tensor:
        """Return the parameters of one column, (P, B).

        Args:
            column: The column, counted from 0; to be asked for in turn.
            x: Columns by rows, (D, B) or as many numbers as they have, of which those before ``column`` are read.
        """


class AutoregressiveNetwork(Network):
    """A network (D, B) -> planar parameters (P, D, B), zero at the start, in which column i sees columns before it.

    Attributes:
        columns: D.
        planes_each: P; 1 where columns have different numbers of parameters.
    """

    columns: int
    planes_each: int

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the parameters of every column, (P, B, D), of rows (B, D)."""
        return self.theta(x.t(), context).transpose(1, 2)

    def theta(self, x: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the parameters of every column (P, D, B), of rows given column by column (D, B)."""
        return self.planes(self.evaluate(x, context), self.planes_each)

    def planes(self, outputs: Tensor, count: int) -> Tensor:  # noqa: D102
        return outputs.view(len(outputs) // count, count, outputs.shape[1]).transpose(0, 1)

    def units(self, planes: Tensor) -> Tensor:  # noqa: D102
        return planes.transpose(0, 1).reshape(planes.shape[0] * planes.shape[1], planes.shape[2])

    @abstractmethod
    def column_by_column(self, rows: int, context: Context = NO_CONTEXT) -> ColumnByColumn:
        """Return what evaluates ``rows`` rows' parameters column by column, without dropout and gradients."""

    def select_parents(self, x: Tensor) -> None:
        """Choose what columns see from training rows (N, D), where there is a choice; what is not observed is NaN."""
