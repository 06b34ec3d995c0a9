"""Probabilities of codes: whether they add up to one, and whether codes are drawn as often as they say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import t as student
from torch import Tensor

from flowcli.encoding.unseen_integers import UnseenIntegers
from flowcli.evaluation.check import limits
from flowcli.evaluation.check.estimate import mean_weight
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.flows.context import Context
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.random import Stream, numpy_generator

MOST_OUTCOMES = 20_000  # of all codes together, to be enumerated
ROWS, MOST_ROWS = 8, 1000  # whose given columns, or first codes, are looked at
WORK = 50_000_000  # one-hot values that are read in all
COUNTED, LEAST_COUNTED = 4_000, 6  # draws whose codes are counted, and outcomes at the least
LEAST_VARIANCE = 100.0  # of a count; else its tails are no normal's, and a right one is called wrong
AT_ONCE = 4_000_000  # and at once
FALSE_ALARMS = 1e-5
OTHERS = 100_000  # numbers of a grid that are drawn
TAILS = 2.0  # degrees of freedom of what they are drawn from


@torch.no_grad()
def of_codes(subject: Subject, drawn: Points, seed: int) -> Iterator[Finding]:
    """All that is said of codes.

    Args:
        subject: The density.
        drawn: What it drew.
        seed: Of numbers of grids.
    """
    codes = subject.joint.codes
    if codes is not None and len(drawn.rest):
        yield _sums(subject, codes, drawn)
        yield _frequencies(subject, codes, drawn, seed)
    found = [
        _others(subject.encoding.schema.columns[place].name, outcomes.others, seed)
        for place, outcomes in zip(subject.part.coded, subject.part.outcomes, strict=True)
        if outcomes.others is not None
    ]
    if found:
        yield max(found, key=lambda finding: (finding.passed is False, finding.figure or 0.0))


def _sums(subject: Subject, codes: CategoricalDensity, drawn: Points) -> Finding:
    width = codes.one_hot.edges[-1]
    rows = drawn.select(torch.arange(min(len(drawn.rest), MOST_ROWS, max(2, WORK // width**2))))
    before, context = _before(subject, rows)
    off = 0.0
    for place, ends in enumerate(pairwise(codes.one_hot.edges)):
        total = _probabilities(codes, before, context, place, list(range(*ends))).sum(0)
        off = max(off, float((total - 1).abs().nan_to_num(math.inf).amax()))
    how = "each given those before it"
    if math.prod(subject.layout.outcomes) <= MOST_OUTCOMES:
        whole = torch.cartesian_prod(*(torch.arange(count) for count in subject.layout.outcomes))
        whole = whole.view(-1, len(subject.layout.outcomes))
        hot = codes.one_hot(whole)
        for row in range(min(ROWS if subject.layout.given else 1, len(drawn.rest))):
            features = drawn.features[row : row + 1].expand(len(whole), -1)
            own = Context(features) if subject.layout.given else Context()
            total = torch.exp(codes.log_prob(hot, own)).sum()
            off = max(off, float((total - 1).abs().nan_to_num(math.inf)))
        how = f"all {len(whole):,} of them"
    meaning = "The probabilities of all codes (categories, discrete numbers, missing cells) add up to one."
    return within("probabilities of codes", off, limits.CODES, "", meaning, how)


def _frequencies(subject: Subject, codes: CategoricalDensity, drawn: Points, seed: int) -> Finding:
    """How far the frequency of each outcome is from the sum of its probabilities, in standard errors."""
    edges = codes.one_hot.edges
    before, context = _before(subject, drawn.select(torch.arange(min(len(drawn.rest), COUNTED))))
    hot = codes.one_hot(before)
    outcomes = [(place, value) for place, ends in enumerate(pairwise(edges)) for value in range(*ends)]
    several = max(LEAST_COUNTED, WORK // (edges[-1] * len(before)))
    order = numpy_generator(seed, Stream.CHECK_OUTCOMES).permutation(len(outcomes))[:several]
    worst, count = 0.0, 0
    for place, value in (outcomes[number] for number in order):
        expected = _probabilities(codes, before, context, place, [value])[0]
        variance = float((expected * (1 - expected)).sum())
        if variance > LEAST_VARIANCE:
            count += 1
            worst = max(worst, abs(float(hot[value].sum() - expected.sum())) / math.sqrt(variance))
        elif not math.isfinite(variance):
            worst = math.inf
    limit = float(-ndtri(FALSE_ALARMS / 2 / max(1, count)))
    meaning = "Codes are drawn as often as their probabilities say."
    return within("draws of codes", worst, limit, "errors", meaning, f"{len(before):,} draws")


def _before(subject: Subject, points: Points) -> tuple[Tensor, Context]:
    """The codes (B, V) of points, and what they depend on besides each other."""
    laid = subject.laid(points)
    return laid.codes, subject.joint.contexts(laid.rows).codes


def _probabilities(
    codes: CategoricalDensity, before: Tensor, context: Context, place: int, values: list[int]
) -> Tensor:
    """The probabilities (values, B) of values of a digit given the digits before it, those of codes (B, V)."""
    begin, end = codes.one_hot.edges[place : place + 2]
    plain, rows = codes.one_hot(before), len(before)
    possible, found = codes.possible(plain), []
    several = max(1, AT_ONCE // plain.numel())
    for start in range(0, len(values), several):
        chosen = torch.tensor(values[start : start + several]).repeat_interleave(rows)
        hot = plain.repeat(1, len(chosen) // rows)
        hot[begin:end] = 0
        hot[chosen, torch.arange(len(chosen))] = 1
        own = context.select(torch.arange(rows).repeat(len(chosen) // rows))
        found.append(torch.exp(codes.log_probs(hot, own)[place]).view(-1, rows))
    every = torch.cat(found)
    return every if possible is None else every.where(possible[values] > 0, 0.0)


def _others(name: str, others: UnseenIntegers, seed: int) -> Finding:
    """The sum over the numbers of a grid, by importance sampling from a heavier tail."""
    random = numpy_generator(seed, Stream.CHECK_CODES)
    scale = max(2 * others.spread / others.step, 1.0)
    places = np.round(scale * random.standard_t(TAILS, OTHERS))
    near, far = ((np.abs(places) + side) / scale for side in (-0.5, 0.5))
    # Distances from zero, so that small shares far out are no differences of ones.
    log_q = np.log(student.sf(near, TAILS) - student.sf(far, TAILS))
    middle = round(others.middle / others.step)
    log_p = others.log_prob(torch.from_numpy((places + middle) * others.step)).numpy()
    found = replace(mean_weight(log_p, log_q), trusted=True)  # the lighter tail over the heavier one is bounded
    meaning = "The probabilities of numbers of a grid that were never seen add up to one."
    return found.finding("numbers never seen", meaning, f"{name!r}")
