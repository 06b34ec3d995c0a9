"""Missing cells of drawn rows, filled as they would be where nothing is missing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.density.encoding import Encoding
from flowcli.flows import Joint

# Candidates for each row in a round, rows that these are like, and others besides, so that no place is left out.
CANDIDATES, ALIKE, OTHERS = 64, 24, 8
MOST_ROUNDS = 6
# Candidates that count, out of all, for a round to be the last one.
ENOUGH = 8.0
STEPS = 8  # of a random walk from the candidate that was chosen
AT_ONCE = 128  # rows

WIDTH = 0.4  # of a candidate around the number that it is like, in units of a coordinate's spread
BORROWED = 9.0  # squared distance that makes a row the less alike for what it has borrowed
BROAD, BROAD_SHARE = 3.0, 0.1  # what keeps weights bounded: a wide normal, and its share
OTHER_CODE_SHARE = 0.1  # the same for codes
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Rows(NamedTuple):
    """Encoded rows: codes (…, V), numbers (…, D + A) and what is given (…, C)."""

    codes: Tensor
    numbers: Tensor
    given: Tensor


class Pool(NamedTuple):
    """Rows to take candidates from, whole, and which of their codes (N, V) are borrowed from other rows."""

    rows: Rows
    borrowed: Tensor


class Proposal(NamedTuple):
    """What candidates are drawn from: kernels around M numbers and codes of each row, (B, M, D + A) and (B, M, V)."""

    numbers: Tensor
    codes: Tensor
    width: Tensor  # (B,)


class Completion:
    """Draws of what is missing in rows given what is there, from the density of rows in which nothing is missing.

    That identifies what the data cannot: a missing value is taken to be spread as, beside the same observed ones, in
    rows without missing cells (complete-case missing values: Little, 1993). It holds where cells are missing at random.

    The draws are by adaptive importance resampling (population Monte Carlo: Cappé et al., 2004): candidates around the
    values of rows that are alike, weighted by density over proposal; where few of them count, new ones around the
    heaviest. A short random walk (Metropolis et al., 1953) follows.

    Args:
        encoding: How rows are encoded.
        joint: Their density.
    """

    def __init__(self, encoding: Encoding, joint: Joint) -> None:
        self.joint, self.layout = joint, encoding.layout
        outcomes = encoding.modelled.outcomes
        self.missing = torch.tensor([o.missing if o.column.missing else -1 for o in outcomes])  # no code is -1
        self.allowed = torch.tensor([o.missing if o.column.missing else o.count for o in outcomes])
        owners = (*self.layout.coordinate_codes, *self.layout.angle_codes)
        self.owners = torch.tensor([-1 if owner is None else owner for owner in owners], dtype=torch.long)
        self.circle = torch.arange(len(owners)) >= self.layout.coordinates

    def fill(
        self, codes: Tensor, coordinates: Tensor, angles: Tensor, given: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fill rows; those that miss nothing stay as they are.

        Args:
            codes: (B, V).
            coordinates: (B, D), float64.
            angles: (B, A), float64.
            given: (B, C).
            generator: Of all random numbers.

        Returns:
            Codes, coordinates and angles of rows in which no cell is missing.
        """
        rows = Rows(codes.clone(), torch.cat([coordinates, angles], 1), given.double())
        absent = rows.codes == self.missing
        pool = self._pool(rows, absent, generator)
        for some in torch.split(absent.any(1).nonzero()[:, 0], AT_ONCE):
            chosen = self._draw(Rows(*(part[some] for part in rows)), absent[some], pool, generator)
            rows.codes[some], rows.numbers[some] = chosen.codes, chosen.numbers
        return rows.codes, rows.numbers[:, : coordinates.shape[1]], rows.numbers[:, coordinates.shape[1] :]

    def _pool(self, rows: Rows, absent: Tensor, generator: torch.Generator) -> Pool:
        """The rows with what is missing taken from other ones, whichever they are."""
        codes, numbers = rows.codes.clone(), rows.numbers.clone()
        for code in absent.any(0).nonzero()[:, 0].tolist():
            to, own = absent[:, code].nonzero()[:, 0], (self.owners == code).nonzero()[:, 0]
            from_ = (~absent[:, code]).nonzero()[:, 0]
            if len(from_):
                from_ = from_[_whole(len(from_), (len(to),), generator)]
                codes[to, code] = rows.codes[from_, code]
                numbers[to[:, None], own] = rows.numbers[from_[:, None], own]
            else:
                codes[to, code] = _whole(int(self.allowed[code]), (len(to),), generator)
        return Pool(Rows(codes, numbers, rows.given), absent)

    def _draw(self, rows: Rows, absent: Tensor, pool: Pool, generator: torch.Generator) -> Rows:
        """Rows with their missing cells drawn."""
        hidden = absent[:, self.owners] & (self.owners >= 0)  # numbers that are not known, if there are any
        proposal = self._alike(rows, absent, hidden, pool, generator)
        count = len(rows.codes)
        chosen = rows
        open_ = torch.arange(count)
        best = torch.zeros(count, dtype=torch.long)
        scale = torch.zeros(count, dtype=torch.float64)
        for round_ in range(MOST_ROUNDS):
            own, own_absent, own_hidden = Rows(*(part[open_] for part in rows)), absent[open_], hidden[open_]
            candidates, log_q = self._candidates(own, own_absent, own_hidden, proposal, pool, generator)
            weights = torch.softmax(self._log_prob(candidates) - log_q, 1).nan_to_num(1 / CANDIDATES)
            places = torch.multinomial(weights, ALIKE + OTHERS, replacement=True, generator=generator)
            best = places[:, :1]
            picked = Rows(*(_take(part, best)[:, 0] for part in candidates))
            chosen = (
                picked
                if round_ == 0
                else Rows(*(a.index_copy(0, open_, b) for a, b in zip(chosen, picked, strict=True)))
            )
            scale[open_] = proposal.width
            few = 1 / weights.square().sum(1) < ENOUGH
            if not few.any():
                break
            open_ = open_[few]
            numbers, codes = (_take(part, places)[few] for part in (candidates.numbers, candidates.codes))
            proposal = Proposal(numbers, codes, proposal.width[few] / 2)
        return self._walk(chosen, hidden, scale, generator)

    def _alike(self, rows: Rows, absent: Tensor, hidden: Tensor, pool: Pool, generator: torch.Generator) -> Proposal:
        """For each row those of the pool that are most like it in what is known, and some others."""
        there = self._there(rows.codes) & ~hidden
        squares = BORROWED * (absent.double() @ pool.borrowed.double().t())
        for place in range(rows.numbers.shape[1]):
            apart = self._apart(rows.numbers[:, place, None], pool.rows.numbers[None, :, place], place)
            squares += apart.square() * there[:, place, None]
        for code in range(rows.codes.shape[1]):
            squares += (rows.codes[:, code, None] != pool.rows.codes[None, :, code]) * ~absent[:, code, None]
        nearest = squares.topk(min(ALIKE, len(pool.rows.codes)), 1, largest=False).indices
        others = _whole(len(pool.rows.codes), (len(rows.codes), ALIKE + OTHERS - nearest.shape[1]), generator)
        chosen = torch.cat([nearest, others], 1)
        return Proposal(
            pool.rows.numbers[chosen], pool.rows.codes[chosen], torch.full((len(chosen),), WIDTH, dtype=torch.float64)
        )

    def _candidates(
        self,
        rows: Rows,
        absent: Tensor,
        hidden: Tensor,
        proposal: Proposal,
        pool: Pool,
        generator: torch.Generator,
    ) -> tuple[Rows, Tensor]:
        """Candidates for each row (B, S, …), and the logarithms of the proposal's density there, (B, S)."""
        count, models = proposal.codes.shape[:2]
        shape = (count, CANDIDATES)
        model = _whole(models, shape, generator)
        codes = rows.codes[:, None].expand(*shape, -1).clone()
        numbers = rows.numbers[:, None].expand(*shape, -1).clone()
        log_kernels = torch.zeros(count, CANDIDATES, models, dtype=torch.float64)
        for code in absent.any(0).nonzero()[:, 0].tolist():
            like = proposal.codes[:, :, code]
            size = int(self.allowed[code])
            shares = torch.bincount(pool.rows.codes[:, code], minlength=size)[:size].double() + 1
            shares = shares / shares.sum()
            other = torch.multinomial(shares, count * CANDIDATES, replacement=True, generator=generator).view(shape)
            keep = torch.rand(shape, generator=generator, dtype=torch.float64) >= OTHER_CODE_SHARE
            drawn = torch.where(keep, like.gather(1, model), other)
            here = absent[:, code, None]
            codes[:, :, code] = torch.where(here, drawn, codes[:, :, code])
            same = (drawn[:, :, None] == like[:, None]) * (1 - OTHER_CODE_SHARE)
            log_kernels += torch.log(same + OTHER_CODE_SHARE * shares[drawn][:, :, None]) * here[:, :, None]
        there = self._there(codes)
        for place in hidden.any(0).nonzero()[:, 0].tolist():
            like, width = proposal.numbers[:, :, place], proposal.width[:, None]
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            broad = torch.rand(shape, generator=generator, dtype=torch.float64) < BROAD_SHARE
            near = like.gather(1, model) + width * noise
            wide = self._broad(noise, place, generator)
            drawn = self._wrapped(torch.where(broad, wide, near), place)
            here = hidden[:, place, None] & there[:, :, place]
            numbers[:, :, place] = torch.where(
                here, drawn, torch.where(hidden[:, place, None], 0.0, rows.numbers[:, place, None])
            )
            apart = self._apart(drawn[:, :, None], like[:, None], place) / width[:, :, None]
            density = (1 - BROAD_SHARE) * torch.exp(-0.5 * apart.square() - LOG_SQRT_2PI) / width[:, :, None]
            density = density + BROAD_SHARE * self._broad_density(drawn, place)[:, :, None]
            log_kernels += torch.log(density) * here[:, :, None]
        given = rows.given[:, None].expand(*shape, -1)
        return Rows(codes, numbers, given), torch.logsumexp(log_kernels, 2)

    def _walk(self, rows: Rows, hidden: Tensor, scale: Tensor, generator: torch.Generator) -> Rows:
        """Some steps of a random walk of the numbers that were not known, which leaves their density as it is."""
        moving = hidden & self._there(rows.codes)
        numbers, log_prob = rows.numbers, self._log_prob(rows)
        scale = scale[:, None] / moving.sum(1, keepdim=True).clamp_min(1).sqrt()
        for _ in range(STEPS):
            noise = torch.randn(numbers.shape, generator=generator, dtype=torch.float64)
            # Long and short steps, so that one is right.
            length = scale * torch.exp(-2 * torch.rand(scale.shape, generator=generator, dtype=torch.float64))
            moved = numbers + moving * length * noise
            for place in self.circle.nonzero()[:, 0].tolist():
                moved[:, place] = self._wrapped(moved[:, place], place)
            found = self._log_prob(rows._replace(numbers=moved))
            draws = torch.rand(len(numbers), generator=generator, dtype=torch.float64)
            taken = torch.log(draws) < found - log_prob
            numbers = torch.where(taken[:, None], moved, numbers)
            log_prob = torch.where(taken, found, log_prob)
        return rows._replace(numbers=numbers)

    def _there(self, codes: Tensor) -> Tensor:
        """Which numbers rows with these codes (…, V) have, (…, D + A)."""
        if not codes.shape[-1]:
            return torch.ones(*codes.shape[:-1], len(self.owners), dtype=torch.bool)
        return (self.owners < 0) | (codes[..., self.owners] == 0)

    def _log_prob(self, rows: Rows) -> Tensor:
        """The log-density of encoded rows (…)."""
        like = next(self.joint.parameters())
        coordinates, angles = torch.split(rows.numbers, [self.layout.coordinates, self.layout.angles], -1)
        laid_out = torch.cat([coordinates, angles, rows.codes.double(), rows.given], -1)
        found = self.joint.log_prob(laid_out.flatten(0, -2).to(like)).cpu().double()
        return torch.where(found.isnan(), -math.inf, found).view(laid_out.shape[:-1])

    def _apart(self, x: Tensor, y: Tensor, place: int) -> Tensor:
        return self._wrapped(x - y, place)

    def _wrapped(self, x: Tensor, place: int) -> Tensor:
        """Numbers as they are, or as angles from -pi to pi."""
        return torch.remainder(x + math.pi, 2 * math.pi) - math.pi if self.circle[place] else x

    def _broad(self, noise: Tensor, place: int, generator: torch.Generator) -> Tensor:
        if self.circle[place]:
            return (torch.rand(noise.shape, generator=generator, dtype=torch.float64) - 0.5) * (2 * math.pi)
        return BROAD * noise

    def _broad_density(self, x: Tensor, place: int) -> Tensor:
        if self.circle[place]:
            return torch.full_like(x, 1 / (2 * math.pi))
        return torch.exp(-0.5 * (x / BROAD).square() - LOG_SQRT_2PI) / BROAD


def _whole(below: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(below, shape, generator=generator)


def _take(values: Tensor, places: Tensor) -> Tensor:
    """Of each row's candidates (B, S, …) those at some places (B, M), (B, M, …)."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))
