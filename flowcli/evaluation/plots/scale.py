"""How the values of a column lie along an axis: in between two robust ends, on a logarithm, or level by level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from flowcli.evaluation.plots import words
from flowcli.table import Column

Rows = NDArray[np.float64]

MOST_LEVELS = 12
SKEWED = 3.0  # times as far from the median to the upper twentieth as to the lower: drawn on a logarithm
MARGIN = 0.04
# Beyond the outer hundredths a third of what lies between them, and no more than ten times the middle half.
FARTHER, FARTHEST = 0.35, 10.0
DECADES = 1.2  # of a logarithmic axis: with fewer there would be hardly a tick


@dataclass(frozen=True)
class Scale:
    """Places from 0 to 1 for the values of a column.

    Attributes:
        column: The column.
        levels: The values that have a place each; none for numbers.
        labels: What these are called; after them, if anything else occurs, what that is.
        low: Of numbers, where the axis begins; its logarithm on a logarithmic axis.
        high: Where it ends.
        log: Whether the axis is logarithmic.
        step: Of rounded numbers, what they are rounded to.
    """

    column: Column
    levels: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    step: float | None = None

    @classmethod
    def of(cls, column: Column, *groups: Rows) -> Scale:
        """Return the scale for all values (N,) of some groups, such as samples and data; a missing cell is NaN."""
        present = [group[~np.isnan(group)] for group in groups]
        present = [group for group in present if len(group)]
        if not column.subtracted_columns:
            if column.text:
                return _of_texts(column, present)
            if column.kind in ("discrete", "constant"):
                values = column.values or (column.value or 0.0,)
                if len(values) <= MOST_LEVELS:
                    labels = tuple(words.number(value, 6) for value in values)
                    return cls(column, values, _with_others(labels, values, present))
        step = _step(column)
        if not column.subtracted_columns and column.kind in ("bounded", "circular"):
            assert column.lower is not None
            assert column.upper is not None
            return cls(column, low=column.lower, high=column.upper, step=step)
        log = _skewed(column, present)
        if log:
            present = [np.log10(group[group > 0]) for group in present]
        low, high = _ends(present)
        if log and high - low < DECADES:
            log = False
            low, high = _ends([10**group for group in present])
        low, high = _padded(low, high)
        return cls(column, low=low, high=high, log=log, step=step)

    @property
    def count(self) -> int:
        """How many levels there are; 0 for numbers."""
        return len(self.labels)

    @property
    def cyclic(self) -> bool:
        """Whether the end is the beginning."""
        return self.column.kind == "circular" and not self.column.subtracted_columns

    def positions(self, values: Rows, random: np.random.Generator | None = None) -> Rows:
        """Places (N,) of values (N,): below 0 or above 1 for what lies beyond, NaN for a missing cell.

        Args:
            values: The values.
            random: Where there is one, rounded numbers are spread over their cells; a level's place is its middle in
                any case.
        """
        absent = np.isnan(values)
        if self.count:
            own = np.array(self.levels)
            nearest = np.abs(values[:, None] - own).argmin(axis=1) if len(own) else np.zeros(len(values), np.int64)
            known = np.isclose(own[nearest], values, rtol=1e-9, atol=0) if len(own) else np.zeros(len(values), bool)
            level = np.where(known, nearest, len(own))
            return np.where(absent, np.nan, (level + 0.5) / self.count)
        if self.step and random is not None:
            moved = values + (random.random(len(values)) - 0.5) * self.step
            moved = np.where(np.isin(values, self.column.atoms), values, moved)
            if self.cyclic:  # the cell around the cut has two ends
                moved = self.low + np.remainder(moved - self.low, self.high - self.low)
            if self.log:
                moved = np.where(values > 0, np.maximum(moved, values / 2), values)
            values = moved
        with np.errstate(all="ignore"):
            if self.log:
                # What has no logarithm lies below all that has one.
                values = np.where(values > 0, np.log10(np.where(values > 0, values, 1.0)), -np.inf)
            found = (values - self.low) / (self.high - self.low)
        return np.where(absent, np.nan, found)

    def values(self, positions: Rows) -> Rows:
        """Return the numbers at places, the inverse of ``positions``."""
        found = self.low + positions * (self.high - self.low)
        return np.asarray(10**found if self.log else found)

    def beyond(self, values: Rows) -> float:
        """Return the share of the values that are observed which lie beyond the ends."""
        positions = self.positions(values[~np.isnan(values)])
        return float(((positions < 0) | (positions > 1)).mean()) if len(positions) else 0.0

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Places and what stands beside them, at most about so many; all levels, where there are any."""
        if self.count:
            return [((level + 0.5) / self.count, label) for level, label in enumerate(self.labels)]
        if self.log:
            first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
            every = max(1, math.ceil((last - first + 1) / most))
            powers = range(first, last + 1, every)
            exponents = [float(power) for power in powers]
            texts = [words.number(10.0**power, 1) if abs(power) < 300 else f"1e{power}" for power in powers]
        else:
            steps = [1, 1.5, 3, 4.5, 9, 10] if self.cyclic and self.high - self.low == 360 else [1, 2, 2.5, 5, 10]
            found = MaxNLocator(most, steps=steps).tick_values(self.low, self.high)
            slack = 1e-9 * (self.high - self.low)
            exponents = [float(v) for v in found if self.low - slack <= v <= self.high + slack]
            texts = words.numbers(exponents)
        return [((at - self.low) / (self.high - self.low), text) for at, text in zip(exponents, texts, strict=True)]


def _of_texts(column: Column, groups: list[Rows]) -> Scale:
    """Return the levels of a column of text, the most frequent of them where they are many."""
    positions = tuple(float(index) for index in range(len(column.levels)))
    if len(positions) > MOST_LEVELS:
        shares = sum((np.bincount(g[g >= 0].astype(np.int64), minlength=len(positions)) / len(g) for g in groups), 0.0)
        order = np.argsort(-np.broadcast_to(np.asarray(shares), len(positions)), kind="stable")
        positions = tuple(float(index) for index in np.sort(order[: MOST_LEVELS - 1]))
    labels = tuple(column.levels[int(index)] for index in positions)
    return Scale(column, positions, _with_others(labels, positions, groups))


def _with_others(labels: tuple[str, ...], values: tuple[float, ...], groups: list[Rows]) -> tuple[str, ...]:
    """Return the labels of levels, and one more if anything else occurs."""
    others = any(
        not np.isclose(group[:, None], np.array(values), rtol=1e-9, atol=0).any(axis=1).all() for group in groups
    )
    return (*labels, "(others)") if others else labels


def _step(column: Column) -> float | None:
    """Return what the numbers of a column are rounded to."""
    if column.subtracted_columns:
        digits = 0 if column.integer else column.decimals
        return None if digits is None else float(f"1e-{digits}")
    return column.step


def _skewed(column: Column, groups: list[Rows]) -> bool:
    """Return whether nearly all is above zero and reaches so far up that a logarithm shows more of it."""
    if column.subtracted_columns or column.kind != "positive" or 0.0 in column.atoms or not groups or column.lower:
        return False
    if any((group > 0).mean() < 0.999 for group in groups):
        return False
    low, middle, high = np.quantile(groups[-1], [0.05, 0.5, 0.95])
    return bool(high - middle > SKEWED * (middle - low))


def _ends(groups: list[Rows]) -> tuple[float, float]:
    """Return the least and the largest of what is worth being shown of all groups."""
    ends = [_robust(group) for group in groups if len(group)]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)


def _robust(values: Rows) -> tuple[float, float]:
    """Return the ends of values (N,), but for what lies so far out that the others would be a line."""
    size = float(np.abs(values).max()) or 1.0
    values = values / size  # the difference of the largest numbers is none
    first, third, low, quarter, middle, upper, ninety_seven, high = np.quantile(
        values, [0.0, 0.03, 0.01, 0.25, 0.5, 0.75, 0.97, 0.99]
    )
    below, above = max(first, low - FARTHER * (high - low)), min(values.max(), high + FARTHER * (high - low))
    if upper > quarter:
        reach = FARTHEST * (upper - quarter)
        below, above = max(below, min(middle - reach, third)), min(above, max(middle + reach, ninety_seven))
    return float(below) * size, float(above) * size


def _padded(low: float, high: float) -> tuple[float, float]:
    """Return the ends with a margin; where they are one point, with something around it."""
    width = high - low
    if not width > 1e-12 * max(abs(low), abs(high)):
        width = abs(low) or 1.0
        return low - 0.5 * width, high + 0.5 * width
    return low - MARGIN * width, high + MARGIN * width
