"""The mass of discrete columns: whether the probabilities of all codes add up to one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.flows.context import Context
from flowcli.flows.mixed.categorical import CategoricalDensity

MOST_OUTCOMES = 20_000  # of all codes together, to be enumerated
ROWS, MOST_ROWS = 8, 1000  # whose given columns, or first codes, are looked at
WORK = 50_000_000  # one-hot values that are read in all
AT_ONCE = 4_000_000  # and at once


@torch.no_grad()
def probability_sums(subject: Subject, drawn: Points) -> Iterator[Finding]:
    """Check that the probabilities of codes add up to one, at what some drawn points depend on."""
    codes = subject.joint.codes
    if codes is not None and len(drawn.residuals):
        yield _sums(subject, codes, drawn)


def _sums(subject: Subject, codes: CategoricalDensity, drawn: Points) -> Finding:
    width = codes.one_hot.edges[-1]
    rows = drawn.select(torch.arange(min(len(drawn.residuals), MOST_ROWS, max(2, WORK // width**2))))
    before, context = _before(subject, rows)
    off = 0.0
    for index, ends in enumerate(pairwise(codes.one_hot.edges)):
        total = _probabilities(codes, before, context, index, list(range(*ends))).sum(0)
        off = max(off, float((total - 1).abs().nan_to_num(math.inf).amax()))
    how = "each given those before it"
    if math.prod(subject.layout.outcome_counts) <= MOST_OUTCOMES:
        whole = torch.cartesian_prod(*(torch.arange(count) for count in subject.layout.outcome_counts))
        whole = whole.view(-1, len(subject.layout.outcome_counts))
        hot = codes.one_hot(whole)
        for row in range(min(ROWS if subject.layout.context_features else 1, len(drawn.residuals))):
            features = drawn.features[row : row + 1].expand(len(whole), -1)
            own = Context(features) if subject.layout.context_features else Context()
            total = torch.exp(codes.log_prob(hot, own)).sum()
            off = max(off, float((total - 1).abs().nan_to_num(math.inf)))
        how = f"all {len(whole):,} of them"
    meaning = "The probabilities of all codes (categories, discrete numbers, missing cells) add up to one."
    return within("probabilities of codes", off, limits.CODES, "", meaning, how)


def _before(subject: Subject, points: Points) -> tuple[Tensor, Context]:
    """Return the codes (B, V) of points, and what they depend on besides each other."""
    laid = subject.laid(points)
    return laid.codes, subject.joint.contexts(laid.rows).codes


def _probabilities(
    codes: CategoricalDensity, before: Tensor, context: Context, index: int, values: list[int]
) -> Tensor:
    """Return the probabilities (values, B) of values of a digit given the digits before it, those of codes (B, V)."""
    begin, end = codes.one_hot.edges[index : index + 2]
    plain, rows = codes.one_hot(before), len(before)
    possible, result = codes.possible(plain), []
    batch = max(1, AT_ONCE // plain.numel())
    for start in range(0, len(values), batch):
        chosen = torch.tensor(values[start : start + batch]).repeat_interleave(rows)
        hot = plain.repeat(1, len(chosen) // rows)
        hot[begin:end] = 0
        hot[chosen, torch.arange(len(chosen))] = 1
        own = context.select(torch.arange(rows).repeat(len(chosen) // rows))
        result.append(torch.exp(codes.log_probs(hot, own)[index]).view(-1, rows))
    every = torch.cat(result)
    return every if possible is None else every.where(possible[values] > 0, 0.0)
