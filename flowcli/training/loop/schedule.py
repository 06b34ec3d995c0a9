"""The learning rate."""

from __future__ import annotations

import math
from typing import Literal


def rate_factor(
    kind: Literal["cosine", "plateau", "constant"], *, step: int, warmup: int, progress: float, halvings: int
) -> float:
    """By how much the peak learning rate is multiplied.

    Args:
        kind: The schedule.
        step: Steps taken so far.
        warmup: Steps over which the rate rises.
        progress: How much of the fit is done, from 0 to 1, by steps or by time.
        halvings: How often a plateau, or a setback, has halved the rate.
    """
    rise = min(1.0, (step + 1) / (warmup + 1))
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress))) if kind == "cosine" else 1.0
    return float(rise * fall * 0.5**halvings)
