"""Coverage: how many rows lie in the smallest regions that hold a given share of the model's mass.

The q-region is {x : p(x) >= t}, with t such that the model has the mass q there (highest-density region; Hyndman,
1996). t is found from log-densities of rows that the model drew. Where a table is mixed, p is relative to the measure
of docs/density.md; the region is well defined all the same.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from flowcli.evaluation.metrics.information import divergence
from flowcli.evaluation.metrics.ranks import ranks_among, ranks_among_own
from flowcli.random import Stream, numpy_generator

Rows = NDArray[np.float64]
Miscalibration = Literal["too narrow", "too wide", "tails too light", "tails too heavy"]

LEVELS = (0.5, 0.9, 0.99)
CONFIDENCE = 0.95
EXACT = 1e9  # draws that leave no doubt about a share
MOST_DIMENSIONS = 10_000.0
SURE = 0.01  # the chance at which one region alone tells which way a model is wrong


@dataclass(frozen=True)
class Region:
    """One region, and the rows in it.

    Attributes:
        level: The share of the model's mass that lies in it.
        inside: The share of rows that do.
        low: The lower end of a 95% confidence interval of that share; of the upper one see ``high``. It allows for the
            rows being few, and for the draws that the region was found from (Clopper & Pearson, 1934, on n m / (n + m)
            rows for n rows and m draws).
        high: Its upper end.
        chance: How likely a share as far off is for a right model, from both sides: a beta-binomial distribution, which
            is exact for regions found from draws.
    """

    level: float
    inside: float
    low: float
    high: float
    chance: float

    @property
    def nats(self) -> float:
        """What a model loses by this share alone, in nats a row."""
        inside = np.array([self.inside, 1 - self.inside])
        return float(special.rel_entr(inside, [self.level, 1 - self.level]).sum())


@dataclass(frozen=True)
class Coverage:
    """The regions, from small to large.

    Attributes:
        ranks: Of each row's log-density among those of draws, as shares: uniform for a right model, (N,).
        regions: For each of ``LEVELS``.
        nats: What the model loses at least, by the shares in and between the regions.
        chance: How likely that is for a right model.
        dimensions: Of a Gaussian whose log-density varies as much as the model's.
    """

    ranks: Rows
    regions: tuple[Region, ...]
    nats: float
    chance: float
    dimensions: float

    @property
    def miscalibration(self) -> Miscalibration | None:
        """Which way the regions are wrong; ``None`` where too few are sure to be.

        A model that is too wide or too narrow as a whole is so by the same factor in its middle and far out. Were it a
        Gaussian of so many dimensions, the factor would follow from each region's share.
        """
        alignments = [int(np.sign(r.inside - r.level)) if r.chance < SURE else 0 for r in self.regions]
        center, outer = alignments[0], alignments[2] or alignments[1]
        if center and outer in (0, center):
            near, distant = self._stretch(self.regions[0]), self._stretch(self.regions[1])
            if not (outer and abs(distant) > 2 * abs(near)):
                return "too wide" if center > 0 else "too narrow"
        if outer:
            return "tails too heavy" if outer > 0 else "tails too light"
        return None

    def _stretch(self, region: Region) -> float:
        """Return the logarithm of the squared factor by which the model is too wide, seen in one region."""
        least = 0.5 / len(self.ranks)
        inside, level = stats.chi2.ppf([np.clip(region.inside, least, 1 - least), region.level], self.dimensions)
        return float(np.log(inside / level))


def coverage(rows: Rows, draws: Rows, seed: int) -> Coverage:
    """Return how many rows lie in the model's regions.

    Args:
        rows: The log-density of each row, (N,).
        draws: Those of the model's draws, (M,); where it is conditioned on something, K draws for what each row is
            given, (N, K), so that every row has regions of its own.
        seed: Of random numbers that break ties.
    """
    random = numpy_generator(seed, Stream.COVERAGE)
    ranks = (ranks_among if draws.ndim == 1 else ranks_among_own)(rows, draws, random)
    known = np.where(np.isfinite(draws), draws, np.nan)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without a single draw
        variance = float(np.nanmean(np.nanvar(known, axis=-1)))
    dimensions = 2 * variance if np.isfinite(variance) else 1.0
    count = len(draws) if draws.ndim == 1 else None
    regions = bands_of(ranks, count)
    edges = [0.0, *(1 - level for level in reversed(LEVELS)), 1.0]
    counts = np.histogram(ranks, edges)[0].astype(np.float64)
    expected = np.diff(edges) * (EXACT if count is None else count)
    chance = min(1.0, len(regions) * min(region.chance for region in regions))
    dimensions = float(np.clip(dimensions, 1.0, MOST_DIMENSIONS))
    return Coverage(ranks, regions, divergence(counts, expected), chance, dimensions)


def bands_of(ranks: Rows, draws: int | None) -> tuple[Region, ...]:
    """Return the regions in which ranks (N,) are high, of so many draws, or with draws of each row's own."""
    return tuple(_region(ranks, draws, level) for level in LEVELS)


def _region(ranks: Rows, draws: int | None, level: float) -> Region:
    count = len(ranks)
    if draws is None:
        inside = int((ranks >= 1 - level).sum())
        law, effective = stats.binom(count, level), float(count)
    else:
        below = max(1, round((1 - level) * (draws + 1)))  # a row is inside if so many draws are below it
        inside = int((ranks >= below / (draws + 1)).sum())
        law, effective = stats.betabinom(count, draws + 1 - below, below), count * draws / (count + draws)
    chance = min(1.0, 2 * min(float(law.cdf(inside)), float(law.sf(inside - 1))))
    share = inside / count
    tail = (1 - CONFIDENCE) / 2
    hits, misses = share * effective, (1 - share) * effective
    low = float(stats.beta.ppf(tail, hits, misses + 1)) if inside else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, misses)) if inside < count else 1.0
    return Region(level, share, low, high, chance)
