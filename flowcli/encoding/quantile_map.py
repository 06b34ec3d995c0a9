"""Each column made near-normal by a fitted, smooth map."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor

from flowcli.flows.kernels import rational_quadratic
from flowcli.flows.kernels.rational_quadratic import Bin

TAIL_ROWS = 10  # rows beyond the outermost inner knot on each side


class QuantileMap:
    """A strictly increasing, continuously differentiable bijection of the whole line for each column.

    Knots lie at quantiles of the training rows, equally spaced in the normal quantile that they are mapped to; between
    them runs a monotone rational quadratic, beyond them a straight line with the same slope. So the log-derivative is
    exact everywhere. All numbers are float64.

    Args:
        positions: Knots along each column, (D, K), strictly increasing.
        heights: What they are mapped to, (D, K), strictly increasing.
        slopes: The derivative at each knot, (D, K), positive.
    """

    def __init__(self, positions: Tensor, heights: Tensor, slopes: Tensor) -> None:
        self.positions, self.heights, self.slopes = positions, heights, slopes

    @classmethod
    def fit(cls, x: Tensor) -> QuantileMap:
        """Fit to rows x (N, D) in float64, NaN where there is no value; knots grow in number with the root of N."""
        columns = [_knots(column[~column.isnan()]) for column in x.t()]
        longest = max(len(positions) for positions, _ in columns)
        padded = [_padded(positions, heights, longest) for positions, heights in columns]
        positions, heights = (torch.stack(part) for part in zip(*padded, strict=True))
        return cls(positions, heights, _slopes(positions, heights))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, D) and the log-derivatives (B, D) of rows x (B, D)."""
        value = x.t().contiguous()
        inside, bins, start, width = self._locate(value, self.positions)
        z, log_derivative = rational_quadratic.forward((value - start) / width, bins)
        log_derivative = log_derivative - torch.log(width)
        low, high = value < self.positions[:, :1], value >= self.positions[:, -1:]
        z = torch.where(low, self.heights[:, :1] + (value - self.positions[:, :1]) * self.slopes[:, :1], z)
        z = torch.where(high, self.heights[:, -1:] + (value - self.positions[:, -1:]) * self.slopes[:, -1:], z)
        end = torch.where(low, self.slopes[:, :1], self.slopes[:, -1:]).log()
        return z.t(), torch.where(inside, log_derivative, end).t()

    def inverse(self, z: Tensor) -> Tensor:
        """Return the rows x (B, D) of z (B, D)."""
        value = z.t().contiguous()
        _, bins, start, width = self._locate(value, self.heights)
        x = start + width * rational_quadratic.inverse(value, bins)[0]
        low, high = value < self.heights[:, :1], value >= self.heights[:, -1:]
        x = torch.where(low, self.positions[:, :1] + (value - self.heights[:, :1]) / self.slopes[:, :1], x)
        x = torch.where(high, self.positions[:, -1:] + (value - self.heights[:, -1:]) / self.slopes[:, -1:], x)
        return x.t()

    def _locate(self, value: Tensor, edges: Tensor) -> tuple[Tensor, Bin, Tensor, Tensor]:
        """Return which values (D, B) lie between the outermost knots; the bin of each, its start and its width.

        The bin is given as one of width 1, in which an outlier's bin, however wide, has numbers of ordinary size.
        """
        above = torch.searchsorted(edges.contiguous(), value, right=True)
        inside = (above > 0) & (above < edges.shape[1])
        left = (above - 1).clamp(0, edges.shape[1] - 2)
        start = self.positions.gather(1, left)
        width = self.positions.gather(1, left + 1) - start
        unit = Bin(
            x0=torch.zeros_like(width),
            x1=torch.ones_like(width),
            y0=self.heights.gather(1, left),
            y1=self.heights.gather(1, left + 1),
            d0=self.slopes.gather(1, left) * width,
            d1=self.slopes.gather(1, left + 1) * width,
        )
        return inside, unit, start, width


def _knots(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the knots of one column's values (N,) lie, (K,), and what they are mapped to, (K,)."""
    rows, normal = len(x), NormalDist()
    inner = max(8, min(64, round(math.sqrt(rows) / 2)))
    batch = max(3, rows)  # of fewer, the outermost would lie no further out than the inner ones
    reach = normal.inv_cdf(1 - min(TAIL_ROWS, batch / 4) / batch)
    end = normal.inv_cdf(1 - 0.5 / batch)
    z = torch.tensor([-end, *torch.linspace(-reach, reach, inner, dtype=torch.float64).tolist(), end]).double()
    shares = torch.special.ndtr(z)
    shares[0], shares[-1] = 0.0, 1.0
    return _distinct(_quantiles(x, shares), z)


def _quantiles(x: Tensor, shares: Tensor) -> Tensor:
    """Return the values below which so large shares of x (N,) lie; nothing but zeros where there is none."""
    if not len(x):
        return torch.zeros_like(shares)
    ordered = torch.sort(x).values
    index = shares * (len(x) - 1)
    left = index.floor().long().clamp_max(max(0, len(x) - 2))
    right = (left + 1).clamp_max(len(x) - 1)
    return torch.lerp(ordered[left], ordered[right], (index - left).to(x))


def _distinct(positions: Tensor, heights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the knots without those that nearly coincide with the one before; heights of repeats are averaged."""
    least = 1e-9 * float(positions[len(positions) * 3 // 4] - positions[len(positions) // 4])
    kept: list[tuple[float, list[float]]] = []
    for position, height in zip(positions.tolist(), heights.tolist(), strict=True):
        if kept and position - kept[-1][0] <= max(least, 1e-12 * abs(position)):
            kept[-1][1].append(height)
        else:
            kept.append((position, [height]))
    if len(kept) == 1:  # nothing but one value: a straight line through it
        position, deviation = kept[0][0], max(1e-12 * abs(kept[0][0]), 1e-12)
        kept = [(position - deviation, [-1.0]), (position + deviation, [1.0])]
    at = torch.tensor([position for position, _ in kept], dtype=torch.float64)
    return at, torch.tensor([sum(h) / len(h) for _, h in kept], dtype=torch.float64)


def _padded(positions: Tensor, heights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return a piecewise-linear map's knots padded to ``count``, on the straight line that continues its last piece."""
    missing = count - len(positions)
    if not missing:
        return positions, heights
    width, rise = positions[-1] - positions[-2], heights[-1] - heights[-2]
    steps = torch.arange(1, missing + 1, dtype=torch.float64)
    return torch.cat([positions, positions[-1] + steps * width]), torch.cat([heights, heights[-1] + steps * rise])


def _slopes(positions: Tensor, heights: Tensor) -> Tensor:
    """Positive derivatives at the knots: weighted geometric means of the secants on both sides."""
    widths = positions.diff(dim=1)
    log_secants = torch.log(heights.diff(dim=1)) - torch.log(widths)
    share = widths[:, 1:] / (widths[:, 1:] + widths[:, :-1])
    inner = torch.lerp(log_secants[:, 1:], log_secants[:, :-1], share)
    return torch.exp(torch.cat([log_secants[:, :1], inner, log_secants[:, -1:]], dim=1))
