"""The training rows as a density takes them, ready on the device, and their random order."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.encoding.encoder import Encoder, PreparedRows
from flowcli.random import Stream, derived_seed


class TrainingRows:
    """Rows that every epoch goes through in a new order; rounded numbers are dequantized afresh.

    Order and dequantization are functions of the seed and the epoch alone, so a place in the data is one number.

    Args:
        encoder: Encodes the rows.
        prepared: The rows, N, as ``encoder.prepare`` leaves them.
        seed: Seeds all random numbers.
        device: Where the rows are used.
        weights: Of the rows, (N,), one on average; ``None`` where all count alike.

    Attributes:
        log_det: The mean log-det of an epoch's rows.
    """

    def __init__(
        self,
        encoder: Encoder,
        prepared: PreparedRows,
        seed: int,
        device: torch.device | str = "cpu",
        weights: Tensor | None = None,
    ) -> None:
        self._encoder, self._prepared, self._seed, self._device = encoder, prepared, seed, device
        self._weights = weights
        self._epoch = -1
        self._rows = torch.empty(0)
        self.log_det = 0.0

    def __len__(self) -> int:
        """N."""
        return len(self._prepared)

    @property
    def weighted(self) -> bool:
        """Whether each row's last number is its weight."""
        return self._weights is not None

    def epoch(self, number: int) -> Tensor:
        """Return the rows (N, W) of one epoch in its order, float32; each ends with its weight if there are any."""
        if number != self._epoch:
            if self._encoder.rounded or self._epoch < 0:
                random = generator(self._seed, Stream.EPOCH_DEQUANTIZATION, number)
                shares = dequantization_shares(self._encoder, len(self), random)
                rows, log_det = self._encoder.forward(self._prepared, shares)
                self.log_det = mean(log_det, self._weights)
                if self._weights is not None:
                    rows = torch.cat([rows, self._weights[:, None]], 1)
                self._unordered = rows.float().to(self._device)
            order = torch.randperm(len(self), generator=generator(self._seed, Stream.EPOCH_ORDER, number))
            self._rows = self._unordered[order.to(self._unordered.device)]
            self._epoch = number
        return self._rows


def dequantization_shares(encoder: Encoder, rows: int, random: torch.Generator) -> Tensor:
    """Draw where in its rounding interval each rounded number lies, as a share, (rows, N_c)."""
    shares = torch.full((rows, len(encoder.schema.columns)), 0.5, dtype=torch.float64)
    if encoder.rounded:
        drawn = torch.rand(rows, len(encoder.rounded), generator=random, dtype=torch.float64)
        shares[:, encoder.rounded] = drawn.clamp(1e-9, 1 - 1e-9)
    return shares


def mean(values: Tensor, weights: Tensor | None) -> float:
    """Return the mean of values (N,), each with its weight if there are any."""
    return float(values.mean() if weights is None else (values * weights).sum() / weights.sum())


def generator(seed: int, stream: Stream, *steps: int) -> torch.Generator:
    """Return torch's generator on the CPU for one purpose; see ``flowcli.random``."""
    return torch.Generator().manual_seed(derived_seed(seed, stream, *steps))
