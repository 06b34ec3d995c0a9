"""Numbers of a grid that are not among those with a probability of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

REACH = 1e6  # in spreads: beyond it, and beyond what a float64 can count, there is nothing
MOST_DRAWS = 1000


class Others:
    """A discretised Cauchy distribution on the numbers of a grid, without some of them.

    Its heavy tails make a number that nobody has seen cost the logarithm of its distance, and no more. Numbers below
    zero are left out where none was seen.

    Args:
        values: The numbers that are not its own, rising.
        step: Of the grid.
        spread: Half of the others lie within so many units of the middle one of the values.
        signed: Whether there are numbers below zero.
    """

    def __init__(self, values: Sequence[float], step: float, spread: float, *, signed: bool) -> None:
        self.step, self.spread = step, spread
        self._center = round(values[len(values) // 2] / step)
        self._scale = max(spread / step, 1.0)
        reach = min(REACH * self._scale, 2.0**52)
        self._least, self._most = -reach if signed else max(-reach, -self._center), reach
        self._own = torch.tensor([round(value / step) - self._center for value in values], dtype=torch.float64)
        whole = self._mass_to(self._most) - self._mass_to(self._least - 1)
        inside = self._own[(self._own >= self._least) & (self._own <= self._most)]
        self._log_total = math.log(max(whole - float(self._mass(inside).sum()), 1e-300))

    def log_prob(self, x: Tensor) -> Tensor:
        """The logarithm of the probability of each number (B,), (B,)."""
        places = torch.round(x / self.step) - self._center
        possible = (places >= self._least) & (places <= self._most) & ~torch.isin(places, self._own)
        return torch.where(possible, torch.log(self._mass(places)) - self._log_total, -math.inf)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw so many of the numbers, (count,)."""
        places = torch.full((count,), math.nan, dtype=torch.float64)
        low, high = (math.atan((edge + side) / self._scale) for edge, side in ((self._least, -0.5), (self._most, 0.5)))
        for _ in range(MOST_DRAWS):
            open_ = places.isnan().nonzero()[:, 0]
            if not len(open_):
                break
            turns = torch.lerp(
                torch.tensor(low, dtype=torch.float64),
                torch.tensor(high, dtype=torch.float64),
                torch.rand(len(open_), generator=generator, dtype=torch.float64),
            )
            drawn = torch.round(torch.tan(turns) * self._scale).clamp(self._least, self._most)
            kept = ~torch.isin(drawn, self._own)
            places[open_[kept]] = drawn[kept]
        # Where the values leave nearly nothing, the next number above them will do.
        places = torch.where(places.isnan(), float(self._own.max()) + 1, places)
        return (places + self._center) * self.step

    def _mass(self, places: Tensor) -> Tensor:
        """The probability of whole numbers before any is left out: a difference of arc tangents, taken with care."""
        narrow = torch.tensor(1 / self._scale, dtype=torch.float64)
        at = places / self._scale
        return torch.atan2(narrow, 1 + at.square() - 0.25 * narrow.square()) / math.pi

    def _mass_to(self, place: float) -> float:
        """The probability of all whole numbers up to one."""
        return 0.5 + math.atan((place + 0.5) / self._scale) / math.pi
