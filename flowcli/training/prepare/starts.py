"""Where a fit starts: with or without a quantile map, and at which mixture.

Both are chosen by the held-out nats of mixtures that EM finds in seconds. Where they are clear they pointed the same
way as finished fits on every table that was tried. Where too few rows are held out to tell, training rows are scored
too, each fold of them by mixtures of the others: on 60 penguins that brought the start from -15.83 to about -15.63.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.encoding import Encoder, Standardizer
from flowcli.errors import NumericsError
from flowcli.flows.gaussian_mixture import GaussianMixture
from flowcli.flows.mixed.one_hot import OneHot
from flowcli.random import Stream
from flowcli.training.loop.epochs import dequantization_shares, generator, mean
from flowcli.training.prepare.mixture import fit_mixture
from flowcli.training.prepare.row_sets import RowSet
from flowcli.training.prepare.split import groups_of

# Ridges are in units of the coordinates' scale; the larger ones are for few rows in many columns.
RIDGES = (1e-6, 1e-2, 1e-1)
RIDGE_ROWS = 1.0  # rows without an effect that a regression on what is given begins with
# How much of what codes say about the component is believed: they often say the same thing several times.
TEMPERS = (0.0, 0.1, 0.25, 0.5, 1.0)
FEW_HELD_OUT, FOLDS = 200, 5
MAX_COORDINATE = 1e3  # of the others in a fold's coordinates, a row says nothing of what suits them


@dataclass(frozen=True)
class Sample:
    """Rows to choose a start with.

    Attributes:
        numbers: The numbers that coordinates are made of, rounded ones spread over their cells, (N, D).
        features: The context features of the coordinates: conditioning columns, codes and angles, (N, C).
        codes: Which of the features are the codes, one-hot.
        weights: Of the rows, (N,), or ``None``.
    """

    numbers: Tensor
    features: Tensor
    codes: slice
    weights: Tensor | None

    def select(self, rows: Tensor) -> Sample:
        """Return some of the rows, by their numbers or a mask."""
        weights = None if self.weights is None else self.weights[rows]
        return Sample(self.numbers[rows], self.features[rows], self.codes, weights)

    def some(self, count: int, random: torch.Generator) -> Sample:
        """Return at most so many of the rows, drawn without replacement."""
        if len(self.numbers) <= count:
            return self
        return self.select(torch.randperm(len(self.numbers), generator=random)[:count])

    @classmethod
    def of(cls, encoder: Encoder, rows: RowSet, seed: int, purpose: Stream, most: int) -> Sample:
        """Draw at most so many of some rows, without replacement."""
        random = generator(seed, purpose)
        prepared, weights = rows.prepared, rows.weight_tensor
        if len(prepared) > most:
            chosen = torch.randperm(len(prepared), generator=random)[:most]
            prepared, weights = prepared.select(chosen), None if weights is None else weights[chosen]
        shares = dequantization_shares(encoder, len(prepared), random)
        layout = encoder.layout
        _, angles, codes, features = layout.split(encoder.forward(prepared, shares)[0])
        parts, hot = [features], 0
        if layout.outcome_counts:
            one_hot = OneHot(layout.outcome_counts, encoder.numbers)
            columns = one_hot(codes)
            parts.append(one_hot.described(columns).t().double())
            hot = len(columns)
        if layout.angles:
            parts.append(torch.stack([torch.cos(angles), torch.sin(angles)], 2).flatten(1))
        first = layout.context_features
        numbers = encoder.continuous_numbers(prepared, shares)
        return cls(numbers, torch.cat(parts, 1), slice(first, first + hot), weights)


@dataclass(frozen=True)
class Start:
    """A start that was found best.

    Attributes:
        coordinates: With or without a quantile map.
        mixture: Of the coordinates, less what is given moves them by.
        held_out_nats: Mean log-density of the held-out rows under that mixture.
        ridge: What was added to the diagonals of the covariances.
        shift: What each number that is given moves the coordinates by, (D, C); ``None`` where nothing is given.
        gate: What it adds to the components' log-weights, (K, C); ``None`` where there are no codes.
    """

    coordinates: Standardizer
    mixture: GaussianMixture
    held_out_nats: float
    ridge: float
    shift: Tensor | None = None
    gate: Tensor | None = None


def choose_starts(
    choices: Sequence[Standardizer],
    train: Sample,
    held_out: Sample,
    *,
    components: Mapping[int, float],
    seed: int,
    folds: int = FOLDS,
) -> list[Start]:
    """Find for each choice the start with the best held-out nats, going from few components to more while that helps.

    Args:
        choices: Coordinates to choose from.
        train: Of the training rows.
        held_out: Of the held-out rows.
        components: Numbers of components to try, rising, and how many nats each has to gain over the one before.
        seed: Of all random numbers.
        folds: Of the training rows, to choose by as well where few rows are held out.

    Returns:
        The starts, the best first.

    Raises:
        NumericsError: There is none.
    """
    result = []
    for standardizer in choices:
        best: Start | None = None
        for moved in (False, True) if train.features.shape[1] else (False,):
            best = _better(best, _climb(standardizer, train, held_out, components, seed, folds=folds, moved=moved))
        result.append(best)
    starts = sorted((start for start in result if start is not None), key=lambda start: -start.held_out_nats)
    if not starts:
        raise NumericsError(
            "no mixture of Gaussians could be fitted to start from; a column may have extreme values: try"
            " --set flow.layers.0.marginal=quantile"
        )
    return starts


@torch.no_grad()
def gated(start: Start, train: Sample, held_out: Sample) -> Start:
    """Return the start with components that are the likelier, the better a row's codes fit them.

    Each component has the frequencies of outcomes among its rows, and by Bayes' rule a row's codes change the
    components' weights. How far that is believed is chosen by the held-out nats.
    """
    hot = train.features[:, train.codes]
    if not hot.shape[1]:
        return start
    log_weights = start.mixture.weights.log()[:, None]
    shares = torch.softmax(log_weights + _log_normals(start, train)[0], 0)  # (K, N)
    if train.weights is not None:
        shares = shares * train.weights
    counts = shares @ hot
    # A row's worth of the overall frequencies keeps a component that has seen no such outcome from being sure.
    prior = counts.sum(0) / shares.sum()
    log_odds = torch.log(counts + prior) - torch.log(shares.sum(1, keepdim=True) + 1) - torch.log(prior.clamp_min(1e-9))
    log_odds = torch.where(prior > 0, log_odds, 0.0)
    gate = torch.zeros(len(shares), train.features.shape[1], dtype=torch.float64)
    held_log_normals, log_det = _log_normals(start, held_out)
    best, reached = None, -math.inf
    for temper in TEMPERS:
        gate[:, train.codes] = temper * log_odds
        log_gated = torch.log_softmax(log_weights + gate @ held_out.features.t(), 0)
        nats = mean(torch.logsumexp(log_gated + held_log_normals, 0) + log_det, held_out.weights)
        if nats > reached:
            best, reached = gate.clone(), nats
    return replace(start, gate=best, held_out_nats=reached)


def _log_normals(start: Start, sample: Sample) -> tuple[Tensor, Tensor]:
    """Return the log-density of rows' coordinates under each component, (K, N), and their log-dets, (N,)."""
    u, log_det = start.coordinates.forward(sample.numbers)
    if start.shift is not None:
        u = u - sample.features @ start.shift.t()
    return start.mixture.log_normals(u, ~sample.numbers.isnan()), log_det


def _regression(u: Tensor, sample: Sample) -> Tensor:
    """Return what each given number moves each coordinate (N, D) by, least squares with a little ridge, (D, C)."""
    target, features = u.double(), sample.features
    weights = torch.ones(len(features), dtype=torch.float64) if sample.weights is None else sample.weights
    shift = torch.zeros(target.shape[1], features.shape[1], dtype=torch.float64)
    patterns, own_pattern = torch.unique(~target.t().isnan(), dim=0, return_inverse=True)
    for pattern, seen in enumerate(patterns):
        # Columns that are observed in the same rows have one matrix to solve with.
        alike = own_pattern == pattern
        own, shares = features[seen], weights[seen, None]
        if not len(own):
            continue
        columns = target[seen][:, alike]
        # The mean is the mixture's affair.
        difference = own - (own * shares).sum(0) / shares.sum()
        level = (columns * shares).sum(0) / shares.sum()
        square = difference.t() @ (difference * shares)
        square.diagonal().add_(RIDGE_ROWS)
        shift[alike] = torch.linalg.solve(square, difference.t() @ ((columns - level) * shares)).t()
    return shift


class _Trial(NamedTuple):
    """Rows to fit mixtures to, and others to score.

    Attributes:
        u: Coordinates of the former, less what is given moves them by, (N, D); NaN for what is missing.
        weights: Of these rows.
        held_u: The same of the latter, (M, D).
        observed: What is observed of it.
        log_det: Of the latter, (M,).
        held_weights: Of these rows.
        shift: What is given moves coordinates by.
    """

    u: Tensor
    weights: Tensor | None
    held_u: Tensor
    observed: Tensor
    log_det: Tensor
    held_weights: Tensor | None
    shift: Tensor | None

    @classmethod
    def of(cls, coordinates: Standardizer, train: Sample, held_out: Sample, *, moved: bool) -> _Trial:
        # What the flow sees is float32; rounding before EM makes a change of units no change at all.
        u = coordinates.forward(train.numbers)[0].float().where(~train.numbers.isnan(), math.nan)
        held_u, log_det = coordinates.forward(held_out.numbers)
        observed = ~held_out.numbers.isnan()
        shift = _regression(u, train) if moved else None
        if shift is not None:
            u = (u.double() - train.features @ shift.t()).float()
            held_u = (held_u - held_out.features @ shift.t()).where(observed, 0.0)
        return cls(u, train.weights, held_u, observed, log_det, held_out.weights, shift)

    def fit(self, components: int, *, ridge: float, seed: int) -> tuple[GaussianMixture, float]:
        """Return a mixture, and the mean log-density of the rows to score."""
        mixture = fit_mixture(self.u, components, seed=seed, ridge=ridge, weights=self.weights)
        return mixture, mean(mixture.log_prob(self.held_u, self.observed) + self.log_det, self.held_weights)

    def scored(self, components: int, *, ridge: float, seed: int) -> tuple[float, float]:
        """Return how much the rows to score weigh together, and their mean log-density under such a mixture."""
        return self.held_weight, self.fit(components, ridge=ridge, seed=seed)[1]

    @property
    def held_weight(self) -> float:
        """How much the rows to score weigh together."""
        return float(len(self.held_u) if self.held_weights is None else self.held_weights.sum())


def _folds(coordinates: Standardizer, train: Sample, seed: int, count: int, *, moved: bool) -> list[_Trial]:
    """Training rows scored by the others, with quantile maps of their own; equal rows are in one fold."""
    weights = torch.ones(len(train.numbers)) if train.weights is None else train.weights
    rows = torch.nonzero(weights > 0)[:, 0]
    groups = torch.tensor(groups_of(train.numbers[rows].numpy()))
    if not len(groups) or int(groups.max()) + 1 < 2 * count:
        return []
    fold_of = torch.randperm(int(groups.max()) + 1, generator=generator(seed, Stream.FOLDS))[groups] % count
    result = []
    for number in range(count):
        residuals, fold = train.select(rows[fold_of != number]), train.select(rows[fold_of == number])
        own = coordinates if coordinates.marginal is None else coordinates.with_marginal(residuals.numbers)
        u, log_det = own.forward(fold.numbers)
        fold = fold.select(torch.isfinite(log_det) & (u.abs() < MAX_COORDINATE).all(1))
        if len(fold.numbers):
            result.append(_Trial.of(own, residuals, fold, moved=moved))
    return result


def _climb(
    coordinates: Standardizer,
    train: Sample,
    held_out: Sample,
    components: Mapping[int, float],
    seed: int,
    *,
    folds: int,
    moved: bool,
) -> Start | None:
    """Return the best ridge for the fewest components, then more components while the held-out nats rise.

    Args:
        coordinates: From numbers to what the mixture is one of.
        train: Training rows.
        held_out: Held-out rows.
        components: Numbers of components, rising, and what each has to gain.
        seed: Of EM's start.
        folds: Of the training rows, where few rows are held out.
        moved: Whether what is given moves the coordinates.
    """
    whole = _Trial.of(coordinates, train, held_out, moved=moved)
    few = folds > 0 and len(held_out.numbers) < FEW_HELD_OUT
    others = _folds(coordinates, train, seed, folds, moved=moved) if few else []

    def attempt(count: int, ridge: float) -> Start | None:
        """Return a start with one mixture; ``None`` where there is no such mixture."""
        try:
            mixture, nats = whole.fit(count, ridge=ridge, seed=seed)
            scores = [(whole.held_weight, nats), *(each.scored(count, ridge=ridge, seed=seed) for each in others)]
        except NumericsError:  # not a start then; there are others to choose from
            return None
        nats = sum(weight * nats for weight, nats in scores) / sum(weight for weight, _ in scores)
        return Start(coordinates, mixture, nats, ridge, whole.shift) if math.isfinite(nats) else None

    fewest, *more = components
    best: Start | None = None
    for ridge in RIDGES:
        best = _better(best, attempt(fewest, ridge))
    for count in more:
        if best is None:
            return None
        candidate = attempt(count, best.ridge)
        if candidate is None or candidate.held_out_nats <= best.held_out_nats + components[count]:
            break
        best = candidate
    return best


def _better(one: Start | None, other: Start | None) -> Start | None:
    """Return the one with the higher held-out nats; the first where they are level."""
    if one is None or other is None:
        return one or other
    return other if other.held_out_nats > one.held_out_nats else one
