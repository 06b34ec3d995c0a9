"""Log-dets against automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.round_trip import walk
from flowcli.evaluation.check.subject import Points, Subject

ROWS_AT_ONCE = 4096

# Rows x (B', n) with the numbers of the points that they came from, (B',), mapped to (B', n).
Map = Callable[[Tensor, Tensor], Tensor]


def log_dets(subject: Subject, points: Points) -> Iterator[Finding]:
    """Yield the log-det of each part, and of the whole map from the table's columns to latents."""
    if not subject.numbers or not len(points.residuals):
        return
    laid = subject.laid(points)
    flow = subject.joint.flow
    yield _of_columns(subject, points)
    if flow is not None and flow.layers:
        yield _of_layers(subject, points)
    present = subject.observed(laid.codes)
    of_latents = present
    if flow is not None:
        latent_context = flow.output_context(subject.joint.contexts(laid.rows).coordinates).observed
        if latent_context is not None:
            of_latents = torch.cat([latent_context > 0, present[:, subject.layout.coordinates :]], 1)
    with torch.no_grad():
        terms = subject.terms(laid)
    turns = math.log(2 * math.pi) * present[:, subject.layout.coordinates :].double().sum(1)
    stated = laid.log_det - subject.code_masses(points, laid.codes) + terms.log_det + terms.angles_log_prob + turns
    result = log_abs_det(jacobian(_latents(subject, points), points.residuals[:, subject.numbers]), of_latents, present)
    meaning = "The log-det from the table's columns to the latents is that of the matrix of all derivatives."
    figure = _max_difference(stated, result)
    yield within("log-det of the whole", figure, limits.LOG_DET, "nats", meaning, f"{len(stated)} rows")


def jacobian(function: Map, x: Tensor) -> Tensor:
    """Return the matrices of derivatives (B, n, n) of a map at rows x (B, n).

    Each row goes forward once for each of its outputs, so that a single way back has them all.
    """
    rows, columns = x.shape
    parts = []
    batch = max(1, ROWS_AT_ONCE // columns)
    for own in torch.split(torch.arange(rows), batch):
        index = own.repeat_interleave(columns)
        copies = x[index].detach().requires_grad_()
        with torch.enable_grad():
            out = function(copies, index)
            wanted = torch.arange(columns).repeat(len(own))
            (gradient,) = torch.autograd.grad(out.gather(1, wanted[:, None]).sum(), copies, materialize_grads=True)
        parts.append(gradient.view(len(own), columns, columns))
    return torch.cat(parts)


def log_abs_det(matrices: Tensor, observed_out: Tensor, observed_in: Tensor) -> Tensor:
    """Return log|det| (B,) of matrices (B, n, n) without the rows and columns that are not flagged, (B, n) each."""
    both = observed_out[:, :, None] & observed_in[:, None, :]
    # What is not observed is paired off, so that it counts with a one.
    ranks = [torch.cumsum(~present, 1) for present in (observed_out, observed_in)]
    neither = ~observed_out[:, :, None] & ~observed_in[:, None, :] & (ranks[0][:, :, None] == ranks[1][:, None, :])
    result: Tensor = torch.linalg.slogdet(torch.where(both, matrices, neither.to(matrices)))[1]
    return result


def _of_columns(subject: Subject, points: Points) -> Finding:
    """Check the log-det of the map of each column by itself."""

    def encoded(x: Tensor, index: Tensor) -> Tensor:
        laid = subject.laid(_with(subject, points, x, index))
        return torch.cat(subject.layout.split(laid.rows)[:2], 1)

    laid = subject.laid(points)
    present = subject.observed(laid.codes)
    result = log_abs_det(jacobian(encoded, points.residuals[:, subject.numbers]), present, present)
    stated = laid.log_det - subject.code_masses(points, laid.codes)
    meaning = "What is done to columns before the flow (logs, scales, quantiles, angles) counts as its derivatives say."
    return within("log-det of the columns", _max_difference(stated, result), limits.LOG_DET, "nats", meaning)


def _of_layers(subject: Subject, points: Points) -> Finding:
    flow, laid = subject.joint.flow, subject.laid(points)
    assert flow is not None
    context = subject.joint.contexts(laid.rows).coordinates
    worst, where = 0.0, ""
    for name, layer, x, own in walk(flow, subject.layout.split(laid.rows)[0], context):
        with torch.no_grad():
            stated = layer(x, own)[1]
        every = torch.ones_like(x, dtype=torch.bool)
        before, after = (every if c.observed is None else c.observed > 0 for c in (own, layer.output_context(own)))
        through: Map = lambda rows, index, layer=layer, own=own: layer(rows, own.select(index))[0]  # type: ignore[misc]  # noqa: E731
        off = _max_difference(stated, log_abs_det(jacobian(through, x), after, before))
        if off >= worst:
            worst, where = off, name
    meaning = "So does each layer."
    return within("log-det of layers", worst, limits.LOG_DET, "nats", meaning, where)


def _latents(subject: Subject, points: Points) -> Map:
    """From numbers in the table's units to latents and uniform angles."""

    def function(x: Tensor, index: Tensor) -> Tensor:
        rows = subject.laid(_with(subject, points, x, index)).rows
        u, angles, _, _ = subject.layout.split(rows)
        contexts = subject.joint.contexts(rows)
        parts = []
        if subject.joint.flow is not None:
            parts.append(subject.joint.flow(u, contexts.coordinates)[0])
        if subject.joint.angles is not None:
            parts.append(subject.joint.angles.latents(angles, contexts.angles)[0].t())
        return torch.cat(parts, 1)

    return function


def _with(subject: Subject, points: Points, x: Tensor, index: Tensor) -> Points:
    """Return some of the points with other numbers."""
    chosen = points.select(index)
    residuals = chosen.residuals.clone()
    residuals[:, subject.numbers] = x
    return Points(residuals, chosen.features)


def _max_difference(stated: Tensor, result: Tensor) -> float:
    """Return the largest difference; infinite where one is not a number."""
    return float((stated - result).abs().nan_to_num(math.inf).amax())
