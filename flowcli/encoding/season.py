"""Dates as a day of the week, or a month of the year, which has a probability of its own, and a number that goes on.

Which day of the week a date is says more than how late it is: shops are shut on Sundays. So the day is an outcome, that
networks know before they see a number; what is left of the date is the time within its own weekdays, put together
without the other six, and stretched so that it runs as fast as the date does. Both together are the date again, one to
one, so that densities stay densities. In the same way a month is one of the year's twelve.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.table.schema import Column
from flowcli.table.values.cell_format import unit_of
from flowcli.table.values.dates import DAY, WEEK, YEAR

THURSDAY = 3  # 1970-01-01, where a Monday is 0
DAYS_OF_A_YEAR = 365.2425


def season_of(column: Column) -> Season:
    """Return the outcomes of a column of dates that is divided into some."""
    assert column.format is not None
    by_calendar = unit_of(column.format) in ("day", "second") and column.seasonal_period != WEEK
    return CalendarSeason(column) if by_calendar else Season(column)


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

    def interval(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return both ends (B,) of the rounding intervals of dates x (B,), which are y (B,) along their outcomes."""
        assert self.column.step is not None
        half = self.column.step / 2 * self.log_masses(self.codes(x), x).exp()
        return y - half, y + half

    def numbers(self) -> None:
        """Return nothing, since a day of the week is no number."""
        return

    def _indices(self, x: Tensor) -> Tensor:
        """Return how many days, months or quarters have begun since the first of their first round, (B,)."""
        return torch.floor((x - self._begin) / self._length) + self._first


class _Months(NamedTuple):
    """Months, (B,) each: the day that each begins on, since 1970-01-01, and how many days it has."""

    first: Tensor
    days: Tensor


class CalendarSeason(Season):
    """The months of the year as outcomes of days or seconds, January first, or each with the days of the week in it.

    Months have four lengths, so a year is what is left of a date, and the share of the month's days, or of its Mondays,
    that went by before. It is counted so that the middle of each month is where it is in the year: no date is more than
    half a year from where it lies then, and one that is a little later than all others lies little beyond them.
    """

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._of_week = self.count // YEAR  # how many outcomes a month has

    def codes(self, x: Tensor) -> Tensor:
        """Return the outcomes of dates x (B,), (B,); zero for what is none."""
        days, _ = self._days(x)
        month = _month_of(days)
        outcomes = torch.remainder(month, YEAR) * self._of_week
        if self._of_week > 1:
            outcomes += torch.remainder(days + THURSDAY, WEEK)
        return outcomes.where(~x.isnan(), 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return how far dates x (B,) are along their own outcomes, (B,), as fast as the dates on the whole."""
        days, within = self._days(x)
        month = _month_of(days)
        of_month = _months(month)
        share = ((days - of_month.first) // self._stride + within) / self._size(days, of_month)
        years = month // YEAR + share + _middle_of(torch.remainder(month, YEAR))
        return self._begin + DAYS_OF_A_YEAR * self._length * years

    def inverse(self, y: Tensor, codes: Tensor) -> Tensor:
        """Return the dates (B,) of outcomes (B,) that are as far along as y (B,); the inverse of ``forward``."""
        month = codes // self._of_week
        along = (y - self._begin) / (DAYS_OF_A_YEAR * self._length) - _middle_of(month)
        year = torch.floor(along)
        of_month = _months(year.long() * YEAR + month)
        first = of_month.first
        if self._of_week > 1:
            first = first + torch.remainder(codes % self._of_week - (first + THURSDAY), WEEK)
        size = self._size(first, of_month)
        position = (along - year) * size
        whole = torch.minimum(torch.floor(position), size - 1.0)
        return self._begin + (first + whole * self._stride + (position - whole)) * self._length

    def log_masses(self, codes: Tensor, x: Tensor) -> Tensor:
        """Return the logarithm of the derivative of ``forward`` at x (B,), (B,)."""
        days, _ = self._days(x)
        size = self._size(days, _months(_month_of(days)))
        return torch.log(DAYS_OF_A_YEAR / size.double()).where(~x.isnan(), 0.0)

    @property
    def _stride(self) -> int:
        """How many days lie between two of the same outcome in one month."""
        return WEEK if self._of_week > 1 else 1

    def _days(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return on which day since 1970-01-01 dates x (B,) are, (B,), and which share of it went by before, (B,)."""
        along = (x - self._begin) / self._length
        days = torch.floor(along.detach().nan_to_num(0.0, 0.0, 0.0))
        return days.long(), along - days

    def _size(self, days: Tensor, of_month: _Months) -> Tensor:
        """Return how many days of the same outcome as these days (B,) their months have, (B,)."""
        return (of_month.days - 1 - (days - of_month.first) % self._stride) // self._stride + 1


def _middle_of(month: Tensor) -> Tensor:
    """Return how much later than the middle of a year that of its months (B,), from zero on, is, (B,), in years."""
    return (month + 0.5) / YEAR - 0.5


def _month_of(days: Tensor) -> Tensor:
    """Return the months, since January 1970, of days (B,) since its first, (B,)."""
    return _converted(days, "D", "M")


def _months(months: Tensor) -> _Months:
    """Return months (B,), which are counted since January 1970."""
    first = _converted(months, "M", "D")
    return _Months(first, _converted(months + 1, "M", "D") - first)


def _converted(counts: Tensor, unit: str, other: str) -> Tensor:
    """Return counts (B,) of one unit of time since 1970 as those of another, (B,)."""
    dates: NDArray[np.datetime64] = counts.numpy().astype(f"datetime64[{unit}]")
    return torch.from_numpy(dates.astype(f"datetime64[{other}]").astype(np.int64))
