"""A mixture of Gaussians by expectation maximisation: where a mixture base starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.flows import Context
from flowcli.flows.bases import Mixture
from flowcli.random import Stream
from flowcli.training.loop.epochs import generator

LARGEST_SAMPLE = 20_000  # rows that EM sees; more changed the start by less than a fit's first second
MOST_PATTERNS = 32  # of missing cells; each costs as much as a component does
BLOCK_ROWS = 1024  # scored at once
LEAST_GAIN = 1e-3  # nats a row; an iteration that gains less is the last


class FittedMixture(NamedTuple):
    """Weights (K,), means (K, D) and inverse Cholesky factors (K, D, D), float64."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def log_prob(self, z: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return log-density of rows (B, D), or of the cells of them that are ``observed`` (B, D), (B,)."""
        if observed is None or observed.all():
            return torch.logsumexp(self.log_joint(z.T.contiguous()), dim=0)
        base = Mixture(z.shape[1], len(self.weights)).to(z)
        base.gaussians.set(*self)
        with torch.no_grad():
            return in_blocks(base.log_prob, z, Context(observed=observed.to(z)))

    def log_joint(self, columns: Tensor) -> Tensor:
        """Return log-density of columns (D, B) together with each component, (K, B)."""
        log_joint = columns.new_empty(len(self.weights), columns.shape[1])
        for weight, mean, factor, out in zip(*self, log_joint, strict=True):
            residuals = factor @ (columns - mean[:, None])
            constant = weight.log() + factor.diagonal().log().sum() - 0.5 * len(mean) * math.log(2 * math.pi)
            torch.add(constant, residuals.square_().sum(0), alpha=-0.5, out=out)
        return log_joint


def in_blocks(compute: Callable[[Tensor, Context], Tensor], z: Tensor, context: Context) -> Tensor:
    """Return ``compute`` of rows (B, D) block by block, joined along its last dimension (rows).

    Blocks bound the memory: each pattern of missing cells in a block needs covariances of its own.
    """
    blocks = torch.split(torch.arange(len(z)), BLOCK_ROWS)
    return torch.cat([compute(z[block], context.select(block)) for block in blocks], -1)


class _Pattern(NamedTuple):
    """The numbers of the rows that share a pattern of missing cells, and of the columns present and missing."""

    rows: Tensor
    present: Tensor
    missing: Tensor


class _Filled(NamedTuple):
    """Rows whose missing cells are filled by each component's conditional mean (the E-step for incomplete rows).

    Attributes:
        columns: The rows, column by column, as each component completes them, (K, D, N).
        patterns: The patterns of missing cells.
        conditionals: The covariances of the missing cells of each pattern, zero elsewhere, (patterns, K, D, D).
    """

    columns: Tensor
    patterns: list[_Pattern]
    conditionals: Tensor


def fit_mixture(
    z: Tensor,
    components: int,
    *,
    seed: int,
    ridge: float = 1e-6,
    max_iterations: int = 100,
    weights: Tensor | None = None,
    most: int = LARGEST_SAMPLE,
    start: FittedMixture | None = None,
) -> FittedMixture:
    """Fit a mixture of full-covariance Gaussians by EM (Dempster, Laird and Rubin, 1977).

    It starts from a mixture, or from rows that are far apart (k-means++; Arthur and Vassilvitskii, 2007). Cells which
    are missing are summed over exactly, as missing at random (Ghahramani and Jordan, 1994); rows whose pattern of
    missing cells is a rare one, and rows without any cell, are left out.

    Args:
        z: Rows (N, D) of about unit scale, NaN where a cell is missing.
        components: K; fewer are used where there are not enough rows, and as many as there are of a ``start``.
        seed: Of the start, and of the choice of rows where they are too many.
        ridge: What is added to the diagonals of the covariances.
        max_iterations: EM stops there, converged or not: it is a start, not an answer.
        weights: Of the rows, (N,), one on average; ``None`` where all count alike.
        most: How many of the rows EM sees.
        start: A mixture to start from.

    Raises:
        NumericsError: The rows have no such mixture, because some are too far from the others.
    """
    random = generator(seed, Stream.MIXTURE_START)
    rows = z.double().cpu()
    if len(rows) > most:
        chosen = torch.randperm(len(rows), generator=random)[:most]
        rows, weights = rows[chosen], None if weights is None else weights[chosen]
    incomplete = bool(rows.isnan().any())
    if incomplete:
        usual = _usual_patterns(rows)
        rows, weights = rows[usual], None if weights is None else weights[usual]
    if not len(rows) or not torch.isfinite(rows.nan_to_num().square().sum()):
        raise _not_fitted(components, "some rows are too far from the others" if len(rows) else "all cells are missing")
    columns = rows.T.contiguous()
    patterns = _patterns(rows) if incomplete else []

    def expected(mixture: FittedMixture) -> tuple[Tensor, Tensor | _Filled]:
        return _expected(mixture, columns, patterns) if incomplete else (mixture.log_joint(columns), columns)

    filled: Tensor | _Filled = columns
    if start is None:
        complete = rows.nan_to_num()
        centres = _kmeans_plus_plus(complete, min(components, len(rows)), random)
        shares = torch.nn.functional.one_hot(torch.cdist(complete, centres).argmin(1), len(centres)).T.double()
        if incomplete:
            none = columns.new_zeros(len(patterns), 1, 1, 1)
            filled = _Filled(complete.T.expand(len(centres), -1, -1), patterns, none)
    else:
        log_joint, filled = expected(start)
        shares = torch.softmax(log_joint, 0)
    reached = -math.inf
    for _ in range(max_iterations):
        if weights is not None:
            shares = shares * weights
        mixture = _most_likely(filled, shares, ridge)
        log_joint, filled = expected(mixture)
        log_prob = torch.logsumexp(log_joint, dim=0)
        before, reached = reached, float(log_prob.mean() if weights is None else (log_prob * weights).mean())
        if reached - before < LEAST_GAIN:
            break
        shares = log_joint.sub_(log_prob).exp_()
    if not math.isfinite(reached):
        raise _not_fitted(components, "some rows are too far from the others")
    return mixture


def _most_likely(columns: Tensor | _Filled, shares: Tensor, ridge: float) -> FittedMixture:
    """Return the mixture of greatest likelihood given the components' shares of each row, (K, N) (the M-step).

    Rows are given column by column, (D, N), or completed by each component.
    """
    sizes = shares.sum(1) + torch.finfo(shares.dtype).eps  # one that has none is a narrow one at the origin
    whole = columns.columns if isinstance(columns, _Filled) else columns.expand(len(sizes), -1, -1)
    width = whole.shape[1]
    means = whole.new_empty(len(sizes), width)
    covariances = whole.new_empty(len(sizes), width, width)
    for k, (size, share, own) in enumerate(zip(sizes, shares, whole, strict=True)):
        means[k] = (own @ share) / size
        difference = own - means[k][:, None]
        torch.mm(difference * (share / size), difference.T, out=covariances[k])
    if isinstance(columns, _Filled):
        for pattern, unsure in zip(columns.patterns, columns.conditionals, strict=True):
            covariances += (shares[:, pattern.rows].sum(1) / sizes)[:, None, None] * unsure
    covariances.diagonal(dim1=1, dim2=2).add_(ridge)
    factors, failed = torch.linalg.cholesky_ex(covariances)
    if failed.any() or not torch.isfinite(factors).all():
        raise _not_fitted(len(sizes), "a covariance is not positive definite")
    inverse = torch.linalg.solve_triangular(factors, torch.eye(width, dtype=whole.dtype), upper=False)
    return FittedMixture(sizes / sizes.sum(), means, inverse)


def _expected(mixture: FittedMixture, columns: Tensor, patterns: list[_Pattern]) -> tuple[Tensor, _Filled]:
    """Return the joint log-density of components and rows (D, N), (K, N), and the completed rows (the E-step)."""
    count, width = mixture.means.shape
    identity = torch.eye(width, dtype=columns.dtype)
    roots = torch.linalg.solve_triangular(mixture.factors, identity.expand(count, -1, -1), upper=False)
    covariances = roots @ roots.mT
    log_joint = columns.new_empty(count, columns.shape[1])
    filled = columns.nan_to_num().expand(count, -1, -1).clone()
    conditionals = columns.new_zeros(len(patterns), count, width, width)
    for unsure, (rows, present, missing) in zip(conditionals, patterns, strict=True):
        own = covariances[:, present][:, :, present]
        lower, failed = torch.linalg.cholesky_ex(own)
        if failed.any():
            raise _not_fitted(count, "a covariance is not positive definite")
        difference = columns[present][:, rows] - mixture.means[:, present, None]
        residuals = torch.linalg.solve_triangular(lower, difference, upper=False)
        constants = mixture.weights.log() - lower.diagonal(dim1=1, dim2=2).log().sum(1)
        constants = constants - 0.5 * len(present) * math.log(2 * math.pi)
        log_joint[:, rows] = constants[:, None] - 0.5 * residuals.square().sum(1)
        if len(missing):
            between = covariances[:, missing][:, :, present]
            gains = torch.linalg.solve_triangular(lower, between.mT, upper=False)  # (K, there, missing)
            expected = mixture.means[:, missing, None] + gains.mT @ residuals
            filled[:, missing[:, None], rows] = expected
            left_over = covariances[:, missing][:, :, missing] - gains.mT @ gains
            unsure[:, missing[:, None], missing] = left_over
    return log_joint, _Filled(filled, patterns, conditionals)


def _patterns(rows: Tensor) -> list[_Pattern]:
    """Return the patterns of missing cells among rows (N, D)."""
    kinds, own = torch.unique(rows.isnan(), dim=0, return_inverse=True)
    return [
        _Pattern((own == number).nonzero()[:, 0], (~absent).nonzero()[:, 0], absent.nonzero()[:, 0])
        for number, absent in enumerate(kinds)
    ]


def _usual_patterns(rows: Tensor) -> Tensor:
    """Return which rows (N, D) have some cell, and one of the patterns that are most frequent, as numbers."""
    kinds, own, counts = torch.unique(rows.isnan(), dim=0, return_inverse=True, return_counts=True)
    counts = counts.masked_fill(kinds.all(1), 0)
    frequent = torch.topk(counts, min(MOST_PATTERNS, len(counts))).indices
    usual = torch.isin(own, frequent).logical_and(counts[own] > 0)
    return usual.nonzero()[:, 0]


def _kmeans_plus_plus(rows: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Return ``count`` of the rows (N, D) as centres, by greedy k-means++.

    Each is drawn with a probability in proportion to its squared distance from the nearest centre so far; of a few
    such draws the one is kept that leaves the least total distance.
    """
    chosen = [int(torch.randint(len(rows), (), generator=random))]
    nearest = (rows - rows[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        # Where all rows have been chosen, or equal one that was, any row does.
        likely = nearest if nearest.sum() > 0 else torch.ones_like(nearest)
        drawn = torch.multinomial(likely, 2 + int(math.log(count)), replacement=True, generator=random)
        candidates = torch.stack([torch.minimum(nearest, (rows - rows[i]).square().sum(1)) for i in drawn])
        best = int(candidates.sum(1).argmin())
        chosen.append(int(drawn[best]))
        nearest = candidates[best]
    return rows[chosen]


def _not_fitted(components: int, reason: str) -> NumericsError:
    return NumericsError(f"no mixture of {components} Gaussians could be fitted: {reason}")
