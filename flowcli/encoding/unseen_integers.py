"""Numbers of a grid that are not among those with a probability of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

UPPER_QUARTILE = 0.7407  # of a Student t with four degrees of freedom
REACH = 1e6  # in spreads: beyond it, and beyond what a float64 can count, there is nothing
MOST_DRAWS = 1000


class UnseenIntegers:
    """A discretised Student t distribution (four degrees of freedom) on the numbers of a grid, without some of them.

    Its tails make a number that nobody has seen cost five times the logarithm of its distance, and no more, and draw
    hardly any that is ten times as far out as those that were seen. Numbers below zero are left out where none was
    seen.

    Args:
        values: The numbers that are not its own, rising.
        step: The step of the lattice.
        origin: One of its numbers.
        typical_distance: Half of the others lie within so many units of the middle one of the values.
        signed: Whether there are numbers below zero.
        tolerance: How far from the lattice a number may lie that counts as one of it.
    """

    def __init__(
        self,
        values: Sequence[float],
        step: float,
        origin: float,
        typical_distance: float,
        *,
        signed: bool,
        tolerance: float = math.inf,
    ) -> None:
        self.step, self.origin, self.typical_distance, self._tolerance = step, origin, typical_distance, tolerance
        self.middle = values[len(values) // 2]
        self._center = round((self.middle - origin) / step)
        self._scale = max(typical_distance / step / UPPER_QUARTILE, 1.0)
        reach = min(REACH * self._scale, 2.0**52)
        self._least, self._most = -reach if signed else max(-reach, -self._center - math.floor(origin / step)), reach
        self._own = torch.tensor(
            [round((value - origin) / step) - self._center for value in values], dtype=torch.float64
        )
        whole = self._mass_to(self._most) - self._mass_to(self._least - 1)
        inside = self._own[(self._own >= self._least) & (self._own <= self._most)]
        self._log_total = math.log(max(whole - float(self._mass(inside).sum()), 1e-300))

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the logarithm of the probability of each number (B,), (B,)."""
        indices = torch.round((x - self.origin) / self.step) - self._center
        near = (x - self.origin - (indices + self._center) * self.step).abs() <= self._tolerance
        possible = near & (indices >= self._least) & (indices <= self._most) & ~torch.isin(indices, self._own)
        return torch.where(possible, torch.log(self._mass(indices)) - self._log_total, -math.inf)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw so many of the numbers, (count,)."""
        indices = torch.full((count,), math.nan, dtype=torch.float64)
        low, high = (_below((edge + half) / self._scale) for edge, half in ((self._least, -0.5), (self._most, 0.5)))
        for _ in range(MOST_DRAWS):
            unfinished = indices.isnan().nonzero()[:, 0]
            if not len(unfinished):
                break
            shares = low + (high - low) * torch.rand(len(unfinished), generator=generator, dtype=torch.float64)
            drawn = torch.round(_quantile(shares) * self._scale).clamp(self._least, self._most)
            kept = ~torch.isin(drawn, self._own)
            indices[unfinished[kept]] = drawn[kept]
        # Where the values leave nearly nothing, the next number above them will do.
        indices = torch.where(indices.isnan(), float(self._own.max()) + 1, indices)
        return self.origin + (indices + self._center) * self.step

    def _mass(self, indices: Tensor) -> Tensor:
        """Return the probability of whole numbers before any is left out."""
        near, outer = (indices.abs() - 0.5) / self._scale, (indices.abs() + 0.5) / self._scale
        # With s = t / sqrt(4 + t^2) the distribution function is 1/2 + 3/4 (s - s^3 / 3). Far out both s are nearly
        # one, and all that counts is what they are short of it.
        s, r = (t / torch.sqrt(4 + t.square()) for t in (near, outer))
        short, shorter = (4 / (4 + t.square()) for t in (near, outer))  # 1 - s^2, 1 - r^2
        both = (short + s.square() * shorter) / (1 + s * r)  # 1 - s r
        between = short * shorter * (outer + near) / (4 * self._scale) / torch.where(indices == 0, 1.0, s + r)
        difference = torch.where(indices == 0, r - s, between)
        return 0.25 * difference * (short + both + shorter)

    def _mass_to(self, index: float) -> float:
        """Return the probability of all whole numbers up to one."""
        return _below((index + 0.5) / self._scale)


def _below(t: float) -> float:
    """Return the distribution function of a Student t with four degrees of freedom."""
    s = t / math.sqrt(4 + t * t)
    return 0.5 + 0.75 * (s - s**3 / 3)


def _quantile(share: Tensor) -> Tensor:
    """Return the inverse of it, (B,) (Shaw, 2006)."""
    alpha = (4 * share * (1 - share)).clamp(1e-300, 1)
    q = torch.cos(torch.arccos(torch.sqrt(alpha)) / 3) / torch.sqrt(alpha)
    return torch.sign(share - 0.5) * 2 * torch.sqrt((q - 1).clamp_min(0))
