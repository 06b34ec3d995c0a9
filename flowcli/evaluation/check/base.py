"""The density of the latents: its mass, and its draws."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.estimate import mean_weight
from flowcli.evaluation.check.finding import Finding
from flowcli.evaluation.check.line_maps import Rows
from flowcli.evaluation.check.proposal import Proposal
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.flows.bases import Base
from flowcli.flows.context import Context
from flowcli.random import Stream, numpy_generator
from flowcli.table.schema import Column

NUMBERS = 200_000  # drawn in all, so that a scale that is off by 1% is seen
LEAST_ROWS = 10_000
ROUNDS, ROUND_ROWS = 4, 10_000
BLOCK = 10_000


def bases(subject: Subject, drawn: Points, seed: int) -> Iterator[Finding]:
    """Whether the base has the mass one, and whether its draws are as wide as it says.

    Args:
        subject: The density.
        drawn: What it drew: the latents' context is theirs.
        seed: Of latents and points.
    """
    flow = subject.joint.flow
    if flow is None or not len(drawn.rest):
        return
    generator = torch.Generator().manual_seed(seed)
    rows = max(LEAST_ROWS, NUMBERS // subject.layout.coordinates)
    chosen = torch.randint(len(drawn.rest), (rows,), generator=generator)
    with torch.no_grad():
        context = flow.passed(subject.joint.contexts(subject.laid(drawn).rows).coordinates)
    pieces = torch.split(chosen, BLOCK)
    contexts = [context.select(own) for own in pieces]
    drawings = zip(pieces, contexts, strict=True)
    z = torch.cat([flow.base.sample(len(own), generator, each) for own, each in drawings])
    yield _mass(flow.base, z, context, chosen, seed)
    yield _spread(flow.base, z, contexts)


def _mass(base: Base, z: Tensor, context: Context, chosen: Tensor, seed: int) -> Finding:
    """By importance sampling from a mixture fitted to draws."""
    columns = [Column(f"z{place}") for place in range(z.shape[1])]
    seen = context.select(chosen)
    numbers = z if seen.observed is None else z.where(seen.observed > 0, math.nan)
    proposal = Proposal.fit(columns, numbers.numpy(), _features(seen, len(z)), seed)
    random = numpy_generator(seed, Stream.CHECK_LATENTS)
    log_p, log_q, found = [np.empty(0)], [np.empty(0)], None
    for _ in range(ROUNDS):
        own = context.select(torch.from_numpy(random.choice(chosen.numpy(), ROUND_ROWS)))
        there = np.ones((ROUND_ROWS, z.shape[1]), bool) if own.observed is None else (own.observed > 0).numpy()
        features = _features(own, ROUND_ROWS)
        at = proposal.sample(there, features, random)
        with torch.no_grad():
            log_prob = base.log_prob(torch.from_numpy(np.nan_to_num(at)), own).numpy()
        log_p.append(log_prob)
        log_q.append(proposal.log_prob(at, features))
        found = mean_weight(np.concatenate(log_p), np.concatenate(log_q))
        if found.trusted and found.error <= limits.SURE / 3:
            break
    assert found is not None
    meaning = "The density of the latents has the integral one."
    return found.finding("mass of the base", meaning, "sampling")


def _spread(base: Base, z: Tensor, contexts: list[Context]) -> Finding:
    """By Stein's identity: if z is drawn from p, the mean of (z - m) d log p/dz is -1 in each column, whatever m is.

    With draws so many times too wide it is less by twice that share, for a normal.
    """
    middle, parts = z.median(0).values, []
    for own, context in zip(torch.split(z, BLOCK), contexts, strict=True):
        at = own.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(base.log_prob(at, context).sum(), at)
        there = torch.ones_like(own) if context.observed is None else context.observed
        parts.append(torch.stack([((own - middle) * slope * there).sum(1), there.sum(1)]))
    sums, counts = torch.cat(parts, 1)
    per_number = 2 * float(counts.mean())
    too_wide = -(sums + counts) / per_number
    figure, error = abs(float(too_wide.mean())), float(too_wide.std()) / math.sqrt(len(z))
    if not math.isfinite(figure):
        figure = math.inf
    meaning = "What the base draws is as wide as its density says."
    limit = limits.ERRORS * error
    where = f"{len(z):,} draws"
    return Finding("draws of the base", figure, limit, "share", figure <= limit, meaning, where)


def _features(context: Context, rows: int) -> Rows:
    return np.empty((rows, 0)) if context.given is None else np.asarray(context.given.numpy())
