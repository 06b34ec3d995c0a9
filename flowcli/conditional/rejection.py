"""Rejection sampling: drawn rows that meet a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import NumericsError
from flowcli.model.density import Rows

ScoredRows = tuple[Rows, Rows | None]  # rows (b, N_c), and their log-densities (b,) where they are asked for


def usual_budget(rows: int) -> int:
    """Return how many rows to draw at most for so many accepted ones: a thousand for each, a million at least."""
    return max(1_000_000, 1_000 * rows)


class Rejection:
    """Keeps the drawn rows that meet a condition, until there are enough.

    The accepted rows are a sample of the density restricted to where the condition holds (von Neumann, 1951).

    Args:
        meets: Tells which of the rows (b, N_c) meet the condition, (b,).
        wanted: How many rows to accept.

    Attributes:
        drawn: Rows drawn until now, up to the last that was accepted.
        kept: How many of these were accepted.
    """

    def __init__(self, meets: Callable[[Rows], NDArray[np.bool_]], wanted: int) -> None:
        self._meets, self._wanted = meets, wanted
        self.drawn = self.kept = 0

    def accepted(self, blocks: Iterable[ScoredRows]) -> Iterator[ScoredRows]:
        """Yield the accepted rows of each block; blocks without any are skipped.

        Raises:
            NumericsError: The blocks end before there are enough.
        """
        if not self._wanted:
            return
        for values, log_prob in blocks:
            kept = np.flatnonzero(self._meets(values))[: self._wanted - self.kept]
            self.kept += len(kept)
            enough = self.kept == self._wanted
            self.drawn += int(kept[-1]) + 1 if enough else len(values)
            if len(kept):
                yield values[kept], None if log_prob is None else log_prob[kept]
            if enough:
                return
        raise NumericsError(
            f"only {self.kept:,} of {self.drawn:,} drawn rows meet the condition, and {self._wanted:,} were asked for;"
            " ask for fewer rows or for more of them, or draw more with --budget"
        )
