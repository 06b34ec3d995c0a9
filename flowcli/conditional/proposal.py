"""A mixture near a density, of which every marginal and conditional is known: where importance sampling draws from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from flowcli.encoding.column_encoder import ColumnEncoder, Encoded
from flowcli.errors import NumericsError
from flowcli.flows.gaussian_mixture import Patterns, expectation_maximisation, marginals_by_block, multiply_by_own
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
        everything = Known(*(torch.ones_like(piece, dtype=torch.bool) for piece in encoded[:3]))

        def maximise(shares: Tensor) -> Proposal:
            return _most_likely(part, encoded, observed, shares)

        def expect(proposal: Proposal) -> Tensor:
            log_codes, log_angles, log_normals, _ = proposal._pieces(encoded, everything)
            return log_codes + log_angles + log_normals

        return expectation_maximisation(shares, maximise, expect, max_iterations=ITERATIONS, least_gain=LEAST_GAIN)[0]

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
        log_codes, log_angles, log_normals, squares = self._pieces(encoded, known)
        columns = (known.coordinates & self.part.present(encoded.codes, self.part.continuous)).double().sum(1)
        angles = (known.angles & self.part.present(encoded.codes, self.part.circular)).double().sum(1)
        narrow = math.log(1 - WIDE_SHARE) + log_codes + log_angles + log_normals
        log_wide_normals = log_normals + 0.5 * (squares - squares / WIDER - columns * math.log(WIDER))
        return torch.cat([narrow, math.log(WIDE_SHARE) + log_codes - LOG_2PI * angles + log_wide_normals])

    def _pieces(self, encoded: Encoded, known: Known) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the terms of each component's log-density of what is known, without wide ones, (K, B) each.

        These are the log-densities of codes, of angles and of coordinates, and the squared residuals of the last.
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
        log_normals, squares = torch.empty_like(log_codes), torch.empty_like(log_codes)
        for own, marginals in marginals_by_block(self.covariances, Patterns.of(observed)):
            e = marginals.residuals(self.means, encoded.coordinates[own].t())
            log_normals[:, own], squares[:, own] = marginals.log_prob(e), e.square().sum(1)
        return log_codes, log_angles, log_normals, squares

    def _draw_coordinates(self, encoded: Encoded, known: Known, chosen: Tensor, noise: Tensor) -> Tensor:
        """Coordinates (B, M, D) of each row's chosen components (B, M), where they are not known drawn from noise."""
        observed = known.coordinates & self.part.present(encoded.codes, self.part.continuous)
        out = torch.empty_like(noise)
        for own, marginals in marginals_by_block(self.covariances, Patterns.of(observed)):
            patterns, component, x = marginals.patterns, chosen[own], encoded.coordinates[own].t()
            e = marginals.residuals(self.means, x)
            expected, left_over = marginals.conditionals(self.means, self.covariances, x, e)
            fillers = torch.diag_embed(patterns.observed.double())[:, None]
            roots, failed = torch.linalg.cholesky_ex(left_over + fillers)
            if failed.any():  # what is drawn has to have the very density that its weight says
                raise NumericsError("columns depend on each other too closely to draw some of them given others")
            free = (noise[own] * ~observed[own][:, None]).flatten(0, 1)
            matrix = (patterns.own[:, None] * len(self.means) + component).flatten()
            correlated = multiply_by_own(roots.flatten(0, 1)[:, None], matrix, free.t()[None])[0].t()
            drawn = expected[component, :, torch.arange(len(own))[:, None]]
            out[own] = drawn + correlated.view_as(drawn)
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
