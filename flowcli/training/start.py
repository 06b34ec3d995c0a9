"""Where a fit starts: with or without a quantile map, and at which mixture.

Both are chosen by the held-out nats of mixtures that EM finds in seconds. On every table tried so far they pointed
the same way as the finished fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from flowcli.density import Coordinates
from flowcli.errors import NumericsError
from flowcli.training.mixture import FittedMixture, fit_mixture
from flowcli.training.rows import generator

# Ridges are in units of the coordinates' scale; the larger ones are for few rows in many columns.
RIDGES = (1e-6, 1e-2, 1e-1)


@dataclass(frozen=True)
class Start:
    """A start that was found best.

    Attributes:
        coordinates: With or without a quantile map.
        mixture: Of the coordinates.
        held_out_nats: Mean log-density of the held-out rows under that mixture.
        ridge: What was added to the diagonals of the covariances.
    """

    coordinates: Coordinates
    mixture: FittedMixture
    held_out_nats: float
    ridge: float


def choose_start(
    plain: Coordinates,
    train: Tensor,
    held_out: Tensor,
    *,
    marginals: Sequence[bool],
    components: Sequence[int],
    seed: int,
) -> Start:
    """Find the start with the best held-out nats, going from few components to more while that helps.

    Args:
        plain: Coordinates without a quantile map.
        train: Training rows (N, N_c), float64.
        held_out: Held-out rows (M, N_c), float64.
        marginals: Whether to try going without a quantile map, with one, or both.
        components: Numbers of components to try, rising.
        seed: Of all random numbers.

    Raises:
        NumericsError: There is none.
    """
    spread = plain.jitter(train, generator(seed, 6))
    held_spread = plain.jitter(held_out, generator(seed, 7))
    choices = [plain.with_marginal(spread) if marginal else plain for marginal in marginals]
    found = [_climb(choice, spread, held_spread, components, seed) for choice in choices]
    best = max((start for start in found if start is not None), key=lambda start: start.held_out_nats, default=None)
    if best is None:
        raise NumericsError(
            "no mixture of Gaussians could be fitted to start from; a column may have extreme values: try"
            " --set flow.layers.0.marginal=quantile"
        )
    return best


def _climb(
    coordinates: Coordinates, train: Tensor, held_out: Tensor, components: Sequence[int], seed: int
) -> Start | None:
    """The best ridge for the fewest components, then more components while the held-out nats rise."""
    # What the flow sees is float32; rounding before EM makes a change of units no change at all.
    u = coordinates.forward(train)[0].float()
    held_u, log_det = coordinates.forward(held_out)

    def attempt(count: int, ridge: float) -> Start | None:
        """A start with one mixture; ``None`` where there is no such mixture."""
        try:
            mixture = fit_mixture(u, count, seed=seed, ridge=ridge)
        except NumericsError:  # not a start then; there are others to choose from
            return None
        nats = float((mixture.log_prob(held_u) + log_det).mean())
        return Start(coordinates, mixture, nats, ridge) if math.isfinite(nats) else None

    best: Start | None = None
    for ridge in RIDGES:
        best = _better(best, attempt(components[0], ridge))
    for count in components[1:]:
        if best is None:
            return None
        candidate = attempt(count, best.ridge)
        if _better(best, candidate) is best:
            break
        best = candidate
    return best


def _better(one: Start | None, other: Start | None) -> Start | None:
    """The one with the higher held-out nats; the first where they are level."""
    if one is None or other is None:
        return one or other
    return other if other.held_out_nats > one.held_out_nats else one
