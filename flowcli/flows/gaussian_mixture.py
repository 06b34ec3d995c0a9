"""Mixtures of Gaussians of which only some columns are observed: exact marginals and conditionals, and EM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from flowcli.flows.kernels.planes import LOG_SQRT_2PI

Fitted = TypeVar("Fitted")

BLOCK = 2**17  # numbers in a block of residuals or of matrices: about what the cache of a core holds
FEWEST_ALIKE = 16  # rows of one pattern that make a product for it alone cheaper than one for each row


class Patterns(NamedTuple):
    """Which columns are observed, for each of P patterns (P, D), and the number of each row's pattern, (B,)."""

    observed: Tensor
    own: Tensor

    @classmethod
    def of(cls, observed: Tensor) -> Patterns:
        """Find the patterns of rows (B, D), of truth values or of ones and zeros."""
        if not len(observed) or bool((observed == observed[0]).all()):  # much quicker than sorting rows
            return cls(observed[:1].bool(), torch.zeros(len(observed), dtype=torch.long, device=observed.device))
        kinds, own = torch.unique(observed, dim=0, return_inverse=True)
        return cls(kinds.bool(), own)


class Marginals(NamedTuple):
    """The marginals of K Gaussians over the columns that are observed in each of B rows.

    The *residual* e_k = P_k (m_k - x) of what is observed is standard normal under the Gaussian k.

    Attributes:
        factors: Inverse Cholesky factors P for each pattern of observed columns, with the identity's rows and columns
            for the others, (patterns, K, D, D).
        patterns: The rows' patterns.
    """

    factors: Tensor
    patterns: Patterns

    @classmethod
    def of(cls, covariances: Tensor, patterns: Patterns) -> Marginals:
        """Return the marginals of Gaussians with covariances (K, D, D); NaN where these are not positive definite."""
        observed = patterns.observed
        both = (observed[:, :, None] & observed[:, None, :])[:, None]
        identity = torch.diag_embed((~observed).to(covariances))[:, None]
        return cls(inverse_factors(covariances * both + identity), patterns)

    @property
    def log_diagonal(self) -> Tensor:
        """The logarithms of the factors' diagonals, zero for columns that are not observed, (K, D, B)."""
        return self.factors.diagonal(dim1=2, dim2=3).log().permute(1, 2, 0)[:, :, self.patterns.own]

    def residuals(self, means: Tensor, x: Tensor) -> Tensor:
        """Return residuals e (K, D, B) of rows given column by column, x (D, B); zero for columns not observed."""
        # The difference goes first: P m - P x would lose what a component far out is about.
        differences = means[:, :, None] - x
        if not self.patterns.observed.all():
            differences = differences * self.patterns.observed.t()[:, self.patterns.own]
        return multiply_by_own(self.factors, self.patterns.own, differences)

    def log_prob(self, e: Tensor) -> Tensor:
        """Return the log-density of each row's observed columns under each Gaussian, (K, B), from its residuals."""
        log_dets = self.factors.diagonal(dim1=2, dim2=3).log().sum(2).t()  # (K, patterns)
        constants = log_dets - self.patterns.observed.to(e).sum(1) * LOG_SQRT_2PI
        return constants[:, self.patterns.own] - 0.5 * (e * e).sum(1)

    def conditionals(self, means: Tensor, covariances: Tensor, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Condition Gaussians, with means (K, D) and covariances (K, D, D), on what is observed of each row.

        Args:
            means: Of the Gaussians, (K, D).
            covariances: Of the Gaussians, (K, D, D).
            x: The rows, column by column, (D, B).
            e: Their residuals, (K, D, B).

        Returns:
            The rows completed by each Gaussian's conditional mean, (K, D, B), and for each pattern the conditional
            covariances of the columns that are not observed, zero elsewhere, (patterns, K, D, D).
        """
        observed, own = self.patterns
        gains = self.factors @ (covariances * observed[:, None, :, None])
        expected = means[:, :, None] - multiply_by_own(gains.mT, own, e)
        both = (~observed[:, :, None] & ~observed[:, None, :])[:, None]
        return torch.where(observed.t()[:, own], x, expected), (covariances - gains.mT @ gains) * both


class GaussianMixture(NamedTuple):
    """Weights (K,), means (K, D) and covariances (K, D, D)."""

    weights: Tensor
    means: Tensor
    covariances: Tensor

    @property
    def factors(self) -> Tensor:
        """The inverse Cholesky factors of the covariances, (K, D, D)."""
        return inverse_factors(self.covariances)

    def log_normals(self, z: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the log-density of rows (B, D), or of their ``observed`` cells, under each Gaussian, (K, B)."""
        out = z.new_empty(len(self.weights), len(z))
        patterns = Patterns.of(torch.ones_like(z, dtype=torch.bool) if observed is None else observed)
        for rows, marginals in marginals_by_block(self.covariances, patterns):
            out[:, rows] = marginals.log_prob(marginals.residuals(self.means, z[rows].t()))
        return out

    def log_prob(self, z: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the log-density of rows (B, D), or of their ``observed`` cells, (B,)."""
        return torch.logsumexp(self.weights.log()[:, None] + self.log_normals(z, observed), 0)


def inverse_factors(covariances: Tensor) -> Tensor:
    """Return lower triangular P (..., D, D) with P S P' = 1; NaN where a covariance S is not positive definite."""
    lower, failed = torch.linalg.cholesky_ex(covariances)
    return _inverse(lower.where((failed == 0)[..., None, None], math.nan))


def covariances_of(factors: Tensor) -> Tensor:
    """Return the covariances (..., D, D) of which these are the inverse Cholesky factors."""
    lower = _inverse(factors)
    return lower @ lower.mT


def _inverse(lower: Tensor) -> Tensor:
    identity = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
    inverse: Tensor = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
    return inverse


def multiply_by_own(matrices: Tensor, own: Tensor, vectors: Tensor) -> Tensor:
    """Return the product (K, I, B) of each row's own (B,) of some matrices (P, K, I, J) with its vectors (K, J, B)."""
    if len(matrices) == 1:
        return torch.bmm(matrices[0], vectors)
    *alike, rare = _rows_alike(own)
    products = [torch.bmm(matrices[own[rows[0]]], vectors.index_select(2, rows)) for rows in alike]
    by_row = matrices[own[rare]] @ vectors.index_select(2, rare).permute(2, 0, 1)[..., None]
    products.append(by_row[..., 0].permute(1, 2, 0))
    return torch.cat(products, 2).index_select(2, torch.cat([*alike, rare]).argsort())


def _rows_alike(own: Tensor) -> list[Tensor]:
    """Return the rows of each number that many of them have, (B,), and last the rows of all other numbers."""
    frequent = torch.bincount(own) >= FEWEST_ALIKE
    alike = [(own == number).nonzero()[:, 0] for number in frequent.nonzero()[:, 0].tolist()]
    return [*alike, (~frequent[own]).nonzero()[:, 0]]


def marginals_by_block(covariances: Tensor, patterns: Patterns) -> Iterator[tuple[Tensor, Marginals]]:
    """Yield the numbers of some of the rows, those of a pattern together, and the marginals of Gaussians (K, D, D).

    Blocks bound the memory, as each pattern needs matrices of its own.
    """
    observed, own = patterns
    most = max(1, BLOCK // max(1, len(covariances) * covariances.shape[1]))
    *alike, rare = _rows_alike(own)
    for rows in alike:
        kind = observed[own[rows[:1]]]
        factors = Marginals.of(covariances, Patterns(kind, rows)).factors
        for block in torch.split(rows, most):
            yield block, Marginals(factors, Patterns(kind, torch.zeros_like(block)))
    for block in torch.split(rare, max(1, BLOCK // max(1, covariances.numel()))) if len(rare) else ():
        numbers, own_number = torch.unique(own[block], return_inverse=True)
        yield block, Marginals.of(covariances, Patterns(observed[numbers], own_number))


def expectation_maximisation(
    shares: Tensor,
    maximise: Callable[[Tensor], Fitted],
    expect: Callable[[Fitted], Tensor],
    *,
    max_iterations: int,
    least_gain: float,
    weights: Tensor | None = None,
) -> tuple[Fitted, float]:
    """Fit a mixture of whatever components (Dempster, Laird and Rubin, 1977).

    Args:
        shares: The components' shares of each row to start from, (K, N).
        maximise: The M-step: from shares to the mixture of greatest likelihood.
        expect: The E-step: from a mixture to the log-density of each row together with each component, (K, N).
        max_iterations: It stops there, converged or not.
        least_gain: In nats a row; an iteration that gains less is the last.
        weights: Of the rows, (N,), one on average; ``None`` where all count alike.

    Returns:
        The mixture, and the mean log-density of the rows.
    """
    reached = -math.inf
    for _ in range(max_iterations):
        mixture = maximise(shares if weights is None else shares * weights)
        log_joint = expect(mixture)
        log_prob = torch.logsumexp(log_joint, 0)
        before, reached = reached, float(log_prob.mean() if weights is None else (log_prob * weights).mean())
        if reached - before < least_gain:
            break
        shares = log_joint.sub_(log_prob).exp_()
    return mixture, reached
