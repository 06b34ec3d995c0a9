"""Importance sampling of the unknown cells of a row: candidates from a proposal, with their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowcli.conditional.proposal import Known, Proposal
from flowcli.encoding.column_encoder import Encoded
from flowcli.errors import NumericsError
from flowcli.model.density import Density
from flowcli.random import Stream, numpy_generator

PROPOSAL_ROWS = 8192  # draws that the proposal is fitted to
CANDIDATES = 64  # of a row in a round
ROWS = 64  # at once: few enough that the first of them do not have to wait for many


class Randomness(NamedTuple):
    """Which random numbers rows get: a function of the seed, the stream, its steps, and the rows' block in the table.

    Attributes:
        seed: The user's seed.
        stream: What the numbers are for.
        steps: Where they are used.
        first: In which block of ``ROWS`` rows of a table the first of them stands.
    """

    seed: int
    stream: Stream = Stream.CANDIDATES
    steps: tuple[int, ...] = ()
    first: int = 0

    def of(self, number: int) -> Randomness:
        """Return other numbers, for one of several rounds."""
        return self._replace(steps=(*self.steps, number))

    def sequence(self, block: int) -> np.random.SeedSequence:
        """Return what seeds the numbers of one block of rows, counted from the first."""
        return np.random.SeedSequence([self.seed, self.stream, *self.steps, self.first + block])


class Candidates(NamedTuple):
    """Candidates for some rows.

    Attributes:
        rows: Which rows these are, (b,).
        residuals: Their candidates, as residual rows, (b, M, N_c).
        log_weights: The logarithms of p(x_S, t) / q(t | x_S), (b, M).
        uniform_choice: A uniform number for each row, to choose by, (b,).
    """

    rows: Tensor
    residuals: Tensor
    log_weights: Tensor
    uniform_choice: Tensor


class WeightStats:
    """Sums of weights, row by row, and what they say.

    Args:
        rows: B.
    """

    def __init__(self, rows: int) -> None:
        self._total, self._squares = (torch.full((rows,), -math.inf, dtype=torch.float64) for _ in range(2))
        self._count = torch.zeros(rows, dtype=torch.float64)

    def add(self, result: Candidates) -> None:
        """Count some rows' candidates."""
        log_weights, rows = result.log_weights, result.rows
        self._total[rows] = torch.logaddexp(self._total[rows], torch.logsumexp(log_weights, 1))
        self._squares[rows] = torch.logaddexp(self._squares[rows], torch.logsumexp(2 * log_weights, 1))
        self._count[rows] += log_weights.shape[1]

    @property
    def log_mean(self) -> Tensor:
        """The logarithm of the mean weight, (B,)."""
        return self._total - self._count.log()

    @property
    def error(self) -> Tensor:
        """Its standard error, infinite where all weights are zero, (B,)."""
        shares = (self._count * torch.exp(self._squares - 2 * self._total) - 1).clamp_min(0.0) / (self._count - 1)
        return torch.where(self._total == -math.inf, math.inf, torch.sqrt(shares))

    @property
    def effective(self) -> Tensor:
        """How many candidates count, (sum w)^2 / sum w^2 (Kong, 1992), (B,)."""
        return torch.exp(2 * self._total - self._squares).nan_to_num(0.0)


class Importance:
    """Candidates for the columns of rows that are not known, given those that are.

    For a rounded number that is known, each candidate has another point of its rounding interval. Columns that a
    density is conditioned on are always known. The proposal is fitted to draws for plausible values of them and does
    not depend on them: its candidates are worse for it, their weights just as right.

    Args:
        density: The density.
        seed: The seed of the proposal's fit.

    Attributes:
        part: How columns are encoded.
        proposal: Where candidates come from.
        example: A residual row that the columns can hold, which fills cells that are not known, (N_c,).
    """

    def __init__(self, density: Density, seed: int) -> None:
        self._density, self.part = density, density.encoder.modelled
        random = numpy_generator(seed, Stream.PROPOSAL_DRAWS)
        given = density.encoder.plausible_given(PROPOSAL_ROWS, random)
        drawn = torch.from_numpy(density.sample(PROPOSAL_ROWS, seed=seed, given=given))
        residuals = density.encoder.relations.residuals(drawn)
        encoded = self.part.encode(residuals, torch.from_numpy(random.random(residuals.shape)))
        possible = (encoded.log_det > -math.inf).nonzero()[:, 0]
        self.example = residuals[possible[0]]
        self.proposal = Proposal.fit(self.part, Encoded(*(piece[possible] for piece in encoded)), seed)

    def round(
        self, residuals: Tensor, known: Tensor, unfinished: Tensor, random: Randomness, *, complete: bool = False
    ) -> Iterator[Candidates]:
        """Yield a round of candidates for the rows that are unfinished, block by block.

        Args:
            residuals: All rows, as residual rows, (B, N_c); cells that are not known may hold anything.
            known: Which columns of them are known, (B, N_c).
            unfinished: The numbers of the unfinished rows, ascending.
            random: That of this round.
            complete: Leave out candidates with a missing cell.
        """
        proposal = self.proposal.complete if complete else self.proposal
        for part, start in enumerate(range(0, len(residuals), ROWS)):
            some = unfinished[(unfinished >= start) & (unfinished < start + ROWS)]
            if len(some):
                numbers = self._numbers(some - start, min(ROWS, len(residuals) - start), random.sequence(part))
                yield self._candidates(some, residuals[some], known[some], numbers, proposal)

    def _candidates(
        self, rows: Tensor, residuals: Tensor, known: Tensor, numbers: _Numbers, proposal: Proposal
    ) -> Candidates:
        filled = torch.where(known, residuals, self.example)
        encoded, is_known = self.part.encode(filled), Known.of(known, self.part)
        log_known = proposal.log_prob(encoded, is_known) + torch.where(known, encoded.log_dets, 0.0).sum(1)
        filled, known, log_known = (each.repeat_interleave(CANDIDATES, 0) for each in (filled, known, log_known))
        drawn = filled.clone()
        self.part.decode(proposal.draw(encoded, is_known, numbers.uniform, numbers.noise), drawn, numbers.others)
        drawn = torch.where(known, filled, drawn)
        again = self.part.encode(drawn)
        log_q = proposal.log_prob(again, Known.of(torch.ones_like(known), self.part)) + again.log_det - log_known
        shares = torch.full_like(drawn, math.nan)
        shares[:, self.part.rounded] = numbers.cells.flatten(0, 1)
        log_p = self._density.log_prob_at(drawn, torch.where(known, shares, math.nan))
        # What cannot be has no weight, whether the row says so or a candidate too far out for numbers.
        log_weights = torch.where(log_p == -math.inf, -math.inf, log_p - log_q)
        if log_weights.isnan().any():
            raise NumericsError("a candidate's weight is not a number; the model's weights may be damaged")
        shape = (len(rows), CANDIDATES)
        return Candidates(rows, drawn.view(*shape, -1), log_weights.view(shape), numbers.uniform_choice)

    def _numbers(self, rows: Tensor, count: int, seed: np.random.SeedSequence) -> _Numbers:
        """Return the random numbers of some of a number of rows."""
        layout = self._density.encoder.layout
        uniform, noise, cells, uniform_choice, others = seed.spawn(5)
        shape, codes, angles = (count, CANDIDATES), len(layout.outcome_counts), layout.angles
        generator = torch.Generator().manual_seed(int(others.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return _Numbers(
            _uniform(uniform, (*shape, 1 + codes + angles))[rows],
            torch.from_numpy(np.random.default_rng(noise).standard_normal((*shape, angles + layout.coordinates)))[rows],
            _uniform(cells, (*shape, len(self.part.rounded)))[rows],
            _uniform(uniform_choice, (count,))[rows],
            generator,
        )


class _Numbers(NamedTuple):
    """The random numbers that M candidates for each of b rows are made of.

    Attributes:
        uniform: For what ``Proposal.draw`` chooses by them, (b, M, 1 + V + A).
        noise: Standard normal, for its numbers, (b, M, A + D).
        cells: Where in their rounding intervals rounded numbers lie, in [0, 1), (b, M, columns).
        uniform_choice: To choose one of them by, (b,).
        others: For numbers of discrete columns that have no outcome of their own.
    """

    uniform: Tensor
    noise: Tensor
    cells: Tensor
    uniform_choice: Tensor
    others: torch.Generator


def _uniform(seed: np.random.SeedSequence, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape))
