"""Sums among columns: a total is modelled as what is left of it once its parts are taken away.

Rows of a table become *residual rows* here, in which no column is a sum of others, and rows of the table again. Nothing
above knows of sums but this: the step has no Jacobian, since a total moves one to one with what is left of it. So does
a column that is never below another one, of which the difference is modelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from flowcli.table import as_written
from flowcli.table.inference.lattice import MAX_DECIMALS
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
        self._bounded = [
            index for index, column in enumerate(schema.columns) if column.least is not None or column.most is not None
        ]

    @property
    def bounded(self) -> bool:
        """Whether there are sums that are not possible."""
        return bool(self._bounded)

    def possible(self, residuals: Tensor) -> Tensor:
        """Return which columns of sums are, in residual rows (B, N_c), numbers that they can be, (B, N_c)."""
        possible = torch.ones_like(residuals, dtype=torch.bool)
        if not self._bounded:
            return possible
        values = residuals.clone()
        for index in self._after_their_parts():
            for part, factor in self._parts(self._schema.columns[index]):
                values[:, index] += factor * values[:, part]
        for index in self._bounded:
            column = self._schema.columns[index]
            reach = (column.step or 0.0) / 2  # of what is rounded
            if column.least is not None:
                possible[:, index] &= ~(values[:, index] < column.least - reach)
            if column.most is not None:
                possible[:, index] &= ~(values[:, index] > column.most + reach)
        return possible

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
                origin = column.origin
                left = on_grid(residuals[:, index].numpy() - origin, column.step) + origin
                # A total with digits that its column does not have stays between the numbers that may be left.
                if not column.takes_more_digits:
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
            subtracted = torch.zeros_like(values[:, index])
            for part, factor in self._parts(column):
                subtracted += factor * values[:, part]
            if column.at_least is not None:
                values[:, index] = self._above(values[:, index], subtracted, column, written)
                continue
            total = self._total(values[:, index], subtracted, column)
            values[:, index] = _written(total, column) if written else total
        return values

    def _total(self, left: Tensor, subtracted: Tensor, column: Column) -> Tensor:
        """Return a sum (B,) of which this is left once others are taken from it."""
        assert column.step is not None
        if not (column.integer or column.text) and column.decimals is None:  # as exact as its parts
            return left + subtracted
        return torch.from_numpy(off_grid(left.numpy(), subtracted.numpy(), column.step))

    def _above(self, difference: Tensor, low: Tensor, column: Column, written: bool) -> Tensor:
        """Return a column (B,) that lies so far above another one, which is written if this one is to be."""
        if not written:
            return low + difference
        plain = replace(column, integer=False, decimals=None, format=None, subtracted_columns=())
        rounded = _written(difference, plain)
        finest = 1.0 if column.integer else None if column.decimals is None else float(f"1e-{column.decimals}")
        if column.step is None and finest is not None:  # what is above is written as such
            rounded = torch.where(rounded > 0, rounded.clamp_min(finest), rounded)
        total = _written(low + rounded, column)
        if finest is not None:
            return total
        if column.step is None:  # a difference too small for a float64 to show is one all the same
            return torch.where(rounded > 0, total.maximum(low.nextafter(total.new_tensor(math.inf))), total)
        digits = self._digits(column)
        return total if digits is None else torch.from_numpy(np.round(total.numpy(), digits))

    def _digits(self, column: Column) -> int | None:
        """Return how many digits after the point the lattice of a column and those below it has; ``None`` without."""
        if column.step is None:
            return None
        digits: list[int | None] = [_digits_of(column.step), _digits_of(column.origin)]
        digits += [self._digits(self._schema.columns[part]) for part, _ in self._parts(column)]
        known = [count for count in digits if count is not None and count <= MAX_DECIMALS]
        return max(known) if len(known) == len(digits) else None

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


def _digits_of(number: float) -> int:
    """Return how many digits after the point a number has."""
    exponent = Decimal(repr(number)).as_tuple().exponent if number != int(number) else 0
    assert isinstance(exponent, int)
    return -exponent


def _written(values: Tensor, column: Column) -> Tensor:
    """Return the values (B,) of a column as its table writes them."""
    return torch.from_numpy(as_written(values[:, None].numpy(), Schema((column,)))[:, 0])
