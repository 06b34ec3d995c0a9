"""How probable rows are in which every sum of columns is a number that its column can be.

What is modelled are the parts of a sum and what is left of it, on which no bound of the sum itself lies: the last of
three shares could come out below zero. Such rows have density zero and are never drawn. The density of all others is
divided by their probability, which is found by drawing, so that it has a mass of one again (truncation).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from flowcli.model.density import DRAWN_ROWS
from flowcli.model.flow_density import FlowDensity
from flowcli.random import Stream, derived_seed

ERROR, MOST_BLOCKS = 1e-3, 128  # of the logarithm of the probability, and blocks of rows drawn to find it


def with_possible_sums(density: FlowDensity) -> FlowDensity:
    """Return the density, divided by the probability of rows with possible sums."""
    if not density.encoder.relations.bounded:
        return density
    encoder = density.encoder.with_log_possible(_log_possible(density))
    return replace(density, encoder=encoder)


def _log_possible(density: FlowDensity) -> float:
    """Return the logarithm of the probability of rows with possible sums, until its standard error is small."""
    nothing = torch.full((DRAWN_ROWS, len(density.schema.columns)), math.nan, dtype=torch.float64)
    possible = drawn = 0
    for number in range(MOST_BLOCKS):
        generator = torch.Generator().manual_seed(derived_seed(0, Stream.POSSIBLE_SUMS, number))
        rows = density.draw_with_any_sums(nothing, generator)
        possible, drawn = possible + int(np.sum(density.has_possible_sums(rows))), drawn + len(rows)
        if possible and math.sqrt((drawn - possible) / possible / drawn) <= ERROR:
            break
    return math.log(max(possible, 1) / drawn)
