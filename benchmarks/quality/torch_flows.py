"""Neural spline flows of zuko and of nflows, in a training loop as their users would write a good one.

Standardised columns, AdamW, a warm-up and a cosine that ends with the budget, gradients clipped, a tenth of the rows to
choose the best weights and to stop early by. The rate is the best of those tried on magic and diamonds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import zuko
from torch import Tensor

from benchmarks.quality.run import ON_CURVE, Budget, Clock, Numbers, Run, Standard, divided

RATE, CLIP, WARMUP = 1e-3, 5.0, 100
EVALUATIONS, PATIENCE = 60, 15  # in a budget; those without a better one
FEWEST_STEPS = 50  # between evaluations
TRANSFORMS, HIDDEN, BINS, BOUND = 5, 128, 8, 5.0


def zuko_nsf(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """zuko's autoregressive NSF: 5 transforms, hidden layers of 128 and 128, 8 bins."""

    def build(columns: int) -> tuple[torch.nn.Module, Callable[[Tensor], Tensor]]:
        flow = zuko.flows.NSF(columns, bins=BINS, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN))
        return flow, lambda rows: flow().log_prob(rows)

    return _fit(build, train, test, budget, seed)


def nflows_nsf(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """nflows' autoregressive NSF in the paper's form: LU and residual blocks of 128, 5 transforms, 8 bins."""

    def build(columns: int) -> tuple[torch.nn.Module, Callable[[Tensor], Tensor]]:
        from nflows.distributions.normal import StandardNormal
        from nflows.flows import Flow
        from nflows.transforms import (
            CompositeTransform,
            LULinear,
            MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
            RandomPermutation,
        )

        parts: list[Any] = []
        for _ in range(TRANSFORMS):
            if columns > 1:
                parts += [RandomPermutation(columns), LULinear(columns, identity_init=True)]
            parts.append(
                MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                    columns, HIDDEN, num_bins=BINS, tails="linear", tail_bound=BOUND, num_blocks=2
                )
            )
        flow = Flow(CompositeTransform(parts), StandardNormal([columns]))
        return flow, flow.log_prob

    return _fit(build, train, test, budget, seed)


def _fit(
    build: Callable[[int], tuple[torch.nn.Module, Callable[[Tensor], Tensor]]],
    train: Numbers,
    test: Numbers,
    budget: Budget,
    seed: int,
) -> Run:
    torch.manual_seed(seed)
    clock = Clock()
    standard = Standard(train)
    rows, valid = (torch.from_numpy(standard(part)).float() for part in divided(train, seed))
    tested = torch.from_numpy(standard(test)).float()
    flow, log_prob = build(train.shape[1])
    optimizer = torch.optim.AdamW(flow.parameters(), lr=RATE, weight_decay=1e-6, fused=True)
    batch = 512 if len(rows) >= 5_000 else 128
    best, reached, since, step, evaluations = copy.deepcopy(flow.state_dict()), -math.inf, 0, 0, 0
    order = torch.randperm(len(rows))
    index, due, since_step = 0, 0.0, 0
    while since < PATIENCE and clock.seconds < budget.seconds:
        for group in optimizer.param_groups:
            progress = min(1.0, clock.seconds / budget.seconds)
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * progress))
        if index + batch > len(rows):
            order, index = torch.randperm(len(rows)), 0
        loss = -log_prob(rows[order[index : index + batch]]).mean()
        index, step, since_step = index + batch, step + 1, since_step + 1
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), CLIP)
        if torch.isfinite(loss):
            optimizer.step()
        if clock.seconds >= due and since_step >= FEWEST_STEPS:
            flow.eval()
            nats = float(_scored(log_prob, valid).mean())
            evaluations, since, since_step = evaluations + 1, since + 1, 0
            due = evaluations * budget.seconds / EVALUATIONS
            if nats > reached:
                best, reached, since = copy.deepcopy(flow.state_dict()), nats, 0
                clock.note(lambda: float(_scored(log_prob, tested[:ON_CURVE]).mean()) + standard.log_det)
            flow.train()
    seconds = clock.seconds
    flow.load_state_dict(best)
    flow.eval()
    found = _scored(log_prob, tested).double().numpy() + standard.log_det
    return Run(found, seconds, clock.curve, f"{step:,} steps of {batch}")


@torch.no_grad()
def _scored(log_prob: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([log_prob(block) for block in rows.split(2048)])


__all__ = ["nflows_nsf", "zuko_nsf"]
