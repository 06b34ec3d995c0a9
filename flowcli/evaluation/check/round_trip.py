"""Rows to latents and back, and latents to rows and back."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.flows import Flow, MixedDensity
from flowcli.flows.context import Context
from flowcli.flows.transform import Transform
from flowcli.random import Stream, derived_seed

UNIT = "spreads"


@torch.no_grad()
def round_trips(subject: Subject, drawn: Points, wide: Points) -> Iterator[Finding]:
    """All that is said of ways back.

    Args:
        subject: The density.
        drawn: Rows as it draws them, or as the table has them.
        wide: Rows farther out.
    """
    if not subject.numbers:
        return
    yield _encoder(subject, wide)
    flow = subject.joint.flow
    if flow is not None and flow.layers:
        yield _layers(subject, flow, wide)
        yield _whole(subject, subject.joint, wide)
        yield _single(subject, drawn)
        yield _latents(subject, flow, drawn)
    if subject.joint.angles is not None:
        yield _angles(subject, wide)


def _encoder(subject: Subject, points: Points) -> Finding:
    laid = subject.laid(points)
    u, angles, codes, _ = subject.layout.split(laid.rows)
    back = subject.decoded(u, angles, codes, points)
    figure, index = _farthest(_misses(subject, points, back, laid.codes))
    where = subject.encoder.schema.columns[subject.numbers[index]].name if figure > limits.ROUND_TRIP else ""
    meaning = "Columns become coordinates and angles, and these the same columns again."
    return within("columns and back", figure, limits.ROUND_TRIP, UNIT, meaning, where)


def _layers(subject: Subject, flow: Flow, points: Points) -> Finding:
    """Return each layer by itself, in units of what it reads."""
    x, context = _inputs(subject, subject.joint, points)
    worst, where = 0.0, ""
    for name, layer, reached, own in walk(flow, x, context):
        z, _ = layer(reached, own)
        back, _ = layer.inverse(z, own)
        miss = float((torch.abs(back - reached) / (1 + reached.abs())).nan_to_num(math.inf).amax())
        if miss >= worst:
            worst, where = miss, name
    meaning = "Each layer's inverse undoes it."
    return within("layers and back", worst, limits.ROUND_TRIP, "units", meaning, where)


def _whole(subject: Subject, joint: MixedDensity, points: Points) -> Finding:
    figure, _ = _farthest(_through(subject, joint, points))
    meaning = "Rows become latents, and these the same rows again, in float64."
    return within("rows and back", figure, limits.ROUND_TRIP, UNIT, meaning)


def _single(subject: Subject, points: Points) -> Finding:
    """In float32 a steep place of the flow loses digits; ``sample`` finds these rows, and computes them in float64."""
    misses = _through(subject, subject.require_flow, points).amax(1)
    figure = float(torch.quantile(misses, 1 - limits.STEEP)) if len(misses) else 0.0
    meaning = "The same in float32, for 99 of 100 rows."
    return within("rows and back, float32", figure, limits.ROUND_TRIP_SINGLE, UNIT, meaning)


def _latents(subject: Subject, flow: Flow, points: Points) -> Finding:
    _, context = _inputs(subject, subject.joint, points)
    latent_context = flow.output_context(context)
    generator = torch.Generator().manual_seed(derived_seed(0, Stream.CHECK_LATENTS))
    z = flow.base.sample(len(points.residuals), generator, latent_context)
    again, _ = flow(flow.inverse(z, context)[0], context)
    figure = float((torch.abs(again - z) / (1 + z.abs())).nan_to_num(math.inf).amax()) if len(z) else 0.0
    meaning = "Latents become rows, and these the same latents again."
    return within("latents and back", figure, limits.ROUND_TRIP, "units", meaning)


def _angles(subject: Subject, points: Points) -> Finding:
    laid, density = subject.laid(points), subject.joint.angles
    assert density is not None
    angles, context = subject.layout.split(laid.rows)[1], subject.joint.contexts(laid.rows).angles
    z, _ = density.latents(angles, context)
    back, _ = density.bijection.inverse(z, density.theta(angles, context))
    turn = torch.remainder(back.t() - angles + math.pi, 2 * math.pi) - math.pi
    observed = subject.observed(laid.codes)[:, subject.layout.coordinates :]
    figure = float(turn.abs().where(observed, 0.0).nan_to_num(math.inf).amax())
    meaning = "Angles become uniform ones, and these the same angles again."
    return within("angles and back", figure, limits.ROUND_TRIP, "radians", meaning)


def walk(flow: Flow, x: Tensor, context: Context) -> Iterator[tuple[str, Transform, Tensor, Context]]:
    """Yield each layer by name, with the rows (B, D) and the context that reach it."""
    for number, layer in enumerate(flow.layers, 1):
        assert isinstance(layer, Transform)
        yield f"layer {number}, {type(layer).__name__}", layer, x, context
        with torch.no_grad():
            x, _ = layer(x, context)
        context = layer.output_context(context)


def _inputs(subject: Subject, joint: MixedDensity, points: Points) -> tuple[Tensor, Context]:
    """Coordinates (B, D) and their context, as the joint density has them."""
    rows = subject.laid(points).rows.to(next(joint.parameters()))
    return joint.layout.split(rows)[0], joint.contexts(rows).coordinates


def _through(subject: Subject, joint: MixedDensity, points: Points) -> Tensor:
    """By how much rows miss themselves after a way through the flow and back, (B, D + A)."""
    laid, flow = subject.laid(points), joint.flow
    assert flow is not None
    u, context = _inputs(subject, joint, points)
    back, _ = flow.inverse(flow(u, context)[0], context)
    _, angles, codes, _ = subject.layout.split(laid.rows)
    return _misses(subject, points, subject.decoded(back.double(), angles, codes, points), laid.codes)


def _misses(subject: Subject, points: Points, back: Points, codes: Tensor) -> Tensor:
    """Return the distances (B, D + A) between numbers, in units of their column's width near its middle.

    Far out the unit grows with the distance from the middle, so that digits are what counts.
    """
    # A number on the edge of a support is taken for one inside, and comes back as that one.
    x, y = (rows[:, subject.numbers] for rows in (subject.part.off_the_edges(points.residuals), back.residuals))
    if not len(x):
        return x
    observed = subject.observed(codes)
    seen = x.where(observed, math.nan)
    middle = torch.nanmedian(seen, 0).values.nan_to_num()
    width = torch.nanmedian((seen - middle).abs(), 0).values.nan_to_num()
    unit = torch.where(width > 0, width, 1.0) + (x - middle).abs()
    for index, number in enumerate(subject.numbers):  # on a circle no number is far out, and ends are neighbours
        column = subject.encoder.schema.columns[number]
        if column.kind == "circular":
            period = column.support[1] - column.support[0]
            turn = torch.remainder(y[:, index] - x[:, index] + period / 2, period) - period / 2
            y[:, index], unit[:, index] = x[:, index] + turn, period
    return ((y - x).abs() / unit).where(observed, 0.0).nan_to_num(math.inf)


def _farthest(misses: Tensor) -> tuple[float, int]:
    """Return the largest miss, and whose it is."""
    if not misses.numel():
        return 0.0, 0
    return float(misses.amax()), int(misses.amax(0).argmax())
