"""Sums among columns: a total is modelled as what is left of it once its parts are taken away.

Rows of a table become *residual rows* here, in which no column is a sum of others, and rows of the table again. Nothing
above knows of sums but this: the step has no Jacobian, since a total moves one to one with what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from flowcli.table import as_written
from flowcli.table.inference.relations import off_grid, on_grid
from flowcli.table.schema import Column, Schema
from flowcli.table.values.support import off_digits


class Relations:
    """The sums among a table's columns.

    Args:
        schema: The columns, N_c.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._totals = [index for index, column in enumerate(schema.columns) if column.subtracted_columns]

    def residuals(self, values: Tensor) -> Tensor:
        """Return rows (B, N_c) without what is subtracted from their columns, on the lattices of what is left."""
        if not self._totals:
            return values
        residuals = values.clone()
        for index in self._totals:
            column = self._schema.columns[index]
            for part, factor in self._parts(column):
                residuals[:, index] -= factor * values[:, part]
            if column.step:
                left = on_grid(residuals[:, index].numpy(), column.step)
                # A total with digits that its column does not have stays between the numbers that may be left.
                left[off_digits(column, values[:, index].numpy())] += column.step / 2
                residuals[:, index] = torch.from_numpy(left)
        return residuals

    def restore(self, residuals: Tensor, *, written: bool = True) -> Tensor:
        """Return the rows of the table (B, N_c) of residual rows.

        Args:
            residuals: The residual rows, (B, N_c).
            written: Whether totals and their parts are rounded as their table writes them.
        """
        values = residuals.clone()
        if not self._totals:
            return values
        for index, column in enumerate(self._schema.columns):
            if written and index not in self._totals and not column.given:
                values[:, index] = _written(values[:, index], column)
        for index in self._after_their_parts():
            column = self._schema.columns[index]
            assert column.step is not None
            subtracted = torch.zeros_like(values[:, index])
            for part, factor in self._parts(column):
                subtracted += factor * values[:, part]
            total = torch.from_numpy(off_grid(values[:, index].numpy(), subtracted.numpy(), column.step))
            values[:, index] = _written(total, column) if written else total
        return values

    def _parts(self, column: Column) -> Iterator[tuple[int, float]]:
        """Yield the indices of the columns that are subtracted from one, with their factors."""
        for name, factor in column.subtracted_columns:
            yield self._schema.names.index(name), factor

    def _after_their_parts(self) -> Iterator[int]:
        """Yield the totals in an order in which each comes after those that are among its parts."""
        waiting = set(self._totals)
        while waiting:
            ready = [
                index
                for index in sorted(waiting)
                if not any(part in waiting for part, _ in self._parts(self._schema.columns[index]))
            ]
            assert ready, "columns are subtracted from each other in a circle"
            yield from ready
            waiting.difference_update(ready)


def _written(values: Tensor, column: Column) -> Tensor:
    """Return the values (B,) of a column as its table writes them."""
    return torch.from_numpy(as_written(values[:, None].numpy(), Schema((column,)))[:, 0])
