"""Where the training rows of each column lay, and given numbers that lie far outside of that."""

from __future__ import annotations

import math

import numpy as np

from flowcli.model.density import Density, Rows
from flowcli.table import Schema
from flowcli.table.values.cell_format import number_text

RANGES = "ranges"  # in a summary
DISTANT = 0.5  # of the training range, beyond its end


def training_ranges(values: Rows, schema: Schema) -> dict[str, list[float]]:
    """Return the least and the largest number of each column of rows (N, N_c), for a summary; angles have no ends."""
    ranges = {}
    for column, cells in zip(schema.columns, values.T, strict=True):
        numbers = cells[np.isfinite(cells)]
        if len(numbers) and not column.text and column.kind != "circular":
            ranges[column.name] = [float(numbers.min()), float(numbers.max())]
    return ranges


class DistantGiven:
    """Given numbers far outside of the training range of their column: seen block by block, and said once.

    Args:
        density: The density; one of an earlier flowcli does not know its ranges, and nothing is said.
    """

    def __init__(self, density: Density) -> None:
        ranges = density.summary.get(RANGES, {})
        columns = enumerate(density.schema.columns)
        self._columns = [(index, column, *ranges[column.name]) for index, column in columns if column.name in ranges]
        self._is_given = [column.given for _, column, *_ in self._columns]
        # Per column: how many numbers lie too far out, the least of all that do and the largest.
        self._distant = [(0, math.inf, -math.inf)] * len(self._columns)

    def add(self, values: Rows, *, of_any: bool = False) -> None:
        """Look at the given numbers of further rows (n, N_c).

        Args:
            values: The rows; NaN for what is not given.
            of_any: Whether these are given in any column, and not only in those that the density is conditioned on.
        """
        for number, (index, _, lower, upper) in enumerate(self._columns):
            reach = DISTANT * (upper - lower)
            if not (self._is_given[number] or of_any) or not reach:
                continue
            cells = values[:, index]
            distant = cells[(cells < lower - reach) | (cells > upper + reach)]
            if len(distant):
                count, least, most = self._distant[number]
                self._distant[number] = (
                    count + len(distant),
                    min(least, float(distant.min())),
                    max(most, float(distant.max())),
                )

    @property
    def notes(self) -> list[str]:
        """One line for each column with such numbers: the farthest of them, and how far out it is."""
        lines = []
        for (_, column, lower, upper), (count, least, most) in zip(self._columns, self._distant, strict=True):
            if not count:
                continue
            farthest = max(least, most, key=lambda x: max(lower - x, x - upper))
            times = max(lower - farthest, farthest - upper) / (upper - lower)
            shown, low, high = (number_text(each, column.format) for each in (farthest, lower, upper))
            who = shown if least == most else f"the farthest of {count:,} such numbers, {shown},"
            lines.append(
                f"column {column.name!r}: {who} lies {times:,.1f} times the training range beyond its end"
                f" ({low} to {high}); the density there is a guess"
            )
        return lines
