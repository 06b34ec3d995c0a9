"""All checks of a density, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from flowcli.errors import NumericsError
from flowcli.evaluation.check import limits
from flowcli.evaluation.check.categories import probability_sums
from flowcli.evaluation.check.constants import of_constants
from flowcli.evaluation.check.extremes import extremes
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.jacobian import log_dets
from flowcli.evaluation.check.mass import masses
from flowcli.evaluation.check.precision import precisions
from flowcli.evaluation.check.probe_points import around, finite, joined, plausible_given
from flowcli.evaluation.check.round_trip import round_trips
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.evaluation.check.written_rows import written
from flowcli.model import Density, Ensemble, FlowDensity
from flowcli.random import Stream, derived_seed
from flowcli.table import as_written

Rows = NDArray[np.float64]

DRAWN = 40_000  # points in all
WRITTEN = 4_000  # rows as sample writes them
TRIED = 1_000  # rows there and back
DERIVED = 400  # derivatives in a row of all the matrices, so that many columns have few rows
NEAR, WIDE = 0.3, 1.5  # how far around, in units of coordinates


def check(density: Density, values: Rows | None = None, *, seed: int = 0) -> Iterator[Finding]:
    """Check that a density is one.

    Args:
        density: Of one flow, or of several: then each is checked, and their weights.
        values: Rows (B, N_c) of a table to check at, beside what the density draws. Where it is conditioned on columns,
            these are taken from there; without such rows plausible values are made up.
        seed: Of all random numbers.

    Yields:
        Each finding as soon as it is there.
    """
    if isinstance(density, Ensemble):
        total = float(np.sum(density.weights))
        meaning = "The shares of the flows in the mixture are positive and add up to one."
        figure = abs(total - 1) if (density.weights > 0).all() else float("inf")
        yield within("weights of the flows", figure, limits.WEIGHTS, "", meaning)
        for number, member in enumerate(density.members, 1):
            for finding in _of_flow(member, values, seed):
                yield replace(finding, name=f"flow {number}: {finding.name}")
    elif isinstance(density, FlowDensity):
        yield from _of_flow(density, values, seed)


def _of_flow(density: FlowDensity, values: Rows | None, seed: int) -> Iterator[Finding]:
    subject = Subject(density)
    generator = torch.Generator().manual_seed(derived_seed(seed, Stream.CHECK_POINTS))
    yield from of_constants(subject)
    if subject.empty:
        return
    table = None if values is None or not len(values) else torch.from_numpy(values)
    given = _given(subject, table, generator)
    drawn = finite(subject, subject.draw(given, generator))
    rows, refusal = _written(subject, given[:WRITTEN], drawn, seed)
    seen = rows if table is None else torch.cat([table, rows[:TRIED]])
    points = drawn.select(torch.arange(min(TRIED, len(drawn.residuals))))
    if table is not None:
        points = joined(finite(subject, subject.points(table[:TRIED])), points)
    near, wide = (around(subject, points, distance, generator) for distance in (NEAR, WIDE))
    everywhere = joined(points, near, wide)
    yield from round_trips(subject, points, everywhere)
    few = max(4, DERIVED // max(1, len(subject.numbers)) // 3)
    mixed = [
        part.select(torch.randperm(len(part.residuals), generator=generator)[:few]) for part in (points, near, wide)
    ]
    yield from log_dets(subject, joined(*mixed))
    yield from probability_sums(subject, drawn)
    yield from masses(subject, drawn, seed)
    if refusal is None:
        yield from written(subject, drawn.select(torch.arange(min(WRITTEN, len(drawn.residuals)))), rows)
    else:
        yield refusal
    yield from extremes(subject, seen[:50])
    yield from precisions(subject, seen)


def _written(subject: Subject, given: torch.Tensor, drawn: Points, seed: int) -> tuple[torch.Tensor, Finding | None]:
    """Return rows (B, N_c) as ``sample`` gives them; or, where it refuses to, draws of the flow, and what it says."""
    schema = subject.encoder.schema
    try:
        known = given.numpy() if subject.layout.context_features else None
        return torch.from_numpy(subject.density.sample(len(given), seed=seed, given=known)), None
    except NumericsError as error:
        meaning = "Rows can be drawn."
        refusal = Finding("rows as written", None, 0, "", False, meaning, str(error))
        rows = drawn.residuals[: len(given)].numpy()
        plain = rows if any(column.subtracted_columns for column in schema.columns) else as_written(rows, schema)
        return torch.from_numpy(plain), refusal


def _given(subject: Subject, table: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """Return rows (DRAWN, N_c) with what the density is conditioned on, in random order."""
    schema = subject.encoder.schema
    if not subject.layout.context_features or table is None:
        return plausible_given(subject.encoder, DRAWN, generator)
    known = table[torch.randint(len(table), (DRAWN,), generator=generator)].clone()
    known[:, [not column.given for column in schema.columns]] = torch.nan
    return known
