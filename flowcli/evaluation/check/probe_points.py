"""The points that a density is checked at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowcli.encoding.column_encoder import Encoded
from flowcli.encoding.encoder import Encoder
from flowcli.evaluation.check.subject import Points, Subject


def plausible_given(encoder: Encoder, count: int, generator: torch.Generator) -> Tensor:
    """Return rows (count, N_c) with values of the columns that a density is conditioned on, and nothing else.

    Numbers are as likely as a normal makes their coordinates, angles and codes uniform: such values as the rows had
    that the model was fitted to, but each for itself.
    """
    part = encoder.conditioning
    values = torch.full((count, len(encoder.schema.columns)), math.nan, dtype=torch.float64)
    u = torch.randn(count, len(part.continuous), generator=generator, dtype=torch.float64)
    angles = (2 * torch.rand(count, len(part.circular), generator=generator, dtype=torch.float64) - 1) * math.pi
    codes = torch.zeros(count, len(part.with_codes), dtype=torch.long)
    for number, outcomes in enumerate(part.outcomes):
        codes[:, number] = torch.randint(outcomes.count, (count,), generator=generator)
    part.decode(Encoded(codes, angles, u, u.new_zeros(count)), values, generator)
    return values


def around(subject: Subject, points: Points, distance: float, generator: torch.Generator) -> Points:
    """Return the points with each coordinate moved by a normal so many scales wide, and angles anywhere; codes stay."""
    laid = subject.laid(points)
    u, angles, _, _ = subject.layout.split(laid.rows)
    moved = u + distance * torch.randn(u.shape, generator=generator, dtype=torch.float64)
    turned = (2 * torch.rand(angles.shape, generator=generator, dtype=torch.float64) - 1) * math.pi
    result = subject.decoded(moved, turned, laid.codes, points)
    # A number beside an atom is the atom.
    same = (subject.laid(result).codes == laid.codes).all(1) & _finite(subject, result, laid.codes)
    return result.select(same.nonzero()[:, 0])


def finite(subject: Subject, points: Points) -> Points:
    """Return the points whose numbers are finite and that the columns can hold."""
    laid = subject.laid(points)
    good = _finite(subject, points, laid.codes) & (laid.log_det > -math.inf)
    return points.select(good.nonzero()[:, 0])


def joined(*parts: Points) -> Points:
    """Return points one after the other."""
    return Points(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _finite(subject: Subject, points: Points, codes: Tensor) -> Tensor:
    observed = subject.observed(codes)
    return (points.residuals[:, subject.numbers].isfinite() | ~observed).all(1)
