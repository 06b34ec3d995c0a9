"""From columns, in the units of the file, to coordinates of unit scale on the whole line, and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.density.quantile_map import QuantileMap
from flowcli.table.schema import Column, Schema

# Beyond this a coordinate's square overflows float64, and the density there is zero to every digit.
FARTHEST = 1e150


class Coordinates:
    """The first part of f: each column onto the line by its kind, centred and scaled, and perhaps a quantile map.

    Everything is float64. Constant columns have no coordinate.

    Args:
        schema: The columns, N_c of them.
        center: What is taken from each free column after its kind's map, (D,).
        scale: What it is then divided by, (D,), positive.
        marginal: A further map of each coordinate, or ``None``.
    """

    def __init__(self, schema: Schema, center: Tensor, scale: Tensor, marginal: QuantileMap | None = None) -> None:
        self.schema, self.center, self.scale, self.marginal = schema, center, scale, marginal
        self._free = [i for i, column in enumerate(schema.columns) if column.kind != "constant"]

    @classmethod
    def fit(cls, schema: Schema, values: Tensor) -> Coordinates:
        """Centre at the median and scale by the middle half of the training rows (N, N_c), whatever the outliers do."""
        raw = cls(schema, torch.zeros(0), torch.ones(0))
        line, _ = raw._to_line(values)
        if not line.shape[1]:
            return raw
        ordered = torch.sort(line, dim=0).values
        rows = len(ordered)
        center = ordered[rows // 2]
        # The quartiles of a normal lie 1.349 standard deviations apart.
        scale = (ordered[(3 * rows) // 4] - ordered[rows // 4]) / 1.349
        for share in (0.9, 0.99, 1.0):  # a column whose middle half is one value has its spread further out
            wider = ordered[math.ceil(share * (rows - 1))] - ordered[math.floor((1 - share) * (rows - 1))]
            scale = torch.where(scale > 0, scale, wider / 4)
        return cls(schema, center, torch.where(scale > 0, scale, torch.ones_like(scale)))

    @property
    def columns(self) -> int:
        """D, the number of coordinates."""
        return len(self._free)

    @property
    def names(self) -> list[str]:
        """The names of the columns that have a coordinate."""
        return [self.schema.columns[i].name for i in self._free]

    @property
    def rounded(self) -> bool:
        """Whether any column's values lie on a grid."""
        return any(self.schema.columns[i].step for i in self._free)

    def with_marginal(self, values: Tensor) -> Coordinates:
        """The same with a quantile map fitted to rows (N, N_c)."""
        line, _ = self._to_line(values)
        return Coordinates(self.schema, self.center, self.scale, QuantileMap.fit((line - self.center) / self.scale))

    def support(self, values: Tensor) -> Tensor:
        """Which rows (B, N_c) the columns can hold at all, (B,)."""
        return self._to_line(values)[1] > -math.inf

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates u (B, D) and log|det du/dvalues| (B,) of rows (B, N_c).

        A row outside of the columns' support has coordinates of zero and a log-det of minus infinity.
        """
        line, log_det = self._to_line(values)
        u = (line - self.center) / self.scale
        log_det = log_det - torch.log(self.scale).sum()
        if self.marginal is not None and u.shape[1]:
            u, log_derivative = self.marginal.forward(u)
            log_det = log_det + log_derivative.sum(1)
        outside = (log_det == -math.inf) | (u.abs() > FARTHEST).any(1) | u.isnan().any(1)
        return torch.where(outside[:, None], 0.0, u), torch.where(outside, -math.inf, log_det)

    def inverse(self, u: Tensor) -> Tensor:
        """Return the rows (B, N_c) of coordinates u (B, D), strictly inside of every column's support."""
        if self.marginal is not None and u.shape[1]:
            u = self.marginal.inverse(u)
        line = u * self.scale + self.center
        values = line.new_empty(len(line), len(self.schema.columns))
        for i, column in enumerate(self.schema.columns):
            if column.kind == "constant":
                assert column.value is not None
                values[:, i] = column.value
        for d, i in enumerate(self._free):
            values[:, i] = _from_line(line[:, d], self.schema.columns[i])
        return values

    def jitter(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """The rows (B, N_c) with every rounded value spread evenly over the cell that was rounded to it."""
        if not self.rounded:
            return values
        values = values.clone()
        for i in self._free:
            column = self.schema.columns[i]
            if column.step:
                low, high = _cell(values[:, i], column)
                share = torch.rand(len(values), generator=generator, dtype=torch.float64)
                values[:, i] = torch.lerp(low, high, share.clamp(1e-9, 1 - 1e-9))
        return values

    def _to_line(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The free columns mapped onto the line by their kinds, (B, D), and the log-det of that, (B,)."""
        log_det = values.new_zeros(len(values))
        line = []
        for i, column in enumerate(self.schema.columns):
            x = values[:, i]
            if column.kind == "constant":
                assert column.value is not None
                log_det = torch.where(x.eq(column.value), log_det, -math.inf)
                continue
            if column.step and column.kind != "real":
                # A value on the edge of the support stands for what the edge leaves of its cell.
                low, high = _cell(x, column)
                lower, upper = column.support
                x = torch.where((x == lower) | (x == upper), (low + high) / 2, x)
            y, log_derivative = _onto_line(x, column)
            line.append(y)
            log_det = log_det + log_derivative
        return torch.stack(line, dim=1) if line else values.new_empty(len(values), 0), log_det


def _onto_line(x: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """One column mapped onto the line by its kind, and the log-derivative: -inf outside of the support."""
    match column.kind:
        case "positive":
            log_x = torch.log(torch.where(x > 0, x, 1.0))
            return log_x, torch.where(x > 0, -log_x, -math.inf)
        case "bounded":
            lower, upper = column.support
            inside = (x > lower) & (x < upper)
            middle = (lower + upper) / 2
            # Distances to both edges, so that neither is lost to rounding near the other.
            below = torch.log(torch.where(inside, x - lower, middle - lower))
            above = torch.log(torch.where(inside, upper - x, upper - middle))
            return below - above, torch.where(inside, math.log(upper - lower) - below - above, -math.inf)
        case _:
            return x, torch.zeros_like(x)


def _from_line(y: Tensor, column: Column) -> Tensor:
    """The inverse of ``_onto_line``, kept strictly inside of the support."""
    lower, upper = column.support
    match column.kind:
        case "positive":
            x = torch.exp(y)
        case "bounded":
            width = upper - lower
            x = torch.where(y < 0, lower + width * torch.sigmoid(y), upper - width * torch.sigmoid(-y))
        case _:
            return y
    inner_low = math.nextafter(lower, math.inf)
    inner_high = math.nextafter(upper, -math.inf)
    return x.clamp(inner_low, inner_high)


def _cell(x: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """The ends of the interval that is rounded to x, inside of the column's support."""
    assert column.step is not None
    lower, upper = column.support
    return (x - column.step / 2).clamp_min(lower), (x + column.step / 2).clamp_max(upper)
