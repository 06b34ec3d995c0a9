"""The rows to train on, and those that are held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding import Encoder

# In units of a column's spread: the square of what is farther out leaves the numbers of a float32 fit.
FARTHEST = 1e9


@dataclass(frozen=True)
class RowSet:
    """The rows on one side of a fit.

    Attributes:
        values: In the units of the table, (N, N_c).
        weights: One on average, (N,); ``None`` where all count alike.
        unit: What a weight of one is in the weights of the table.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    unit: float = 1.0

    def __len__(self) -> int:
        """N."""
        return len(self.values)

    @property
    def tensor(self) -> Tensor:
        """The values."""
        return torch.from_numpy(self.values)

    @property
    def weight_tensor(self) -> Tensor | None:
        """The weights."""
        return None if self.weights is None else torch.from_numpy(self.weights)

    def keep(self, rows: NDArray[np.bool_]) -> RowSet:
        """Some of the rows."""
        if self.weights is None:
            return RowSet(self.values[rows])
        weights = self.weights[rows]
        mean = float(weights.mean())
        return RowSet(self.values[rows], weights / mean, self.unit * mean)

    def and_those_of(self, other: RowSet) -> RowSet:
        """The rows of both, the other's last."""
        values = np.concatenate([self.values, other.values])
        weights = None
        if self.weights is not None and other.weights is not None:
            weights = np.concatenate([self.weights * self.unit, other.weights * other.unit])
        return RowSet(values, weights).keep(np.ones(len(values), dtype=np.bool_))


def far(encoding: Encoder, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows lie so far out that a fit cannot compute with them, (N,)."""
    rows, log_det = encoding.forward(torch.from_numpy(values))
    u = rows[:, : encoding.layout.coordinates]
    return np.asarray(((u.abs() > FARTHEST).any(1) | (log_det == -math.inf)).numpy())
