"""A sign that the next block of a stream has not arrived yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """Stands in a stream where the next block has not been written into a pipe yet.

    Attributes:
        descriptor: The file descriptor that becomes readable when there is more.
    """

    descriptor: int
