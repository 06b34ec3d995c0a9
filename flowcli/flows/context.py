"""What a density may depend on besides the row itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """Side information that every layer and base receives.

    Attributes:
        features: Numbers that describe what the density is conditioned on, (B, C); ``None`` where that is nothing.
        observed: One for each column that is observed and zero for each that is not, (B, D), of the rows' type;
            ``None`` where all are. A column that is not observed is zero before and after every layer, takes no part in
            the log-det, and is left out of the base. Networks read the zero; that the column is missing they can only
            know from ``features``.
    """

    features: Tensor | None = None
    observed: Tensor | None = None

    def select(self, rows: Tensor) -> Context:
        """Return the context of some rows, by their numbers."""
        features, observed = (None if part is None else part[rows] for part in (self.features, self.observed))
        return Context(features, observed)

    def to(self, like: Tensor) -> Context:
        """Return the context in another tensor's type, on its device."""
        return Context(*(None if part is None else part.to(like) for part in (self.features, self.observed)))

    def reordered(self, columns: Tensor) -> Context:
        """Return the context of the same rows with their columns in another order, (D,)."""
        return self if self.observed is None else replace(self, observed=self.observed.index_select(1, columns))


NO_CONTEXT = Context()
