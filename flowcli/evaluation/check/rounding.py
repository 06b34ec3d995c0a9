"""Rounded numbers: whether a row's log-density is that of its cell; and whether rows are drawn and written so."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from flowcli.encoding.encoder import residuals
from flowcli.encoding.standardizer import cell
from flowcli.evaluation.check import limits
from flowcli.evaluation.check.finding import Finding, within
from flowcli.evaluation.check.subject import Points, Subject
from flowcli.table import as_written

ROWS, POINTS = 100, 128
FALSE_ALARMS = 1e-5


def of_cells(subject: Subject, values: Tensor, seed: int) -> Finding | None:
    """The log-densities of rows (B, N_c) of the table against means over many points in their cells."""
    if not subject.encoding.rounded:
        return None
    kept = values[subject.encoding.possible(values)][:ROWS]
    if not len(kept):
        return None
    rest = residuals(kept, subject.encoding.schema)
    features, codes = subject.encoding.features(kept), subject.laid(Points(rest, subject.encoding.features(kept))).codes
    generator = torch.Generator().manual_seed(seed)
    densities = torch.stack(
        [_density(subject, _moved(subject, rest, codes, generator), features, codes) for _ in range(POINTS)]
    )
    ours, error = densities.mean(0), densities.std(0) / math.sqrt(POINTS)
    log_widths = _log_widths(subject, rest, codes)
    told = subject.density.scores(kept.numpy(), double=True, seed=seed)
    at = torch.from_numpy(told.log_prob)
    ratio = torch.exp(at - torch.log(ours) - log_widths)
    errors = torch.sqrt((error / ours) ** 2 + (torch.from_numpy(told.error) * ratio) ** 2)
    # Rows whose cell is a world of its own say nothing.
    smooth = (errors < 0.3) & ratio.isfinite()
    if not smooth.any():
        return Finding("cells of rounded numbers", None, math.nan, "", None, MEANING, "no row is smooth enough")
    off = abs(float((ratio[smooth] - 1).mean()))
    limit = limits.ERRORS * float(torch.sqrt((errors[smooth] ** 2).sum())) / int(smooth.sum()) + 1e-6
    return within("cells of rounded numbers", off, limit, "", MEANING, f"{int(smooth.sum())} rows")


MEANING = "A rounded number counts with the mean density over its cell."


@torch.no_grad()
def _density(subject: Subject, rest: Tensor, features: Tensor, codes: Tensor) -> Tensor:
    """The density (B,) of the whole row."""
    points = Points(rest, features)
    laid = subject.laid(points)
    same = (laid.codes == codes).all(1)
    return torch.exp(subject.terms(laid).log_prob + laid.log_det).where(same, 0.0)


def _moved(subject: Subject, rest: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """The rows with rounded numbers anywhere in their cells."""
    there, moved = subject.there(codes), rest.clone()
    for place in subject.encoding.rounded:
        column = subject.encoding.schema.columns[place]
        low, high = cell(rest[:, place], column)
        x = low + (high - low) * torch.rand(len(rest), generator=generator, dtype=torch.float64)
        if column.kind == "circular":
            lower, upper = column.support
            x = lower + torch.remainder(x - lower, upper - lower)
        moved[:, place] = torch.where(there[:, subject.numbers.index(place)], x, rest[:, place])
    return moved


def _log_widths(subject: Subject, rest: Tensor, codes: Tensor) -> Tensor:
    """What edges leave of the cells, as the logarithm of a share, (B,)."""
    total, there = rest.new_zeros(len(rest)), subject.there(codes)
    for place in subject.encoding.rounded:
        column = subject.encoding.schema.columns[place]
        assert column.step is not None
        low, high = cell(rest[:, place], column)
        share = torch.log((high - low) / column.step)
        total += share.where(there[:, subject.numbers.index(place)], 0.0)
    return total


def written(subject: Subject, drawn: Points, values: Tensor) -> Iterator[Finding]:
    """Rows (B, N_c) as ``sample`` gives them, beside draws of the flow, column by column.

    Args:
        subject: The density.
        drawn: Draws of the flow.
        values: Rows as they are written.
    """
    schema = subject.encoding.schema
    rest = residuals(values, schema)
    laid = subject.laid(drawn)
    if not subject.layout.given:  # such rows are drawn anew
        u = subject.layout.split(laid.rows)[0]
        drawn = drawn.select(subject.encoding.coordinates.plausible(u).nonzero()[:, 0])
    plain = as_written(drawn.rest.numpy(), schema)
    places = [place for place in subject.part.places if place not in subject.part.constant]
    if not (len(plain) and places):
        return
    worst, whose = 0.0, ""
    for place in places:
        ours, theirs = (x[~np.isnan(x)] for x in (plain[:, place], rest[:, place].numpy()))
        if len(ours) < 20 or len(theirs) < 20:
            continue
        distance = float(ks_2samp(ours, theirs, method="asymp").statistic)
        size = distance * math.sqrt(len(ours) * len(theirs) / (len(ours) + len(theirs)))
        if size >= worst:
            worst, whose = size, schema.columns[place].name
    limit = math.sqrt(-0.5 * math.log(FALSE_ALARMS / 2 / len(places)))
    meaning = "Rows that are written are distributed as the flow draws them, column by column."
    yield within("rows as written", worst, limit, "", meaning, whose if worst > limit else f"{len(values):,} rows")
