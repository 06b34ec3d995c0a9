"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One figure and its limit.

    Attributes:
        name: The check's name.
        figure: What was found; ``None`` where nothing could be.
        limit: The largest figure that passes.
        unit: Of both.
        passed: Whether the figure is within its limit; ``None`` where that cannot be told.
        meaning: What it says of the model when it passes, in one sentence.
        where: Where the worst of it is, or how it was found; may be empty.
    """

    name: str
    figure: float | None
    limit: float
    unit: str
    passed: bool | None
    meaning: str
    where: str = ""


def within(name: str, figure: float, limit: float, unit: str, meaning: str, where: str = "") -> Finding:
    """Return a finding that passes if its figure, which must be a number, is within its limit."""
    return Finding(name, figure, limit, unit, figure <= limit, meaning, where)
