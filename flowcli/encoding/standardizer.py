"""From continuous columns, in the units of the file, to coordinates of unit scale on the whole line, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowcli.encoding.quantile_map import QuantileMap
from flowcli.encoding.tails import Tails
from flowcli.table.schema import Column

# Beyond this a coordinate's square overflows float64, and the density there is zero to every digit.
LARGEST_COORDINATE = 1e150
# A hundredth of what a normal has beyond the farthest training row lies farther out still by so much.
MARGIN = 1.0


class Standardizer:
    """The first part of f: each column onto the line by its kind, centred and scaled, then perhaps two further maps.

    Everything is float64. A value that is not observed is NaN among the columns, and zero among the coordinates.

    Args:
        columns: The columns, each real, positive or bounded, (D,).
        center: What is taken from each column after its kind's map, (D,).
        scale: What it is then divided by, (D,), positive.
        tails: What makes heavy tails light, or ``None``.
        marginal: A further map of each coordinate, or ``None``.
        limits: The least and the largest coordinates of training rows, (2, D), or ``None`` where they are not known.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        center: Tensor,
        scale: Tensor,
        tails: Tails | None = None,
        marginal: QuantileMap | None = None,
        limits: Tensor | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.center, self.scale, self.tails, self.marginal, self.limits = center, scale, tails, marginal, limits

    @classmethod
    def fit(cls, columns: Sequence[Column], values: Tensor) -> Standardizer:
        """Centre at the median and scale by the middle half of the training rows (N, D), whatever the outliers do."""
        raw = cls(columns, torch.zeros(0), torch.ones(0))
        line, _ = raw._to_line(values)
        spreads = [_center_and_scale(column[~column.isnan()]) for column in line.t()]
        centers, scales = [center for center, _ in spreads], [scale for _, scale in spreads]
        return cls(columns, torch.tensor(centers, dtype=torch.float64), torch.tensor(scales, dtype=torch.float64))

    def __len__(self) -> int:
        """D, the number of coordinates."""
        return len(self.columns)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def plain(self) -> Standardizer:
        """This standardizer without maps of tails or quantiles."""
        return Standardizer(self.columns, self.center, self.scale)

    def with_tails(self, index: Tensor) -> Standardizer:
        """Return a standardizer that makes tails of these indices (2, D) light; unchanged where all are zero."""
        tails = Tails(index) if bool((index > 0).any()) else None
        return Standardizer(self.columns, self.center, self.scale, tails, self.marginal)

    def with_marginal(self, values: Tensor) -> Standardizer:
        """Return a standardizer with a quantile map fitted to rows (N, D)."""
        unit, _ = self._to_unit(values)
        return Standardizer(self.columns, self.center, self.scale, self.tails, QuantileMap.fit(unit))

    def with_limits(self, values: Tensor) -> Standardizer:
        """Return this standardizer with the ranges of training rows (N, D), which ``plausible`` compares with."""
        u = self.forward(values)[0]
        limits = torch.stack([u.amin(0), u.amax(0)]) if len(u) else u.new_zeros(2, len(self))
        return Standardizer(self.columns, self.center, self.scale, self.tails, self.marginal, limits)

    def plausible(self, u: Tensor) -> Tensor:
        """Return which coordinates (B, D) lie no farther out than training rows do, but for a margin, (B,)."""
        if self.limits is None:
            return torch.ones(len(u), dtype=torch.bool)
        return ((u >= self.limits[0] - MARGIN) & (u <= self.limits[1] + MARGIN)).all(1)

    def unit(self, values: Tensor) -> Tensor:
        """Return rows (B, D) on the line, centred and scaled, and not mapped further; NaN for what is not observed."""
        return (self._to_line(values)[0] - self.center) / self.scale

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates u (B, D) and log|det du/dvalues| (B,) of rows (B, D).

        A row outside of the columns' support has coordinates of zero and a log-det of minus infinity.
        """
        u, log_slopes = self.by_column(values)
        log_det = log_slopes.sum(1)
        return u.where(log_det[:, None] > -math.inf, 0.0), log_det

    def by_column(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates u (B, D) and the logarithm of each one's derivative (B, D) of rows (B, D).

        A value that is not observed, or outside of its column's support, has a coordinate of zero; the logarithm is
        zero or minus infinity.
        """
        observed = ~values.isnan()
        u, log_slopes = self._to_unit(values)
        if self.marginal is not None and len(self):
            u, further = self.marginal.forward(u)
            log_slopes = log_slopes + further
        outside = observed & ((log_slopes == -math.inf) | (u.abs() > LARGEST_COORDINATE) | u.isnan())
        log_slopes = torch.where(outside, -math.inf, log_slopes.where(observed, 0.0))
        return u.where(observed & ~outside, 0.0), log_slopes

    def inverse(self, u: Tensor) -> Tensor:
        """Return the rows (B, D) of coordinates u (B, D), strictly inside of every column's support."""
        if self.marginal is not None and len(self):
            u = self.marginal.inverse(u)
        if self.tails is not None:
            u = self.tails.inverse(u)
        line = u * self.scale + self.center
        parts = [_from_line(line[:, d], column) for d, column in enumerate(self.columns)]
        return torch.stack(parts, dim=1) if parts else line

    def _to_unit(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Centred and scaled, tails made light, (B, D), and the log-derivatives (B, D) of all until there."""
        line, log_derivative = self._to_line(values)
        u, log_derivative = (line - self.center) / self.scale, log_derivative - torch.log(self.scale)
        if self.tails is not None:
            u, further = self.tails.forward(u)
            log_derivative = log_derivative + further
        return u, log_derivative

    def _to_line(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns mapped onto the line by their kinds, and the log-derivatives, (B, D) each."""
        parts = [_onto_line(values[:, d], column) for d, column in enumerate(self.columns)]
        if not parts:
            return values, torch.zeros_like(values)
        line, log_derivative = (torch.stack(part, dim=1) for part in zip(*parts, strict=True))
        return line, log_derivative


def rounding_interval(x: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """Return the ends of the interval that is rounded to x (B,), inside of the column's support."""
    assert column.step is not None
    low, high = x - column.step / 2, x + column.step / 2
    if column.kind == "circular":  # it goes on beyond the cut
        return low, high
    lower, upper = column.support
    return low.clamp_min(lower), high.clamp_max(upper)


def _center_and_scale(line: Tensor) -> tuple[float, float]:
    """Return the median, and the middle half in units of a normal's."""
    if not len(line):
        return 0.0, 1.0
    ordered = torch.sort(line).values
    rows = len(ordered)
    # The quartiles of a normal lie 1.349 standard deviations apart.
    scale = float(ordered[(3 * rows) // 4] - ordered[rows // 4]) / 1.349
    for share in (0.9, 0.99, 1.0):  # a column whose middle half is one value has its spread further out
        if scale > 0:
            break
        wider = ordered[math.ceil(share * (rows - 1))] - ordered[math.floor((1 - share) * (rows - 1))]
        scale = float(wider) / 4
    return float(ordered[rows // 2]), scale if scale > 0 else 1.0


def _onto_line(x: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """One column mapped onto the line by its kind, and the log-derivative: -inf outside of the support."""
    lower, upper = column.support
    match column.kind:
        case "positive" if column.linear_below is not None:
            log_x = torch.log(x.clamp_min(column.linear_below))
            return log_x + (x / column.linear_below - 1).clamp_max(0), -log_x
        case "positive" if column.straight_above is not None:
            inside = x > lower
            t = torch.where(inside, x - lower, 1.0) / column.straight_above
            fraction = torch.log(-torch.expm1(-t))
            y = (t + fraction) * column.straight_above
            return y.where(~x.isnan(), math.nan), torch.where(inside, -fraction, -math.inf)
        case "positive":
            inside = x > lower
            log_x = torch.log(torch.where(inside, x - lower, 1.0))
            return log_x.where(~x.isnan(), math.nan), torch.where(inside, -log_x, -math.inf)
        case "bounded":
            inside = (x > lower) & (x < upper)
            middle = (lower + upper) / 2
            # Distances to both edges, so that neither is lost to rounding near the other.
            below = torch.log(torch.where(inside, x - lower, middle - lower))
            above = torch.log(torch.where(inside, upper - x, upper - middle))
            log_derivative = torch.where(inside, math.log(upper - lower) - below - above, -math.inf)
            return (below - above).where(~x.isnan(), math.nan), log_derivative
        case _:
            return x, torch.zeros_like(x)


def _from_line(y: Tensor, column: Column) -> Tensor:
    """Return the inverse of ``_onto_line``, kept strictly inside of the support."""
    lower, upper = column.support
    match column.kind:
        case "positive" if column.linear_below is not None:
            below = y - math.log(column.linear_below)
            return torch.where(below < 0, column.linear_below * (1 + below), torch.exp(y))
        case "positive" if column.straight_above is not None:
            x = lower + softplus(y / column.straight_above) * column.straight_above
        case "positive":
            x = lower + torch.exp(y)
        case "bounded":
            width = upper - lower
            x = torch.where(y < 0, lower + width * torch.sigmoid(y), upper - width * torch.sigmoid(-y))
        case _:
            return y
    inner_low = math.nextafter(lower, math.inf)
    inner_high = math.nextafter(upper, -math.inf)
    return x.clamp(inner_low, inner_high)
