"""The loop of a fit, over rows that are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from flowcli.config import schema as config
from flowcli.encoding import Encoder
from flowcli.flows import MixedDensity, build_mixed
from flowcli.random import Stream
from flowcli.training.loop.compiled import compiled
from flowcli.training.loop.epochs import TrainingRows, dequantization_shares, generator
from flowcli.training.loop.loop import Loop
from flowcli.training.prepare import resolve
from flowcli.training.prepare.checks import Notice
from flowcli.training.prepare.row_sets import RowSet


@dataclass(frozen=True)
class LoopFactory:
    """Makes loops over the same rows: one at its start, or one that goes on from a state.

    Attributes:
        encoder: Encodes the rows.
        resolved: The config with nothing left to decide.
        train: The training rows.
        held_out: The held-out rows.
        seed: Seeds all random numbers.
        device: Where the fit runs.
    """

    encoder: Encoder
    resolved: config.Config
    train: RowSet
    held_out: RowSet
    seed: int
    device: torch.device | str

    @cached_property
    def rows(self) -> TrainingRows:
        """The training rows of each epoch."""
        return TrainingRows(self.encoder, self.train.prepared, self.seed, self.device, self.train.weight_tensor)

    def joint(self) -> MixedDensity:
        """Return the density, as torch's random numbers have it."""
        return build_mixed(self.resolved.flow, self.encoder.layout, self.encoder.numbers)

    def loop(self, joint: MixedDensity, compiling: Notice | None = None) -> Loop:
        """Return the loop over the rows, all on the device; its steps are compiled if somebody takes the notices."""
        encoder, train, held_out, seed, device = self.encoder, self.train, self.held_out, self.seed, self.device
        shares = dequantization_shares(encoder, len(held_out), generator(seed, Stream.HELD_OUT_DEQUANTIZATION))
        held_rows, held_log_det = encoder.forward(held_out.prepared, shares)
        return Loop(
            joint.to(device),
            self.rows,
            held_rows.float().to(device),
            held_log_det,
            resolve.settings(self.resolved.train, rows=len(train)),
            seed,
            None if compiling is None else partial(compiled, notice=compiling),
            held_out.weight_tensor,
        )

    def continued(self, state: tuple[Mapping[str, Any], Mapping[str, Tensor]], compiling: Notice | None) -> Loop:
        """Return a loop over the same rows as the one that gave this state, from there."""
        with torch.random.fork_rng(devices=[]):
            joint = self.joint()
        loop = self.loop(joint, compiling)
        loop.restore(*state)
        return loop
