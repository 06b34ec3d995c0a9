"""A fit that is ready to run, and the density that it leaves."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowcli.config import schema as config
from flowcli.encoding import Encoder
from flowcli.model import FlowDensity
from flowcli.model.held_out import HeldOut
from flowcli.model.possible_sums import with_possible_sums
from flowcli.model.training_range import RANGES, training_ranges
from flowcli.table import Table
from flowcli.training.loop.events import mean_and_error
from flowcli.training.loop.loop import Loop
from flowcli.training.prepare.row_sets import RowSet


@dataclass
class Fitting:
    """A fit that is ready to run.

    Attributes:
        request: The config as the user gave it.
        config: The same with nothing left to decide.
        encoder: From columns to what the density takes.
        loop: The fit.
        train: The training rows.
        held_out: The held-out rows.
        seed: Of all random numbers.
        fingerprint: Of the data, to know it again.
        ridge: Of the mixture that EM found to start from, if it did.
    """

    request: config.Config
    config: config.Config
    encoder: Encoder
    loop: Loop
    train: RowSet
    held_out: RowSet
    seed: int
    fingerprint: str
    ridge: float | None = None

    def density(self) -> FlowDensity:
        """Return the best density so far, on the CPU, with a summary of how it came about."""
        density = with_possible_sums(FlowDensity(self.encoder, copy.deepcopy(self.loop.best).cpu(), self.config))
        log_prob = density.log_prob(self.held_out.values)
        density.held_out = HeldOut.of(log_prob, self.held_out.weights)
        held_out_nats, held_out_error = mean_and_error(torch.from_numpy(log_prob), self.held_out.weight_tensor)
        best = [evaluation for evaluation in self.loop.history if evaluation.best][-1]
        density.summary = {
            "rows": len(self.train),
            RANGES: training_ranges(self.train.values, self.encoder.schema),
            "held_out_rows": len(self.held_out),
            "held_out_nats": held_out_nats,
            "held_out_error": _or_none(held_out_error),
            "outcome": self.loop.outcome,
            "steps": self.loop.step,
            "best_step": best.step,
            "seconds": round(self.loop.seconds, 3),
            "seed": self.seed,
            "ridge": self.ridge,
            "history": [
                {
                    "step": e.step,
                    "epoch": e.epoch,
                    "train_nats": _or_none(e.train_nats),
                    "held_out_nats": e.held_out_nats,
                }
                for e in self.loop.history
            ],
        }
        return density

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return a document and tensors from which ``resume`` continues, to the bit."""
        document, tensors = self.loop.state()
        return {
            "request": self.request.to_json(),
            "config": self.config.to_json(),
            "columns": self.encoder.schema.to_json(),
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "ridge": self.ridge,
            "loop": document,
        }, tensors


def fingerprint(table: Table, valid: Table | None) -> str:
    """SHA-256 of the rows and the names of the columns."""
    digest = hashlib.sha256()
    for part in (table, valid):
        if part is not None:
            digest.update(repr(part.schema.names).encode())
            digest.update(np.ascontiguousarray(part.values).tobytes())
            if part.weights is not None:
                digest.update(np.ascontiguousarray(part.weights).tobytes())
    return digest.hexdigest()


def _or_none(value: float) -> float | None:
    """Return a number, or ``None``, which JSON knows, instead of one that is not finite."""
    return value if math.isfinite(value) else None
