"""A mixture near a density, of which every marginal and conditional is known: where importance sampling draws from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from flowcli.encoding.column_encoder import ColumnEncoder, Encoded
from flowcli.errors import NumericsError
from flowcli.random import Stream, numpy_generator

COMPONENTS = 32
ROWS_PER_COLUMN = 8  # that a component has at least, of those that it is fitted to
INCOMPLETE_ROWS = 2048  # fitted to where each pattern of missing cells needs a matrix of its own
ITERATIONS, LEAST_GAIN = 30, 0.01  # of expectation maximisation; nats a row
PRIOR_ROWS = 2.0  # like all rows together, that every component has besides its own
LEAST_VARIANCE = 1e-10
NARROWEST, WIDEST = 0.02, 1.8  # scales of an angle, in radians
# Beside each component stands a wider one, so that weights stay bounded in the tails of a density.
WIDE_SHARE, WIDER = 0.15, 2.0  # its share, and its variances over the other's
FEWEST_ALIKE = 16  # rows of one pattern that make a product for it alone cheaper than one for each row
LARGEST = 2**22  # numbers in one of the larger tensors
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Known:
    """Which variables of rows are known: codes (B, V), angles (B, A) and coordinates (B, D)."""

    codes: Tensor
    angles: Tensor
    coordinates: Tensor

    @classmethod
    def of(cls, columns: Tensor, part: ColumnEncoder) -> Known:
        """From which of the table's columns are, (B, N_c)."""
        return cls(columns[:, part.with_codes], columns[:, part.circular], columns[:, part.continuous])


@dataclass(frozen=True)
class Proposal:
    """sum_k w_k prod_v P_k(code_v) prod_a N_k(angle_a) N_k(coordinates): a latent class model of mixed data.

    Within a component codes, angles (wrapped normals) and coordinates (a full Gaussian) are independent, so that what
    is not known is summed over by leaving it out, and what is known changes the components' weights and the Gaussians'
    means. A coordinate that is not observed, which its code says, is left out too.

    Attributes:
        part: How columns are encoded.
        log_weights: (K,).
        tables: Of each code the logarithms of its outcomes' probabilities, (K, outcomes).
        angle_means: (K, A).
        angle_scales: (K, A).
        means: (K, D).
        covariances: (K, D, D).
    """

    part: ColumnEncoder
    log_weights: Tensor
    tables: tuple[Tensor, ...]
    angle_means: Tensor
    angle_scales: Tensor
    means: Tensor
    covariances: Tensor

    @classmethod
    def fit(cls, part: ColumnEncoder, encoded: Encoded, seed: int) -> Proposal:
        """Fit to rows by expectation maximisation (Dempster, Laird and Rubin, 1977).

        Args:
            part: How they are encoded.
            encoded: The rows, N.
            seed: Of the start.
        """
        random = numpy_generator(seed, Stream.PROPOSAL_START)
        observed = part.present(encoded.codes, part.continuous)
        if not bool(observed.all()):
            encoded = _rows(encoded, torch.arange(min(len(observed), INCOMPLETE_ROWS)))
            observed = observed[:INCOMPLETE_ROWS]
        width = encoded.coordinates.shape[1] + encoded.angles.shape[1] + encoded.codes.shape[1]
        components = max(1, min(COMPONENTS, len(observed) // (ROWS_PER_COLUMN * (width + 1))))
        centres = torch.from_numpy(random.choice(len(observed), components, replace=False))
        shares = torch.nn.functional.one_hot(_distances(encoded, _rows(encoded, centres)).argmin(1), components)
        shares = shares.t().double()
        reached = -math.inf
        for _ in range(ITERATIONS):
            proposal = _most_likely(part, encoded, observed, shares)
            log_joint = proposal._narrow(encoded, Known(*(torch.ones_like(x, dtype=torch.bool) for x in encoded[:3])))
            log_prob = torch.logsumexp(log_joint, 0)
            before, reached = reached, float(log_prob.mean())
            if reached - before < LEAST_GAIN:
                break
            shares = torch.exp(log_joint - log_prob)
        return proposal

    @cached_property
    def complete(self) -> Proposal:
        """This proposal, given that no cell is missing."""
        tables = []
        for table, outcomes in zip(self.tables, self.part.outcomes, strict=True):
            possible = torch.arange(table.shape[1]) != (outcomes.missing if outcomes.column.missing else -1)
            tables.append(torch.log_softmax(torch.where(possible, table, -math.inf), 1))
        return replace(self, tables=tuple(tables))

    def log_prob(self, encoded: Encoded, known: Known) -> Tensor:
        """Return log-density of what is known of rows, relative to codes, angles and coordinates, (B,)."""
        return torch.logsumexp(self._log_joint(encoded, known), 0)

    def draw(self, encoded: Encoded, known: Known, uniform: Tensor, noise: Tensor) -> Encoded:
        """Draw what is not known of rows, several times, given what is.

        Args:
            encoded: The rows, B.
            known: What is known of them.
            uniform: Uniform numbers, (B, M, 1 + V + A).
            noise: Standard normal numbers, (B, M, A + D).

        Returns:
            B M rows, with ``log_dets`` of zero.
        """
        count, angles = uniform.shape[1], encoded.angles.shape[1]
        posterior = torch.softmax(self._log_joint(encoded, known), 0)
        chosen = choose(posterior.t()[:, None, :], uniform[:, :, 0])
        wide, chosen = chosen >= len(self.means), chosen % len(self.means)
        codes = encoded.codes[:, None].repeat(1, count, 1)
        for index, table in enumerate(self.tables):
            drawn = choose(table.exp()[chosen], uniform[:, :, 1 + index])
            codes[:, :, index] = torch.where(known.codes[:, None, index], codes[:, :, index], drawn)
        turned = self.angle_means[chosen] + self.angle_scales[chosen] * noise[:, :, :angles]
        anywhere = uniform[:, :, 1 + len(self.tables) :] * 2 * math.pi
        turned = torch.remainder(torch.where(wide[:, :, None], anywhere, turned) + math.pi, 2 * math.pi) - math.pi
        turned = torch.where(known.angles[:, None], encoded.angles[:, None], turned)
        stretched = noise[:, :, angles:] * torch.where(wide, math.sqrt(WIDER), 1.0)[:, :, None]
        numbers = self._draw_coordinates(encoded, known, chosen, stretched)
        codes, turned, numbers = (part.flatten(0, 1) for part in (codes, turned, numbers))
        numbers = numbers * self.part.present(codes, self.part.continuous)
        turned = turned * self.part.present(codes, self.part.circular)
        return Encoded(codes, turned, numbers, numbers.new_zeros(len(codes), len(self.part.schema.columns)))

    def _log_joint(self, encoded: Encoded, known: Known) -> Tensor:
        """Return log-density of what is known together with each component, the wide ones last, (2 K, B)."""
        log_codes, log_angles, squares, log_scales, observed = self._pieces(encoded, known)
        columns, angles = (
            observed.double().sum(1),
            (known.angles & self.part.present(encoded.codes, self.part.circular)).double().sum(1),
        )
        log_codes = log_codes - 0.5 * LOG_2PI * columns - log_scales
        narrow = math.log(1 - WIDE_SHARE) + log_codes + log_angles - 0.5 * squares
        wide = math.log(WIDE_SHARE) + log_codes - LOG_2PI * angles - 0.5 * (squares / WIDER + columns * math.log(WIDER))
        return torch.cat([narrow, wide])

    def _narrow(self, encoded: Encoded, known: Known) -> Tensor:
        """Return log-density of what is known together with each component that EM fits, without wide ones, (K, B)."""
        log_codes, log_angles, squares, log_scales, observed = self._pieces(encoded, known)
        return log_codes + log_angles - log_scales - 0.5 * (squares + LOG_2PI * observed.double().sum(1))

    def _pieces(self, encoded: Encoded, known: Known) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the terms of each component's log-density of what is known.

        These are the log-probabilities of codes and of angles, the squared residuals and the log-scales of
        coordinates, (K, B) each, and which coordinates are known and present, (B, D).
        """
        log_codes = self.log_weights[:, None].expand(-1, len(encoded.codes))
        for index, table in enumerate(self.tables):
            # Not a product: what is not possible has a logarithm of minus infinity.
            log_codes = log_codes + torch.where(known.codes[:, index], table[:, encoded.codes[:, index]], 0.0)
        log_angles = torch.zeros_like(log_codes)
        has_angles = known.angles & self.part.present(encoded.codes, self.part.circular)
        for index in range(encoded.angles.shape[1]):
            difference = encoded.angles[:, index] - self.angle_means[:, index, None]
            log_wrapped = _log_wrapped(difference, self.angle_scales[:, index, None])
            log_angles = log_angles + log_wrapped * has_angles[:, index]
        observed = known.coordinates & self.part.present(encoded.codes, self.part.continuous)
        squares, log_scales = torch.empty_like(log_codes), torch.empty_like(log_codes)
        for own, factors in self._roots(observed):
            difference = (encoded.coordinates[own] - self.means[:, None]) * observed[own]  # (K, b, D)
            residuals = _solved(factors, difference)
            squares[:, own] = residuals.square().sum(2)
            log_scales[:, own] = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1).view(len(factors), -1)
        return log_codes, log_angles, squares, log_scales, observed

    def _roots(self, observed: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows, and the Cholesky factors of the covariances of what is observed of them.

        Where few rows have one pattern they come together, with factors of their own, (K, b, D, D); else pattern by
        pattern, (K, 1, D, D). For columns not observed, the factors are the identity's.
        """
        for own, pattern in _patterns(observed, self.covariances[0].numel() * len(self.means)):
            both = pattern[:, :, None] & pattern[:, None, :]
            fillers = torch.diag_embed((~pattern).double())
            yield own, torch.linalg.cholesky(self.covariances[:, None] * both + fillers)

    def _draw_coordinates(self, encoded: Encoded, known: Known, chosen: Tensor, noise: Tensor) -> Tensor:
        """Coordinates (B, M, D) of each row's chosen components (B, M), where they are not known drawn from noise."""
        observed = known.coordinates & self.part.present(encoded.codes, self.part.continuous)
        out = torch.empty_like(noise)
        for own, factors in self._roots(observed):
            pattern = observed[own]
            patterns = pattern[: factors.shape[1]]  # of each row, or the one that all of them have
            between = self.covariances[:, None] * patterns[:, None, :]  # all columns by those that are known
            gains = torch.linalg.solve_triangular(factors, between.mT, upper=False)
            difference = (encoded.coordinates[own] - self.means[:, None]) * pattern
            expected = self.means[:, None] + (gains.mT @ _solved(factors, difference)[..., None])[..., 0]
            free = ~patterns
            left_over = (self.covariances[:, None] - gains.mT @ gains) * (free[:, :, None] & free[:, None, :])
            left_over = left_over + torch.diag_embed(patterns.double())
            roots, failed = torch.linalg.cholesky_ex(left_over)
            if failed.any():  # what is drawn has to have the very density that its weight says
                raise NumericsError("columns depend on each other too closely to draw some of them given others")
            component = chosen[own]
            drawn = expected[component, torch.arange(len(own))[:, None]]
            drawn = drawn + _correlated_noise(roots, component, noise[own])
            out[own] = torch.where(pattern[:, None], encoded.coordinates[own][:, None], drawn)
        return out


def _most_likely(part: ColumnEncoder, encoded: Encoded, observed: Tensor, shares: Tensor) -> Proposal:
    """Return the proposal of greatest likelihood given the components' shares of each row, (K, N) (the M-step)."""
    sizes = shares.sum(1)
    everyone = torch.ones(1, shares.shape[1], dtype=torch.float64)
    means, covariances = _moments(
        encoded.coordinates, observed, shares, *_moments(encoded.coordinates, observed, everyone)
    )
    tables = []
    for index, outcomes in enumerate(part.outcomes):
        hot = torch.nn.functional.one_hot(encoded.codes[:, index], outcomes.count).double()
        overall = (hot.sum(0) + 0.5) / (len(hot) + 0.5 * outcomes.count)
        tables.append(torch.log((shares @ hot + PRIOR_ROWS * overall) / (sizes[:, None] + PRIOR_ROWS)))
    present = part.present(encoded.codes, part.circular).double()
    cosine, sine = (shares @ (part_ * present) for part_ in (encoded.angles.cos(), encoded.angles.sin()))
    length = torch.sqrt(cosine.square() + sine.square()) / (shares @ present + PRIOR_ROWS)
    scales = torch.sqrt(-2 * torch.log(length.clamp(1e-6, 1 - 1e-9))).clamp(NARROWEST, WIDEST)
    weights = (sizes + 1) / (sizes + 1).sum()
    return Proposal(part, weights.log(), tuple(tables), torch.atan2(sine, cosine), scales, means, covariances)


def _moments(
    u: Tensor, observed: Tensor, shares: Tensor, mean: Tensor | None = None, covariance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return means (K, D) and covariances (K, D, D) of rows' observed numbers (N, D), shrunk to all rows'.

    A pair of columns has the rows in which both are observed; where that leaves no covariance, the nearest one is used.
    """
    here = observed.double()
    prior = 0.0 if mean is None else PRIOR_ROWS
    counts = shares @ here + prior
    means = (shares @ (u * here) + (0.0 if mean is None else prior * mean)) / counts.clamp_min(1e-9)
    covariances = u.new_empty(len(shares), u.shape[1], u.shape[1])
    for share, centre, out in zip(shares, means, covariances, strict=True):
        difference = (u - centre) * here
        total, pairs = difference.t() @ (difference * share[:, None]), here.t() @ (here * share[:, None])
        if covariance is not None:
            total, pairs = total + prior * covariance[0], pairs + prior
        out.copy_(total / pairs.clamp_min(1e-9))
    values, vectors = torch.linalg.eigh(covariances)
    return means, vectors @ torch.diag_embed(values.clamp_min(LEAST_VARIANCE)) @ vectors.mT


def _distances(encoded: Encoded, centres: Encoded) -> Tensor:
    """Return squared distances of N rows from K others, (N, K); a code that differs counts two standard deviations."""
    squares = torch.cdist(encoded.coordinates, centres.coordinates).square()
    for index in range(encoded.codes.shape[1]):
        squares += 4.0 * (encoded.codes[:, index, None] != centres.codes[None, :, index])
    for index in range(encoded.angles.shape[1]):
        squares += 2 - 2 * torch.cos(encoded.angles[:, index, None] - centres.angles[None, :, index])
    return squares


def _patterns(observed: Tensor, matrices: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows with the pattern (1, D) that they share, or with their own (b, D), where few share one."""
    if not len(observed):
        return
    if bool((observed == observed[0]).all()):
        yield torch.arange(len(observed)), observed[:1]
        return
    kinds, own, counts = torch.unique(observed, dim=0, return_inverse=True, return_counts=True)
    for kind in (counts >= FEWEST_ALIKE).nonzero()[:, 0].tolist():
        yield (own == kind).nonzero()[:, 0], kinds[kind : kind + 1]
    rare = (counts[own] < FEWEST_ALIKE).nonzero()[:, 0]
    for some in torch.split(rare, max(1, LARGEST // max(1, matrices))):
        yield some, observed[some]


def _solved(factors: Tensor, difference: Tensor) -> Tensor:
    """Return residuals (K, b, D) of differences (K, b, D), by factors of each row (K, b, D, D) or all (K, 1, D, D)."""
    own = factors.shape[1] == difference.shape[1]
    columns = difference[..., None] if own else difference.mT
    residuals: Tensor = torch.linalg.solve_triangular(factors if own else factors[:, 0], columns, upper=False)
    return residuals[..., 0] if own else residuals.mT


def _correlated_noise(roots: Tensor, component: Tensor, noise: Tensor) -> Tensor:
    """Noise (b, M, D) with the covariances of components (b, M), of which roots are (K, b or 1, D, D)."""
    out = torch.empty_like(noise)
    if roots.shape[1] == 1:
        for k in range(len(roots)):
            rows = component == k
            out[rows] = noise[rows] @ roots[k, 0].t()
        return out
    for row in range(len(noise)):
        out[row] = (roots[component[row], row] @ noise[row, :, :, None])[..., 0]
    return out


def choose(shares: Tensor, uniform: Tensor) -> Tensor:
    """Return the outcomes that uniform numbers choose by shares (..., outcomes); the first where all are zero."""
    edges = shares.cumsum(-1)
    chosen: Tensor = (edges[..., :-1] < uniform[..., None] * edges[..., -1:]).sum(-1)
    return chosen


def _log_wrapped(difference: Tensor, scale: Tensor) -> Tensor:
    """Return the log-density of a wrapped normal, of angles that are so far apart from its mean."""
    turns = torch.arange(-1, 2, dtype=torch.float64) * 2 * math.pi
    nearest = torch.remainder(difference + math.pi, 2 * math.pi) - math.pi
    squares = ((nearest[..., None] + turns) / scale[..., None]).square()
    return torch.logsumexp(-0.5 * squares, -1) - torch.log(scale) - 0.5 * LOG_2PI


def _rows(encoded: Encoded, chosen: Tensor) -> Encoded:
    return Encoded(*(part[chosen] for part in encoded))
