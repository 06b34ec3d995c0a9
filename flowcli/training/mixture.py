"""A mixture of Gaussians by expectation maximisation: where a mixture base starts."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.errors import NumericsError
from flowcli.training.rows import generator

LARGEST_SAMPLE = 20_000  # rows that EM sees; more changed the start by less than a fit's first second
LEAST_GAIN = 1e-3  # nats a row; an iteration that gains less is the last


class FittedMixture(NamedTuple):
    """Weights (K,), means (K, D) and inverse Cholesky factors (K, D, D), float64."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of rows (B, D), (B,)."""
        return torch.logsumexp(self.log_joint(z.T.contiguous()), dim=0)

    def log_joint(self, columns: Tensor) -> Tensor:
        """Log-density of columns (D, B) together with each component, (K, B)."""
        log_joint = columns.new_empty(len(self.weights), columns.shape[1])
        for weight, mean, factor, out in zip(*self, log_joint, strict=True):
            residuals = factor @ (columns - mean[:, None])
            constant = weight.log() + factor.diagonal().log().sum() - 0.5 * len(mean) * math.log(2 * math.pi)
            torch.add(constant, residuals.square_().sum(0), alpha=-0.5, out=out)
        return log_joint


def fit_mixture(
    z: Tensor, components: int, *, seed: int, ridge: float = 1e-6, max_iterations: int = 100
) -> FittedMixture:
    """Fit a mixture of full-covariance Gaussians by EM (Dempster, Laird and Rubin, 1977).

    It starts from rows that are far apart (k-means++; Arthur and Vassilvitskii, 2007).

    Args:
        z: Rows (N, D) of about unit scale.
        components: K; fewer are used where there are not enough rows.
        seed: Of the start.
        ridge: What is added to the diagonals of the covariances.
        max_iterations: EM stops there, converged or not: it is a start, not an answer.

    Raises:
        NumericsError: The rows have no such mixture, because some are too far from the others.
    """
    random = generator(seed, 4)
    rows = z.double().cpu()
    if len(rows) > LARGEST_SAMPLE:
        rows = rows[torch.randperm(len(rows), generator=random)[:LARGEST_SAMPLE]]
    if not torch.isfinite(rows.square().sum()):
        raise _not_fitted(components, "some rows are too far from the others")
    columns = rows.T.contiguous()
    centres = _far_apart(rows, min(components, len(rows)), random)
    shares = torch.nn.functional.one_hot(torch.cdist(rows, centres).argmin(1), len(centres)).T.double()
    reached = -math.inf
    for _ in range(max_iterations):
        mixture = _most_likely(columns, shares, ridge)
        log_joint = mixture.log_joint(columns)
        log_prob = torch.logsumexp(log_joint, dim=0)
        before, reached = reached, float(log_prob.mean())
        if reached - before < LEAST_GAIN:
            break
        shares = log_joint.sub_(log_prob).exp_()
    if not math.isfinite(reached):
        raise _not_fitted(components, "some rows are too far from the others")
    return mixture


def _most_likely(columns: Tensor, shares: Tensor, ridge: float) -> FittedMixture:
    """The mixture of columns (D, N) of which each component has its shares (K, N)."""
    sizes = shares.sum(1) + torch.finfo(shares.dtype).eps  # one that has none is a narrow one at the origin
    means = (shares @ columns.T) / sizes[:, None]
    covariances = columns.new_empty(len(sizes), len(columns), len(columns))
    for size, mean, share, out in zip(sizes, means, shares, covariances, strict=True):
        apart = columns - mean[:, None]
        torch.mm(apart * (share / size), apart.T, out=out)
    covariances.diagonal(dim1=1, dim2=2).add_(ridge)
    factors, failed = torch.linalg.cholesky_ex(covariances)
    if failed.any() or not torch.isfinite(factors).all():
        raise _not_fitted(len(sizes), "a covariance is not positive definite")
    inverse = torch.linalg.solve_triangular(factors, torch.eye(len(columns), dtype=columns.dtype), upper=False)
    return FittedMixture(sizes / sizes.sum(), means, inverse)


def _far_apart(rows: Tensor, count: int, random: torch.Generator) -> Tensor:
    """That many of the rows (N, D), each drawn by its squared distance from those before; the best of a few draws."""
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
