"""Dates as a day of the week, which has a probability of its own, and a number that goes on from week to week.

Which day of the week a date is says more than how late it is: shops are shut on Sundays. So the day is an outcome, that
networks know before they see a number; what is left of the date is the time within its own weekdays, put together
without the other six, and stretched so that it runs as fast as the date does. Both together are the date again, one to
one, so that densities stay densities. In the same way a month is one of the year's twelve.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.table.schema import Column
from flowcli.table.values.cell_format import unit_of
from flowcli.table.values.dates import DAY

THURSDAY = 3  # 1970-01-01, where a Monday is 0


class Season:
    """The outcomes of a column of dates: the days of a week, Monday first, or the months or quarters of a year.

    Args:
        column: The column, of a density, without atoms, words and missing cells.

    Attributes:
        count: How many outcomes there are.
        others: Always ``None``, as no value is without an outcome.
        words: The number of outcomes, as there are no words.
    """

    others = None

    def __init__(self, column: Column) -> None:
        assert column.seasonal_period is not None
        assert column.format is not None
        unit = unit_of(column.format)
        self.column = column
        self.count = self.words = self.unseen = self.missing = column.seasonal_period
        self._length = float(DAY) if unit == "second" else 1.0  # of one outcome
        self._first = THURSDAY if unit in ("day", "second") else 0
        # A rounded date belongs to the day, and so to the outcome, that it is rounded to.
        step = column.step or 0.0
        self._begin = (column.origin % step if step else 0.0) - step / 2
        self._middle = self._begin - (self.count - 1) / 2 * self._length

    def codes(self, x: Tensor) -> Tensor:
        """Return the outcomes of dates x (B,), (B,); zero for what is none."""
        return torch.remainder(self._indices(x.nan_to_num(0.0, 0.0, 0.0)), self.count).long()

    def forward(self, x: Tensor) -> Tensor:
        """Return how far dates x (B,) are along their own outcomes, (B,), as fast as the dates on the whole."""
        indices = self._indices(x)
        rounds = torch.floor(indices / self.count)
        within = x - self._begin - (indices - self._first) * self._length
        return self.count * (rounds * self._length + within) + self._middle

    def inverse(self, y: Tensor, codes: Tensor) -> Tensor:
        """Return the dates (B,) of outcomes (B,) that are as far along as y (B,); the inverse of ``forward``."""
        along = (y - self._middle) / self.count
        rounds = torch.floor(along / self._length)
        indices = rounds * self.count + codes
        return self._begin + (indices - self._first) * self._length + (along - rounds * self._length)

    def log_masses(self, codes: Tensor, x: Tensor) -> Tensor:
        """Return the logarithm of the derivative of ``forward`` at x (B,), (B,)."""
        return torch.full_like(x, math.log(self.count)).where(~x.isnan(), 0.0)

    def numbers(self) -> None:
        """Return nothing, since a day of the week is no number."""
        return

    def _indices(self, x: Tensor) -> Tensor:
        """Return how many days, months or quarters have begun since the first of their first round, (B,)."""
        return torch.floor((x - self._begin) / self._length) + self._first
