"""The training rows as a density takes them, ready on the device, and their random order."""

from __future__ import annotations

import torch
from torch import Tensor

from flowcli.encoding import Encoder
from flowcli.random import Stream, derived_seed


class TrainingRows:
    """Rows that every epoch goes through in a new order; rounded numbers are spread over their cells afresh.

    Order and spreading are functions of the seed and the epoch alone, so that a place in the data is one number.

    Args:
        encoding: From columns to rows.
        values: Rows (N, N_c), float64.
        seed: Of all random numbers.
        device: Where the rows are to be.
        weights: Of the rows, (N,), one on average; ``None`` where all count alike.

    Attributes:
        log_det: The mean log-det of an epoch's rows.
    """

    def __init__(
        self,
        encoding: Encoder,
        values: Tensor,
        seed: int,
        device: torch.device | str = "cpu",
        weights: Tensor | None = None,
    ) -> None:
        self._encoding, self._values, self._seed, self._device = encoding, values, seed, device
        self._weights = weights
        self._epoch = -1
        self._rows = torch.empty(0)
        self.log_det = 0.0

    def __len__(self) -> int:
        """N."""
        return len(self._values)

    @property
    def weighted(self) -> bool:
        """Whether each row's last number is its weight."""
        return self._weights is not None

    def epoch(self, number: int) -> Tensor:
        """The rows (N, W) of one epoch in its order, float32, each with its weight behind it if there are any."""
        if number != self._epoch:
            if self._encoding.rounded or self._epoch < 0:
                spread = dequantization_shares(
                    self._encoding, len(self), generator(self._seed, Stream.EPOCH_DEQUANTIZATION, number)
                )
                rows, log_det = self._encoding.forward(self._values, spread)
                self.log_det = mean(log_det, self._weights)
                if self._weights is not None:
                    rows = torch.cat([rows, self._weights[:, None]], 1)
                self._unordered = rows.float().to(self._device)
            order = torch.randperm(len(self), generator=generator(self._seed, Stream.EPOCH_ORDER, number))
            self._rows = self._unordered[order.to(self._unordered.device)]
            self._epoch = number
        return self._rows


def dequantization_shares(encoding: Encoder, rows: int, random: torch.Generator) -> Tensor:
    """A place in its cell for each rounded number, as a share, (rows, N_c)."""
    spread = torch.full((rows, len(encoding.schema.columns)), 0.5, dtype=torch.float64)
    if encoding.rounded:
        shares = torch.rand(rows, len(encoding.rounded), generator=random, dtype=torch.float64)
        spread[:, encoding.rounded] = shares.clamp(1e-9, 1 - 1e-9)
    return spread


def mean(values: Tensor, weights: Tensor | None) -> float:
    """The mean of values (N,), each with its weight if there are any."""
    return float(values.mean() if weights is None else (values * weights).sum() / weights.sum())


def generator(seed: int, stream: Stream, *steps: int) -> torch.Generator:
    """Return torch's generator on the CPU for one purpose; see ``flowcli.random``."""
    return torch.Generator().manual_seed(derived_seed(seed, stream, *steps))
