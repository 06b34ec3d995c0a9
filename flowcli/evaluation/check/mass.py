"""The total mass of the numbers given the codes, in the table's units, and whether draws follow the density.

With one or two numbers it is an integral by cubature. With more it is a mean of importance weights; and where a few
large ones make that unsure, the bridge between the density's own draws and those of a guess, whose weights are bounded.
The bridge tells the mass as far as draws follow the density; that the base's do, and that they go back the way they
came, are checks of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.circular_proposal import Circle
from flowcli.evaluation.check.estimate import bridge, mean_weight
from flowcli.evaluation.check.finding import Finding
from flowcli.evaluation.check.line_maps import Line
from flowcli.evaluation.check.proposal import Proposal
from flowcli.evaluation.check.quadrature import integrals
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.random import Stream, numpy_generator

Rows = NDArray[np.float64]

ROUNDS, ROUND_ROWS = 6, 10_000  # of importance sampling, until it is sure
LABELS = (16, 6)  # rows whose codes are integrated over, with one number and with two
NAME = "total mass"
MEANING = "The density of the numbers, in the table's units and whatever the codes, has the integral one."


def masses(subject: Subject, drawn: Points, seed: int) -> Iterator[Finding]:
    """Check the total mass, by quadrature of one or two numbers, else by importance sampling; and the sampler.

    Args:
        subject: The density.
        drawn: What it drew. Codes and what is given are taken from it, and a first guess of where numbers are.
        seed: Of the guess and of points.
    """
    if not subject.numbers or len(drawn.residuals) < 2:
        return
    half = len(drawn.residuals) // 2
    first, second = drawn.select(torch.arange(half)), drawn.select(torch.arange(half, len(drawn.residuals)))
    guess = NumbersProposal(subject, first, seed)
    if len(subject.numbers) <= 2:
        yield _by_quadrature(subject, guess, second)
    random = numpy_generator(seed, Stream.CHECK_MASS)
    log_p, log_q, result = [np.empty(0)], [np.empty(0)], None
    for _ in range(ROUNDS if len(subject.numbers) > 2 else 2):
        chosen = torch.from_numpy(random.integers(len(second.residuals), size=ROUND_ROWS))
        points, q = guess.sample(second.select(chosen), random)
        log_p.append(_log_density(subject, points, second.select(chosen)))
        log_q.append(q)
        result = mean_weight(np.concatenate(log_p), np.concatenate(log_q))
        if result.trusted and result.error <= limits.SURE / 2:
            break
    assert result is not None
    p, q = np.concatenate(log_p), np.concatenate(log_q)
    theirs = _log_density(subject, second, second), guess.log_prob(second)
    bridged = bridge((p, q), theirs)
    if len(subject.numbers) > 2:
        if not result.sure and bridged.sure:
            yield bridged.finding(NAME, MEANING, "bridge")
        else:
            yield result.finding(NAME, MEANING, "sampling")
    meaning = "What is drawn follows the density that is told: both have the same share of any other density."
    draws = bridged.finding("draws against density", meaning, "bridge")
    yield draws


class NumbersProposal:
    """A density of numbers given codes, near to a sample of that under test.

    Args:
        subject: The density under test.
        drawn: The sample.
        seed: Of the fit.
    """

    def __init__(self, subject: Subject, drawn: Points, seed: int) -> None:
        self.subject = subject
        part, columns = subject.part, subject.encoder.schema.columns
        self.circles = [Circle.fit(columns[index], drawn.residuals[:, index].numpy()) for index in part.circular]
        self.proposal: Proposal | None = None
        if part.continuous:
            laid = subject.laid(drawn)
            x = _where_observed(
                subject.along(drawn)[:, part.continuous], subject.observed(laid.codes)[:, : len(part.continuous)]
            )
            chosen = [columns[index] for index in part.continuous]
            self.proposal = Proposal.fit(chosen, x, self._features(drawn), seed)

    def sample(self, templates: Points, random: np.random.Generator) -> tuple[Points, Rows]:
        """Other numbers for rows (B), whose codes and given columns stay; their log-densities (B,)."""
        subject, part = self.subject, self.subject.part
        codes = subject.laid(templates).codes
        observed = subject.observed(codes)
        residuals = templates.residuals.clone()
        angles = observed[:, len(part.continuous) :]
        for circle, index, here in zip(self.circles, part.circular, angles.t(), strict=True):
            residuals[:, index] = torch.where(here, torch.from_numpy(circle.sample(len(residuals), random)), math.nan)
        points = Points(residuals, templates.features)
        if self.proposal is not None:
            lines = observed[:, : len(part.continuous)].numpy()
            x = torch.from_numpy(self.proposal.sample(lines, self._features(points), random))
            residuals = residuals.clone()
            residuals[:, part.continuous] = torch.where(torch.from_numpy(lines), x, residuals[:, part.continuous])
            points = Points(subject.of_codes(residuals, codes), templates.features)
        return points, self.log_prob(points, observed)

    def log_prob(self, points: Points, observed: Tensor | None = None) -> Rows:
        """Return the log-density of the numbers of rows (B) given their codes, (B,)."""
        subject, part = self.subject, self.subject.part
        if observed is None:
            observed = subject.observed(subject.laid(points).codes)
        out = np.zeros(len(points.residuals))
        for circle, index, here in zip(
            self.circles, part.circular, observed[:, len(part.continuous) :].t(), strict=True
        ):
            out += np.where(here.numpy(), circle.log_prob(points.residuals[:, index].numpy()), 0.0)
        if self.proposal is not None:
            x = _where_observed(subject.along(points)[:, part.continuous], observed[:, : len(part.continuous)])
            out += self.proposal.log_prob(x, self._features(points)) + subject.log_seasons(points).numpy()
        return out

    @torch.no_grad()
    def _features(self, points: Points) -> Rows:
        """What coordinates depend on: what is given, codes and angles, (B, F)."""
        given = self.subject.joint.contexts(self.subject.laid(points).rows).coordinates.features
        return np.empty((len(points.residuals), 0)) if given is None else np.asarray(given.numpy())


def _log_density(subject: Subject, points: Points, templates: Points) -> Rows:
    """Return the log-density of the numbers given the templates' codes, (B,); zero density where codes change."""
    wanted = subject.laid(templates).codes
    same = (subject.laid(points).codes == wanted).all(1)
    result = subject.given_codes(points, subject.code_masses(points, wanted))
    return np.asarray(torch.where(same, result, -math.inf).numpy())


def _by_quadrature(subject: Subject, guess: NumbersProposal, drawn: Points) -> Finding:
    """Return the integral for several rows' codes, each by itself; the one farthest from one is told."""
    dimensions = len(subject.numbers)
    templates = _templates(subject, drawn, LABELS[dimensions - 1])
    codes = subject.laid(templates).codes
    observed = subject.observed(codes).numpy()
    maps: list[Line | Circle] = [*(guess.proposal.lines if guess.proposal else []), *guess.circles]

    def function(v: Rows, labels: NDArray[np.intp]) -> Rows:
        own = templates.select(torch.from_numpy(labels))
        residuals, log_volume = own.residuals.clone(), np.zeros(len(v))
        for d, (index, each) in enumerate(zip(subject.numbers, maps, strict=True)):
            x, log_width = _unrolled(each, v[:, d])
            here = observed[labels, d]
            residuals[:, index] = torch.where(torch.from_numpy(here), torch.from_numpy(x), residuals[:, index])
            log_volume += np.where(here, log_width, 0.0)
        points = Points(subject.of_codes(residuals, codes[torch.from_numpy(labels)]), own.features)
        log_p = _log_density(subject, points, own) - subject.log_seasons(points).numpy()
        return np.asarray(np.exp(log_p + log_volume))

    limit = (limits.MASS_1, limits.MASS_2)[dimensions - 1]
    with np.errstate(over="ignore", invalid="ignore"):
        result, error = integrals(function, dimensions, len(templates.residuals), limit / 4)
    off = np.where(np.isfinite(result), np.abs(result - 1), math.inf)
    worst = int(off.argmax())
    passed: bool | None = bool(off[worst] <= limit)
    if not passed and error[worst] > off[worst]:  # of the coarser rule; the finer one is far better
        passed = None
    where = f"{result[worst]:.6f}, quadrature"
    return Finding(NAME, float(off[worst]), limit, "", passed, MEANING, where)


def _unrolled(each: Line | Circle, v: Rows) -> tuple[Rows, Rows]:
    """Return the numbers at places v of (0, 1), and log dx/dv: even a power law's tails end smoothly there."""
    if isinstance(each, Circle):
        return each.lower + v * each.period, np.full_like(v, math.log(each.period))
    s = 2 * logit(v)
    x = each.drawn_out(s)
    return x, math.log(2) - np.log(v * expit(-s / 2)) - each.drawn_in(x)[1]


def _templates(subject: Subject, drawn: Points, most: int) -> Points:
    """Return rows that differ in their codes, or in what they are given."""
    codes = subject.laid(drawn).codes
    first: dict[bytes, int] = {}
    for row in range(min(len(codes), 1000)):
        key = codes[row].numpy().tobytes() + drawn.features[row].numpy().tobytes()
        first.setdefault(key, row)
    return drawn.select(torch.tensor(list(first.values())[:most]))


def _where_observed(x: Tensor, observed: Tensor) -> Rows:
    return np.asarray(x.where(observed, math.nan).numpy())
