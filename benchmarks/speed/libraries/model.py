"""What every library has to offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from benchmarks.speed.cases import Case


class Model(Protocol):
    """One flow of a library.

    What ``stepper``, ``scorer`` and ``sampler`` return is called again and again under the clock; whatever needs doing
    only once, compiling for example, they do before. A scorer or sampler keeps the weights of the moment.

    Attributes:
        parameters: How many numbers training changes, masked ones included.
    """

    parameters: int

    def stepper(self, batches: Tensor) -> Callable[[], Any]:
        """A call takes one step of training, with one batch after another of (N, B, D), and returns the loss."""

    def scorer(self, rows: Tensor, block: int) -> Callable[[], list[Any]]:
        """A call scores rows (N, D), so many at once, and returns their log-densities in pieces."""

    def sampler(self, rows: int, block: int) -> Callable[[], list[Any]]:
        """A call draws so many rows, so many at once, and returns them in pieces (., D)."""


class Library(Protocol):
    """The module of a library.

    Attributes:
        NETWORK: In a sentence, what networks it builds here and how they differ from the common ones.
        PACKAGES: The packages whose versions matter.
    """

    NETWORK: str
    PACKAGES: tuple[str, ...]

    def build(self, case: Case) -> Model | None:
        """A model at its start, or ``None`` where the library lacks the family."""
