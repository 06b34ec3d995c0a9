"""A density over the rows of a table: coordinates, and a flow over them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.config.schema import Config
from flowcli.density.coordinates import Coordinates
from flowcli.errors import NumericsError
from flowcli.flows import Flow
from flowcli.table import Schema, as_written

Rows = NDArray[np.float64]

# A sample whose latent comes back farther away than this (in units of the base) is redone in float64.
ROUND_TRIP = 1e-4
MOST_REDRAWS = 10

# Rows drawn at once. More than are scored at once where columns are many: drawing goes column by column, in narrow
# products that are the quicker the longer they are.
DRAWN_ROWS = 2048

# In units of a column's spread: where float32 is no longer enough, and where even float64 may overflow.
ROUGH, FAR = 1e3, 1e100


@dataclass(frozen=True)
class Terms:
    """The change of variables, term by term: log_prob = base_log_prob + log_det.

    Attributes:
        latents: z = f(x), (B, D).
        base_log_prob: log p_Z(z), (B,).
        log_det: log|det df/dx|, in the units of the table, (B,).
    """

    latents: Rows
    base_log_prob: Rows
    log_det: Rows

    @property
    def log_prob(self) -> Rows:
        """The log-density of each row, in nats, (B,)."""
        return np.asarray(self.base_log_prob + self.log_det)


@dataclass
class Density:
    """What a model file holds, ready to score rows and to draw them.

    Attributes:
        coordinates: From columns to coordinates.
        flow: The density of the coordinates, in float32.
        config: The config, with everything that was left to ``auto`` decided.
        summary: What is known of the training: rows, held-out nats, history, seed.
    """

    coordinates: Coordinates
    flow: Flow
    config: Config
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A density is for use: no dropout, no gradients."""
        self.flow.freeze()

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.coordinates.schema

    @property
    def device(self) -> torch.device:
        """Where the flow is computed; coordinates, which need float64, always are on the processor."""
        return next((p.device for p in self.flow.parameters()), torch.device("cpu"))

    def to(self, device: torch.device | str) -> Density:
        """The same density with its flow on another device."""
        return Density(self.coordinates, copy.deepcopy(self.flow).to(device), self.config, self.summary)

    @property
    def block_rows(self) -> int:
        """How many rows are scored at once: what fits a processor's cache, and the same whatever the caller asks."""
        return max(128, 2048 // (1 + self.coordinates.columns // 32))

    def log_prob(self, values: Rows, *, double: bool = False) -> Rows:
        """Log-density of each row, in nats per row, in the units of the table.

        Args:
            values: Rows (B, N_c) in the schema's order, without missing values.
            double: Compute the flow in float64 too.

        Returns:
            (B,), finite or minus infinity.
        """
        return self.terms(values, double=double).log_prob

    def terms(self, values: Rows, *, double: bool = False) -> Terms:
        """The terms of the log-density of each row; see ``log_prob``."""
        parts = [self._terms(values[i : i + self.block_rows], double) for i in range(0, len(values), self.block_rows)]
        if not parts:
            return Terms(np.empty((0, self.coordinates.columns)), np.empty(0), np.empty(0))
        latents, base_log_prob, log_det = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return Terms(latents, base_log_prob, log_det)

    @torch.inference_mode()
    def _terms(self, values: Rows, double: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, log_det = self.coordinates.forward(torch.as_tensor(values, dtype=torch.float64))
        if not u.shape[1]:  # nothing but constants
            return u, torch.zeros_like(log_det), log_det
        flow = self._double if double else self.flow
        z, flow_log_det = flow(u.to(next(flow.parameters())))
        base_log_prob = flow.base.log_prob(z)
        z, base_log_prob, flow_log_det = (part.cpu().double() for part in (z, base_log_prob, flow_log_det))
        log_det = log_det + flow_log_det
        if double:
            lost = ~(base_log_prob + flow_log_det).isfinite()
            if (lost & (u.abs() <= FAR).all(1)).any():
                raise NumericsError("a log-density is not a number; the model's weights may be damaged")
            # Squares that overflow even float64: the density there is zero to every digit.
            base_log_prob = torch.where(lost, -torch.inf, base_log_prob)
            return z, base_log_prob, torch.where(lost & ~log_det.isfinite(), 0.0, log_det)
        # Far out, float32 cannot tell neighbours apart, or overflows.
        rough = (u.abs() > ROUGH).any(1) | ~(base_log_prob + flow_log_det).isfinite()
        if rough.any():
            z[rough], base_log_prob[rough], log_det[rough] = self._terms(np.asarray(values)[rough.numpy()], True)
        return z, base_log_prob, log_det

    @cached_property
    def _double(self) -> Flow:
        """The flow in float64, which Apple's GPUs do not have."""
        flow = copy.deepcopy(self.flow)
        return (flow.cpu() if self.device.type == "mps" else flow).double().freeze()

    def sample(self, rows: int, *, seed: int) -> Rows:
        """Draw rows (rows, N_c), rounded as the table wrote them.

        A smaller number of rows with the same seed is a beginning of this one.
        """
        blocks = list(self.sample_blocks(rows, seed=seed))
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.schema.columns)))

    def sample_blocks(self, rows: int, *, seed: int) -> Iterator[Rows]:
        """Draw rows block by block, each (b, N_c); see ``sample``.

        Raises:
            NumericsError: A row came out that is not finite, or that cannot be inverted.
        """
        for values, wanted in self._whole_blocks(rows, seed):
            yield values[:wanted]

    def scored_blocks(self, rows: int, *, seed: int) -> Iterator[tuple[Rows, Rows]]:
        """Like ``sample_blocks``, each block with the log-densities (b,) of its rows."""
        for values, wanted in self._whole_blocks(rows, seed):
            yield values[:wanted], self.log_prob(values)[:wanted]

    def _whole_blocks(self, rows: int, seed: int) -> Iterator[tuple[Rows, int]]:
        """Blocks of one size, so that no number depends on how many rows are wanted; and how many of each are."""
        for block, start in enumerate(range(0, rows, DRAWN_ROWS)):
            yield self.block(block, seed=seed), min(DRAWN_ROWS, rows - start)

    def block(self, number: int, *, seed: int) -> Rows:
        """Draw one block of ``DRAWN_ROWS`` rows: they depend on its number and the seed alone."""
        state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
        return self._sample(DRAWN_ROWS, torch.Generator().manual_seed(int(state >> np.uint64(1))))

    @torch.inference_mode()
    def _sample(self, rows: int, generator: torch.Generator) -> Rows:
        if self.coordinates.columns:
            u = self._sample_coordinates(rows, generator)
        else:
            u = torch.empty(rows, 0, dtype=torch.float64)
        values = self.coordinates.inverse(u)
        if not values.isfinite().all():
            raise NumericsError("a drawn row is not finite; the model puts mass beyond what numbers can hold")
        return as_written(values.numpy(), self.schema)

    def _sample_coordinates(self, rows: int, generator: torch.Generator) -> Tensor:
        """Draw coordinates (rows, D), each checked by a round trip; float64 on the processor."""
        z = self.flow.base.sample(rows, generator)
        u = self.flow.inverse(z)[0]
        missed = _missed(self.flow, u, z).cpu()
        u, double = u.cpu().double(), self._double
        for _ in range(MOST_REDRAWS):
            if not missed.any():
                return u
            # First the same latents with more digits, then other ones: such a latent is no fault of the density.
            latents = z.cpu()[missed].to(next(double.parameters()))
            found = double.inverse(latents)[0]
            u[missed] = found.cpu()
            missed[missed.clone()] = _missed(double, found, latents).cpu()
            if missed.any():
                z = z.index_put((missed.to(z.device),), self.flow.base.sample(int(missed.sum()), generator))
        raise NumericsError("a drawn row does not lead back to its latent; the flow cannot be inverted there")


def _missed(flow: Flow, u: Tensor, z: Tensor) -> Tensor:
    """Which coordinates u (B, D) do not lead back to their latents z (B, D), (B,)."""
    again: Tensor = flow(u)[0]
    return ~((again - z).abs() <= ROUND_TRIP * (1 + z.abs())).all(1)
