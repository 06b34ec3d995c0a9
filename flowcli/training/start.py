"""Where a fit starts: with or without a quantile map, and at which mixture.

Both are chosen by the held-out nats of mixtures that EM finds in seconds. On every table tried so far they pointed
the same way as the finished fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowcli.density import Coordinates, Encoding
from flowcli.errors import NumericsError
from flowcli.flows import Context
from flowcli.flows.bases import Mixture
from flowcli.flows.one_hot import OneHot
from flowcli.training.mixture import LARGEST_SAMPLE, FittedMixture, fit_mixture
from flowcli.training.rows import generator, mean, spread_over_cells

# Ridges are in units of the coordinates' scale; the larger ones are for few rows in many columns.
RIDGES = (1e-6, 1e-2, 1e-1)
# How much of what codes say about the component is believed: they often say the same thing several times.
TEMPERS = (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Sample:
    """Rows to choose a start with.

    Attributes:
        values: The rows (N, N_c).
        numbers: The numbers that coordinates are made of, rounded ones spread over their cells, (N, D).
        weights: Of the rows, (N,), or ``None``.
    """

    values: Tensor
    numbers: Tensor
    weights: Tensor | None

    def some(self, most: int) -> Sample:
        """So many of the rows, evenly spread over all, or all of them."""
        step = -(-len(self.values) // most)
        parts = (None if part is None else part[::step] for part in (self.values, self.numbers, self.weights))
        values, numbers, weights = parts
        assert values is not None
        assert numbers is not None
        return Sample(values, numbers, weights)

    @classmethod
    def of(cls, encoding: Encoding, values: Tensor, weights: Tensor | None, seed: int, purpose: int) -> Sample:
        """The sample of rows (N, N_c)."""
        spread = spread_over_cells(encoding, len(values), generator(seed, purpose))
        return cls(values, encoding.line(values, spread), weights)


@dataclass(frozen=True)
class Start:
    """A start that was found best.

    Attributes:
        coordinates: With or without a quantile map.
        mixture: Of the coordinates.
        held_out_nats: Mean log-density of the held-out rows under that mixture.
        ridge: What was added to the diagonals of the covariances.
        gate: What each number that describes the codes adds to the components' log-weights, (K, features), or
            ``None`` where there are no codes.
    """

    coordinates: Coordinates
    mixture: FittedMixture
    held_out_nats: float
    ridge: float
    gate: Tensor | None = None


def choose_start(
    choices: Sequence[Coordinates], train: Sample, held_out: Sample, *, components: Sequence[int], seed: int
) -> Start:
    """Find the start with the best held-out nats, going from few components to more while that helps.

    Args:
        choices: Coordinates to choose from.
        train: Of the training rows.
        held_out: Of the held-out rows.
        components: Numbers of components to try, rising.
        seed: Of all random numbers.

    Raises:
        NumericsError: There is none.
    """
    found = [_climb(choice, train, held_out, components, seed) for choice in choices]
    best = max((start for start in found if start is not None), key=lambda start: start.held_out_nats, default=None)
    if best is None:
        raise NumericsError(
            "no mixture of Gaussians could be fitted to start from; a column may have extreme values: try"
            " --set flow.layers.0.marginal=quantile"
        )
    return best


@torch.no_grad()
def gated(start: Start, encoding: Encoding, train: Sample, held_out: Sample) -> Start:
    """The same start, with components that are the likelier the better their codes fit.

    Each component has the frequencies of outcomes among its rows, and by Bayes' rule a row's codes change the
    components' weights. How far that is believed is chosen by the held-out nats.
    """
    if not encoding.layout.outcomes:
        return start
    one_hot = OneHot(encoding.layout.outcomes, encoding.numbers)
    base = Mixture(len(start.coordinates), len(start.mixture.weights), one_hot.features).double()
    base.gaussians.set(*start.mixture)
    held_u, log_det, held_context, _ = _seen(start.coordinates, encoding, one_hot, held_out)
    train = train.some(LARGEST_SAMPLE)
    u, _, context, hot = _seen(start.coordinates, encoding, one_hot, train)
    shares = base.responsibilities(u, context)  # (K, N)
    if train.weights is not None:
        shares = shares * train.weights
    counts = shares @ hot.t()
    # A row's worth of the overall frequencies keeps a component that has seen no such outcome from being sure.
    prior = counts.sum(0) / shares.sum()
    log_odds = torch.log(counts + prior) - torch.log(shares.sum(1, keepdim=True) + 1) - torch.log(prior.clamp_min(1e-9))
    log_odds = torch.where(prior > 0, log_odds, 0.0)
    gate = torch.zeros(len(shares), one_hot.features, dtype=torch.float64)
    best, reached = None, -math.inf
    for temper in TEMPERS:
        gate[:, : hot.shape[0]] = temper * log_odds
        base.gaussians.set(*start.mixture, gate)
        nats = mean(base.log_prob(held_u, held_context) + log_det, held_out.weights)
        if nats > reached:
            best, reached = gate.clone(), nats
    return replace(start, gate=best, held_out_nats=reached)


def _seen(
    coordinates: Coordinates, encoding: Encoding, one_hot: OneHot, sample: Sample
) -> tuple[Tensor, Tensor, Context, Tensor]:
    """Coordinates (N, D), their log-dets (N,), what they depend on, and one-hot codes (sizes, N)."""
    u, log_det = coordinates.forward(sample.numbers)
    codes = encoding.codes(sample.values)
    hot = one_hot(codes).double()
    observed = (~sample.numbers.isnan()).double()
    context = Context(one_hot.described(hot.float()).double().t(), None if observed.all() else observed)
    return u, log_det, context, hot


def _climb(
    coordinates: Coordinates, train: Sample, held_out: Sample, components: Sequence[int], seed: int
) -> Start | None:
    """The best ridge for the fewest components, then more components while the held-out nats rise."""
    # What the flow sees is float32; rounding before EM makes a change of units no change at all.
    u = coordinates.forward(train.numbers)[0].float().where(~train.numbers.isnan(), math.nan)
    held_u, log_det = coordinates.forward(held_out.numbers)
    observed = ~held_out.numbers.isnan()

    def attempt(count: int, ridge: float) -> Start | None:
        """A start with one mixture; ``None`` where there is no such mixture."""
        try:
            mixture = fit_mixture(u, count, seed=seed, ridge=ridge, weights=train.weights)
        except NumericsError:  # not a start then; there are others to choose from
            return None
        nats = mean(mixture.log_prob(held_u, observed) + log_det, held_out.weights)
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
