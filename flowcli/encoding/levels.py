"""What a column's cell can turn out to be: a level, a number of its own, any number, or nothing at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from flowcli.encoding.unseen_integers import UnseenIntegers
from flowcli.table.schema import Column
from flowcli.table.values.words import PAYLOAD, as_cells


class Levels:
    """The outcomes of one column, counted from 0, with their masses.

    A category's are its levels; a discrete column's its values, then "another one"; a continuous column's "a number",
    then its atoms; a constant's its value. Then come the words that may stand among numbers, and last of all "missing",
    where cells may be.

    Masses of a discrete column's numbers are divided by the step of their lattice, as those of rounded numbers are, so
    that they do not depend on which of the two a column is. An atom beside a density counts as its probability.

    Args:
        column: The column.
        others: Where the further numbers of a discrete column lie, if there may be any.

    Attributes:
        count: How many outcomes there are.
        unseen: The outcome "another one", where there is one.
        words: The outcome of the first word, where there is one.
        missing: The outcome "missing", where there is one.
    """

    def __init__(self, column: Column, others: UnseenIntegers | None = None) -> None:
        self.column, self.others = column, others
        self._values = torch.tensor(_own(column), dtype=torch.float64)
        first = 1 if column.continuous else 0
        self._word_cells = torch.from_numpy(as_cells(np.arange(len(column.words))))
        self.unseen = first + len(self._values)
        self.words = self.unseen + column.has_unseen_values
        self.missing = self.words + len(column.words)
        self.count = self.missing + column.missing
        self._log_per_unit = -column.log_mass_unit

    @classmethod
    def seen(cls, column: Column) -> Levels:
        """Return the outcomes of a column that have a value of their own, and no others."""
        return cls(replace(column, has_unseen_values=False, words=(), missing=False))

    def codes(self, x: Tensor) -> Tensor:
        """Return the outcomes of values x (B,), (B,); -1 where none is possible."""
        column = self.column
        codes = torch.full(x.shape, 0 if column.continuous else -1)
        if len(self._values):
            nearest = _nearest(self._values, x)
            same = (x - self._values[nearest]).abs() <= column.tolerance
            codes = torch.where(same, nearest + int(column.continuous), codes)
            if self.others is not None:
                codes = torch.where(~same & x.isfinite(), self.unseen, codes)
        word = torch.where(x.isnan(), x.view(torch.int64) & PAYLOAD, 0) - 1
        codes = torch.where(x.isnan(), self.missing if column.missing else -1, codes)
        return torch.where(word >= 0, torch.where(word < len(column.words), self.words + word, -1), codes)

    def log_masses(self, codes: Tensor, x: Tensor) -> Tensor:
        """Return the logarithms of what the probabilities of outcomes (B,) of values x (B,) are multiplied by, (B,).

        Masses on a lattice are divided by its step. Where no outcome is possible it is minus infinity.
        """
        log_masses = torch.full_like(x, self._log_per_unit)
        if self.column.continuous:
            log_masses = torch.where(codes == 0, 0.0, log_masses)
        if self.others is not None:
            unseen = codes == self.unseen
            log_masses = torch.where(unseen, self._log_per_unit + self.others.log_prob(x.nan_to_num()), log_masses)
        if self.column.has_gaps:
            log_masses = torch.where(codes >= self.words, 0.0, log_masses)
        return torch.where(codes < 0, -math.inf, log_masses)

    def values(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Return the values (B,) of outcomes (B,); NaN for a missing cell and, until it is known, for "a number"."""
        nothing = torch.full((1,), math.nan, dtype=torch.float64)
        another = nothing[: int(self.column.has_unseen_values)]
        known = torch.cat([self._values, another, self._word_cells, nothing])
        index = codes - int(self.column.continuous)
        x = known[index.clamp(min=-1)]  # the last one, which is NaN, for "a number"
        if self.others is not None:
            rows = (codes == self.unseen).nonzero()[:, 0]
            x[rows] = self.others.sample(len(rows), generator)
        return x

    def numbers(self) -> Tensor | None:
        """Return the numbers that outcomes stand for, NaN for the others, (count,); ``None`` if they are no numbers."""
        if self.column.kind != "discrete":
            return None
        more = torch.full((self.count - len(self._values),), math.nan, dtype=torch.float64)
        return torch.cat([self._values, more])


def _own(column: Column) -> list[float]:
    """Return the values that have a probability each."""
    match column.kind:
        case "category" | "boolean":
            return [float(level) for level in range(len(column.levels))]
        case "discrete":
            return list(column.values)
        case "constant":
            assert column.value is not None
            return [column.value]
        case _:
            return list(column.atoms)


def _nearest(values: Tensor, x: Tensor) -> Tensor:
    """Return the place of the value that is nearest to each x, (B,); values rise."""
    right = torch.searchsorted(values, x.nan_to_num()).clamp(max=len(values) - 1)
    left = (right - 1).clamp(min=0)
    return torch.where((x - values[left]).abs() <= (values[right] - x).abs(), left, right)
