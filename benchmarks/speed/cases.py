"""What is measured: families of flows, numbers of columns, and the sizes that all libraries share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TRANSFORMS = 5
HIDDEN = (128, 128)
BINS = 8
BOUND = 5.0
BATCH = 512
LEARNING_RATE = 1e-3

MIXTURE_WIDTH = 256
MIXTURE_BLOCKS = 2
MIXTURE_COMPONENTS = 16

COLUMNS = (2, 6, 21, 43, 63)
MIXTURE_COLUMNS = (2, 6, 7, 21, 43, 63)
DIRECTIONS = ("training", "scoring", "sampling")

FAMILIES = {
    "maf": "affine autoregressive: each column scaled and shifted given those before it",
    "nsf": f"autoregressive splines of {BINS} bins, the order of the columns reversed between transforms",
    "nsf-coupling": f"coupled splines of {BINS} bins, half of the columns bent given the other half, in turn",
    "mixture": f"autoregressive mixture of {MIXTURE_COMPONENTS} Gaussians a column; no transforms",
}


@dataclass(frozen=True)
class Case:
    """One flow: a family, at a number of columns D."""

    family: str
    columns: int


def cases(families: list[str], columns: list[int] | None) -> list[Case]:
    """All cases of these families, at these columns or else at the usual ones."""
    found = []
    for family in families:
        usual = MIXTURE_COLUMNS if family == "mixture" else COLUMNS
        found += [Case(family, count) for count in columns or usual]
    return found


def data(rows: int, columns: int, seed: int) -> Tensor:
    """Rows (rows, D) of unit scale, neither normal nor independent, nearly all within the splines' bound."""
    noise = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    bent = noise + 0.5 * torch.tanh(2 * noise.roll(1, dims=1))
    return bent / bent.std(0)
