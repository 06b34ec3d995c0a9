"""What a density may depend on besides the row itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """Side information that every layer and base receives.

    Attributes:
        given: Conditioning variables, (B, C), or ``None`` for an unconditional density.
    """

    given: Tensor | None = None


NO_CONTEXT = Context()
