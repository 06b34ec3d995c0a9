"""The rows of a table on one side of a fit: to train on, or held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding import Encoder
from flowcli.encoding.encoder import PreparedRows

# In units of a column's spread: the square of what is farther out leaves the numbers of a float32 fit.
FARTHEST_COORDINATE = 1e9


@dataclass(frozen=True)
class RowSet:
    """Rows, encoded as far as no fitted map matters, so that every stage of a fit goes on from there.

    Attributes:
        values: In the units of the table, (N, N_c).
        prepared: The same rows, prepared by an encoder.
        weights: One on average, (N,); ``None`` where all count alike.
        unit: What a weight of one is in the weights of the table.
    """

    values: NDArray[np.float64]
    prepared: PreparedRows
    weights: NDArray[np.float64] | None = None
    unit: float = 1.0

    @classmethod
    def of(cls, values: NDArray[np.float64], encoder: Encoder, weights: NDArray[np.float64] | None = None) -> RowSet:
        """Prepare rows (N, N_c) of a table with weights (N,) as the table has them."""
        prepared = encoder.prepare(encoder.relations.residuals(torch.from_numpy(values)))
        rows = cls(values, prepared, weights)
        return rows if weights is None else rows.keep(np.ones(len(values), dtype=np.bool_))

    def __len__(self) -> int:
        """N."""
        return len(self.values)

    @property
    def weight_tensor(self) -> Tensor | None:
        """The weights."""
        return None if self.weights is None else torch.from_numpy(self.weights)

    def keep(self, rows: NDArray[np.bool_]) -> RowSet:
        """Return some of the rows, whose weights are again one on average."""
        prepared = self.prepared.select(torch.from_numpy(rows))
        if self.weights is None:
            return RowSet(self.values[rows], prepared)
        weights = self.weights[rows]
        mean = float(weights.mean())
        return RowSet(self.values[rows], prepared, weights / mean, self.unit * mean)

    def and_those_of(self, other: RowSet, encoder: Encoder) -> RowSet:
        """Return the rows of both, the other's last."""
        weights = None
        if self.weights is not None and other.weights is not None:
            weights = np.concatenate([self.weights * self.unit, other.weights * other.unit])
        return RowSet.of(np.concatenate([self.values, other.values]), encoder, weights)


def out_of_reach(encoder: Encoder, rows: RowSet) -> NDArray[np.bool_]:
    """Return which rows lie so far out, under an encoder's maps, that a fit cannot compute with them, (N,)."""
    encoded, log_det = encoder.forward(rows.prepared)
    u = encoded[:, : encoder.layout.coordinates]
    return np.asarray(((u.abs() > FARTHEST_COORDINATE).any(1) | (log_det == -math.inf)).numpy())
