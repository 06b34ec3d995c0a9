"""Maps of single columns onto the line, with derivatives of their own: nothing here knows the density under test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from flowcli.table.schema import Column

Rows = NDArray[np.float64]

KNOTS = 48
MAX_EXPONENT = 700.0  # beyond it exp() overflows
MOST = 1e150  # beyond it squares do
BOUNDED_SPREADS = 1e-12  # less of a spread than this, relative to the middle, is rounding


@dataclass(frozen=True)
class Line:
    """A column made near-normal: by its kind, centred, its tails drawn in by asinh, then by quantiles of a sample.

    Attributes:
        column: The column.
        middle: What is taken away after the kind's map.
        width: What is then divided by.
        knots: Where asinh of that has its quantiles, rising, (K,).
        heights: What they are mapped to, rising, (K,).
    """

    column: Column
    middle: float
    width: float
    knots: Rows
    heights: Rows

    @classmethod
    def fit(cls, column: Column, x: Rows) -> Line:
        """Fit to numbers (N,) inside of the column's support."""
        y = _onto(x, column)[0]
        y = y[np.isfinite(y)]
        if not len(y):
            return cls(column, 0.0, 1.0, np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))
        middle = float(np.median(y))
        low, high = np.quantile(y, [0.1, 0.9])
        width = float(high - low) / 2.56
        if not width > BOUNDED_SPREADS * abs(middle):
            width = float(np.abs(y - middle).max()) or 1.0
        s = np.arcsinh((y - middle) / width)
        shares = np.linspace(0, 1, KNOTS + 2)[1:-1]
        reach = max(0.02, min(0.2, 20 / len(s)))  # knots no farther out than a sample can tell
        shares = reach + (1 - 2 * reach) * shares
        knots, heights = np.quantile(s, shares), ndtri(shares)
        kept = np.concatenate([[True], np.diff(knots) > 1e-3])
        knots, heights = knots[kept], heights[kept]
        if len(knots) < 2:
            knots, heights = np.array([knots[0] - 1, knots[0] + 1]), np.array([-1.0, 1.0])
        return cls(column, middle, width, knots, heights)

    def forward(self, x: Rows) -> tuple[Rows, Rows]:
        """Return what numbers (N,) become, and log-derivatives, (N,)."""
        s, log_derivative = self.drawn_in(x)
        piece = np.clip(np.searchsorted(self.knots, s) - 1, 0, len(self.knots) - 2)
        slopes = np.diff(self.heights) / np.diff(self.knots)
        return self.heights[piece] + (s - self.knots[piece]) * slopes[piece], log_derivative + np.log(slopes[piece])

    def inverse(self, n: Rows) -> Rows:
        """Return the numbers (N,) that become these."""
        piece = np.clip(np.searchsorted(self.heights, n) - 1, 0, len(self.heights) - 2)
        slopes = np.diff(self.heights) / np.diff(self.knots)
        return self.drawn_out(self.knots[piece] + (n - self.heights[piece]) / slopes[piece])

    def drawn_in(self, x: Rows) -> tuple[Rows, Rows]:
        """Return numbers (N,) before quantiles are made a normal's, and log-derivatives, (N,)."""
        y, log_derivative = _onto(x, self.column)
        t = (y - self.middle) / self.width
        beyond = np.log1p(np.square(np.clip(t, -MOST, MOST)))
        return np.arcsinh(t), log_derivative - math.log(self.width) - 0.5 * beyond

    def drawn_out(self, s: Rows) -> Rows:
        """Return the inverse of ``drawn_in``."""
        return _back(self.middle + self.width * np.sinh(np.clip(s, -MAX_EXPONENT / 2, MAX_EXPONENT / 2)), self.column)


def _onto(x: Rows, column: Column) -> tuple[Rows, Rows]:
    """Return numbers (N,) mapped onto the line by their column's kind, and log-derivatives, (N,)."""
    lower, upper = column.support
    with np.errstate(divide="ignore", invalid="ignore"):
        match column.kind:
            case "positive" if column.linear_below is not None:
                twice = 2 * column.linear_below  # where x is no longer like a logarithm
                return np.arcsinh(x / twice), -np.logaddexp(2 * np.log(np.abs(x)), 2 * math.log(twice)) / 2
            case "positive":
                return np.log(x - lower), -np.log(x - lower)
            case "bounded":
                below, above = np.log(x - lower), np.log(upper - x)
                return below - above, math.log(upper - lower) - below - above
            case _:
                return x, np.zeros_like(x)


def _back(y: Rows, column: Column) -> Rows:
    """Return the inverse."""
    lower, upper = column.support
    y = y if column.kind == "real" else np.clip(y, -MAX_EXPONENT, MAX_EXPONENT)
    match column.kind:
        case "positive" if column.linear_below is not None:
            return np.asarray(2 * column.linear_below * np.sinh(y))
        case "positive":
            return np.asarray(np.maximum(lower + np.exp(y), math.nextafter(lower, math.inf)))
        case "bounded":
            share = expit(np.minimum(y, -y)) * (upper - lower)  # of the way from the nearer end
            x = np.where(y < 0, lower + share, upper - share)
            return np.asarray(np.clip(x, math.nextafter(lower, upper), math.nextafter(upper, lower)))
        case _:
            return y
