"""A mixture of Gaussians by expectation maximisation: where a mixture base starts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.flows.gaussian_mixture import GaussianMixture, Patterns, expectation_maximisation, marginals_by_block
from flowcli.random import Stream
from flowcli.training.loop.epochs import generator

LARGEST_SAMPLE = 20_000  # rows that EM sees; more changed the start by less than a fit's first second
MOST_PATTERNS = 32  # of missing cells; each costs as much as a component does
LEAST_GAIN = 1e-3  # nats a row; an iteration that gains less is the last


def fit_mixture(
    z: Tensor,
    components: int,
    *,
    seed: int,
    ridge: float = 1e-6,
    max_iterations: int = 100,
    weights: Tensor | None = None,
    most: int = LARGEST_SAMPLE,
    start: GaussianMixture | None = None,
) -> GaussianMixture:
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
    usual, patterns = _usual_patterns(rows)
    rows, weights = rows[usual], None if weights is None else weights[usual]
    if not len(rows) or not torch.isfinite(rows.nan_to_num().square().sum()):
        raise _not_fitted(components, "some rows are too far from the others" if len(rows) else "all cells are missing")
    count = min(components, len(rows)) if start is None else len(start.weights)
    data = _Completed(rows.nan_to_num(), patterns, weights, count, ridge)
    if start is None:
        centres = _kmeans_plus_plus(data.rows, count, random)
        shares = torch.nn.functional.one_hot(torch.cdist(data.rows, centres).argmin(1), count).T.double()
    else:
        shares = torch.softmax(data.expect(start), 0)
    mixture, reached = expectation_maximisation(
        shares, data.maximise, data.expect, max_iterations=max_iterations, least_gain=LEAST_GAIN, weights=weights
    )
    if not math.isfinite(reached):
        raise _not_fitted(components, "some rows are too far from the others")
    return mixture


class _Completed:
    """Rows with their missing cells filled by each component: by its conditional mean, zero as long as there is none.

    Args:
        rows: (N, D), zero where a cell is missing.
        patterns: Which cells are observed.
        weights: Of the rows, (N,).
        components: K.
        ridge: What is added to the diagonals of the covariances.
    """

    def __init__(self, rows: Tensor, patterns: Patterns, weights: Tensor | None, components: int, ridge: float) -> None:
        self.rows, self._patterns, self._weights, self._ridge = rows, patterns, weights, ridge
        self._columns = rows.T.contiguous()
        completed = self._columns.expand(components, -1, -1)
        self._completed = completed if patterns.observed.all() else completed.clone()  # (K, D, N)
        # The conditional covariances of missing cells, summed over the components' shares of the rows.
        self._left_over = rows.new_zeros(components, rows.shape[1], rows.shape[1])

    def maximise(self, shares: Tensor) -> GaussianMixture:
        """Return the mixture of greatest likelihood given the components' shares of each row, (K, N) (the M-step)."""
        sizes = shares.sum(1) + torch.finfo(shares.dtype).eps  # one that has none is a narrow one at the origin
        means, covariances = (
            self._left_over.new_empty(self._left_over.shape[:2]),
            self._left_over / sizes[:, None, None],
        )
        for size, share, own, mean, covariance in zip(sizes, shares, self._completed, means, covariances, strict=True):
            mean.copy_((own @ share) / size)
            difference = own - mean[:, None]
            covariance.addmm_(difference * (share / size), difference.T)
        covariances.diagonal(dim1=1, dim2=2).add_(self._ridge)
        return GaussianMixture(sizes / sizes.sum(), means, covariances)

    def expect(self, mixture: GaussianMixture) -> Tensor:
        """Return the joint log-density of components and rows, (K, N), and complete the rows (the E-step)."""
        log_joint = self._columns.new_empty(len(mixture.weights), len(self.rows))
        self._left_over.zero_()
        for rows, marginals in marginals_by_block(mixture.covariances, self._patterns):
            if not torch.isfinite(marginals.factors).all():
                raise _not_fitted(len(mixture.weights), "a covariance is not positive definite")
            x = self._columns[:, rows]
            e = marginals.residuals(mixture.means, x)
            log_joint[:, rows] = joint = mixture.weights.log()[:, None] + marginals.log_prob(e)
            if marginals.patterns.observed.all():
                continue
            expected, left_over = marginals.conditionals(mixture.means, mixture.covariances, x, e)
            self._completed.index_copy_(2, rows, expected)
            shares = torch.softmax(joint, 0) * (1.0 if self._weights is None else self._weights[rows])
            by_pattern = shares.new_zeros(len(shares), len(left_over)).index_add_(1, marginals.patterns.own, shares)
            self._left_over += torch.einsum("kp,pkij->kij", by_pattern, left_over)
        return log_joint


def _usual_patterns(rows: Tensor) -> tuple[Tensor, Patterns]:
    """Return the numbers of the rows (N, D) that have some cell and one of the most frequent patterns, and these."""
    absent, own = Patterns.of(rows.isnan())
    counts = torch.bincount(own, minlength=len(absent)).masked_fill(absent.all(1), 0)
    frequent = torch.topk(counts, min(MOST_PATTERNS, len(counts))).indices
    usual = (torch.isin(own, frequent) & (counts[own] > 0)).nonzero()[:, 0]
    numbers, own = torch.unique(own[usual], return_inverse=True)
    return usual, Patterns(~absent[numbers], own)


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
