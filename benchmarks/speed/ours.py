"""How flowcli itself is called, and the only place that knows: a step of training, scoring and sampling."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.speed.cases import LEARNING_RATE
from flowcli.density import Density
from flowcli.flows import Flow

PIECE = 65_536  # rows whose coordinates are computed at once


def stepper(flow: Flow) -> Callable[[Tensor], Tensor]:
    """What takes a batch (B, D) and one step of training with it, and returns the loss."""
    flow.train()
    optimizer = torch.optim.AdamW(flow.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)

    def step(batch: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = -flow.log_prob(batch).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def frozen(flow: Flow) -> Flow:
    """The flow as it is now, ready for use: what may be prepared once for many rows is prepared here."""
    return copy.deepcopy(flow).eval().requires_grad_(False)


@torch.inference_mode()
def score(flow: Flow, rows: Tensor, block: int) -> Tensor:
    """Log-densities (N,) of rows (N, D), so many at once, by a frozen flow."""
    return torch.cat([flow.log_prob(part) for part in rows.split(block)])


@torch.inference_mode()
def sample(flow: Flow, rows: int, block: int, generator: torch.Generator) -> Tensor:
    """Rows (N, D) drawn from a frozen flow, so many at once."""
    sizes = [min(block, rows - start) for start in range(0, rows, block)]
    return torch.cat([flow.sample(size, generator) for size in sizes])


def coordinates(density: Density, values: NDArray[np.float64]) -> Tensor:
    """What a model's flow sees of the rows (N, N_c) of a table, (N, D)."""
    pieces = torch.from_numpy(values).split(PIECE)
    return torch.cat([density.coordinates.forward(piece)[0].float() for piece in pieces])


def score_table(density: Density, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-densities (N,) of the rows (N, N_c) of a table, by a whole model."""
    return density.log_prob(values)
