"""The training rows as coordinates, ready on the device, and their random order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowcli.density import Coordinates


class TrainingRows:
    """Rows that every epoch goes through in a new order; rounded values are spread over their cells afresh.

    Order and spreading are functions of the seed and the epoch alone, so that a place in the data is one number.

    Args:
        coordinates: From columns to coordinates.
        values: Rows (N, N_c), float64.
        seed: Of all random numbers.
        device: Where the coordinates are to be.
    """

    def __init__(self, coordinates: Coordinates, values: Tensor, seed: int, device: torch.device | str = "cpu") -> None:
        self._coordinates, self._values, self._seed, self._device = coordinates, values, seed, device
        self._epoch = -1
        self._rows = torch.empty(0)
        self.log_det = 0.0

    def __len__(self) -> int:
        """N."""
        return len(self._values)

    def epoch(self, number: int) -> Tensor:
        """The coordinates (N, D) of one epoch in its order, float32; ``log_det`` is then their mean log-det."""
        if number != self._epoch:
            if self._coordinates.rounded or self._epoch < 0:
                values = self._coordinates.jitter(self._values, generator(self._seed, 2, number))
                rows, log_det = self._coordinates.forward(values)
                self._unordered, self.log_det = rows.float().to(self._device), float(log_det.mean())
            order = torch.randperm(len(self), generator=generator(self._seed, 3, number))
            self._rows = self._unordered[order.to(self._unordered.device)]
            self._epoch = number
        return self._rows


def generator(*seeds: int) -> torch.Generator:
    """A generator on the CPU, seeded by several numbers together."""
    return torch.Generator().manual_seed(mixed(*seeds))


def mixed(*seeds: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
