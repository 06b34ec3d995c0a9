"""What a picture says of itself in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.plots import words
from flowcli.evaluation.plots.scale import Scale
from flowcli.evaluation.plots.sheet import DATA, HEADING, PALE, Key

Rows = NDArray[np.float64]

LONGEST = 260.0  # points of a model's name
HARDLY = 5e-4  # a share of which nothing is said


def titled(model: str, what: str) -> str:
    """Return a heading: what is shown, of which model if that has a name."""
    if not model:
        return f"{what[0].upper()}{what[1:]}"
    return f"{words.fitted(model, HEADING, LONGEST, bold=True)}: {what}"


def keys(samples: Rows, rows: Rows | None, total: int | None = None) -> tuple[Key, ...]:
    """Return what is samples, and what is data.

    Args:
        samples: The samples (M, C).
        rows: The data (N, C), if there are any.
        total: How many rows the data have in all, if these are some of them.
    """
    found = [Key(PALE, f"{len(samples):,} samples of the model")]
    if rows is not None:
        found.append(Key(DATA, f"the data, {counted(len(rows), total)}", "dot"))
    return tuple(found)


def counted(rows: int, total: int | None) -> str:
    """Return how many rows are shown, and of how many."""
    if total is None or total == rows:
        return f"{rows:,} row{'s' * (rows != 1)}"
    return f"{rows:,} of {total:,} rows at random"


def beside_name(scale: Scale, samples: Rows, rows: Rows | None) -> list[str]:
    """Return what a column's panel cannot show of the data, and of the samples: missing cells, and values beyond it."""
    groups = [samples] if rows is None else [rows, samples]
    lines = []
    if any(np.isnan(group).any() for group in groups):
        lines.append("missing " + " | ".join(words.share(float(np.isnan(g).mean()) if len(g) else 0.0) for g in groups))
    if not scale.count and any(scale.beyond(group) >= HARDLY for group in groups):
        lines.append("beyond " + " | ".join(words.share(scale.beyond(group)) for group in groups))
    return lines


def explained(lines: list[list[str]], rows: Rows | None) -> tuple[str, ...]:
    """Return what the lines beside names mean, as far as there are any."""
    said = " ".join(line.split(" ", 1)[0] for own in lines for line in own)
    parts = []
    if "missing" in said:
        parts.append("missing: share of empty cells")
    if "beyond" in said:
        parts.append("beyond: share outside of the axis")
    if not parts:
        return ()
    return ("; ".join(parts) + (" (data | samples)." if rows is not None else "."),)
