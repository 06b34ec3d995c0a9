"""Rows as they come out of the first layers of a flow, and what they depend on there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from flowcli.flows import Context, MixedDensity, Transform
from flowcli.training.loop.steps import SCORING_ROWS


def contexts(joint: MixedDensity, rows: Tensor, layers: int) -> Iterator[Context]:
    """Yield the contexts after so many layers, for blocks of rows (N, W); all together would be too large."""
    assert joint.flow is not None
    for block in torch.split(rows, SCORING_ROWS):
        context = joint.context(block)
        for layer in joint.flow.layers[:layers]:
            assert isinstance(layer, Transform)
            context = layer.output_context(context)
        yield context


def with_gaps(z: Tensor, of_rows: Iterable[Context]) -> Tensor:
    """Return rows (N, D) with NaN for what is not observed."""
    parts = zip(torch.split(z, SCORING_ROWS), of_rows, strict=True)
    return torch.cat([p if c.observed is None else p.where(c.observed > 0, math.nan) for p, c in parts])
