"""The density of one flow: how rows are encoded, and the joint density of what comes out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.config.schema import Config
from flowcli.encoding.encoder import Encoder, PreparedRows
from flowcli.encoding.rounding import DRAWS, LogMean, averaged, points
from flowcli.encoding.standardizer import Standardizer
from flowcli.errors import NumericsError, UsageError
from flowcli.flows import Context, Flow, MixedDensity, MixedTerms
from flowcli.model.density import Density, Rows, Scores
from flowcli.model.held_out import HeldOut
from flowcli.table import Schema, as_written

# A sample whose latent comes back farther away than this (in units of the base) is redone in float64.
ROUND_TRIP = 1e-4
MOST_REDRAWS = 10
MOST_TRIES = 1000  # of a row whose sums are to be possible

# In units of a column's spread: where float32 is no longer enough, and where even float64 may overflow.
ROUGH, OVERFLOW = 1e3, 1e100


@dataclass(frozen=True)
class Terms:
    """The change of variables, term by term, at the middle of a rounded number's cell. All but the latents add up.

    Attributes:
        latents: z = f(x), zero for what is not observed, (B, D).
        base_log_prob: log p_Z(z), (B,).
        log_det: log|det df/dx|, in the units of the table, (B,).
        angles_log_prob: The log-density of the angles, (B,).
        codes_log_prob: The log-probability of categories, discrete numbers and missing cells, (B,).
        cell_correction: What the mean density over the cell differs by, as a logarithm, (B,).
        error: The standard error of the log-density, (B,).
    """

    latents: Rows
    base_log_prob: Rows
    log_det: Rows
    angles_log_prob: Rows
    codes_log_prob: Rows
    cell_correction: Rows
    error: Rows

    @property
    def log_prob(self) -> Rows:
        """The log-density of each row, in nats, (B,)."""
        at_middle = self.base_log_prob + self.log_det + self.angles_log_prob + self.codes_log_prob
        return np.asarray(at_middle + self.cell_correction)


@dataclass
class FlowDensity(Density):
    """The density of one flow.

    Attributes:
        encoder: From columns to codes, angles and coordinates.
        joint: The density of these, in float32.
        config: The config, with everything that was left to ``auto`` decided.
        summary: What is known of the training: rows, held-out nats, history, seed.
        held_out: How likely the held-out rows were, if that is known.
    """

    encoder: Encoder
    joint: MixedDensity
    config: Config
    summary: dict[str, Any] = field(default_factory=dict)
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        """A density is for use: no dropout, no gradients."""
        self.joint.freeze()

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.encoder.schema

    @property
    def coordinates(self) -> Standardizer:
        """From the continuous columns to their coordinates."""
        return self.encoder.coordinates

    @property
    def device(self) -> torch.device:
        """Where the flow is computed; what comes before it, which needs float64, always is on the processor."""
        return next((p.device for p in self.joint.parameters()), torch.device("cpu"))

    @property
    def rounded(self) -> bool:
        """Whether log-densities are estimates, because there are columns of which cells have a mass."""
        return bool(self.encoder.rounded)

    def to(self, device: torch.device | str) -> FlowDensity:
        """Return a copy of this density whose flow is on another device."""
        return replace(self, joint=copy.deepcopy(self.joint).to(device))

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return sum(p.numel() for p in self.joint.parameters())

    @property
    def block_rows(self) -> int:
        """How many rows are scored at once: what fits a processor's cache, and the same whatever the caller asks."""
        return max(128, 2048 // (1 + len(self.coordinates) // 32))

    def scores(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Scores:
        """Return log-density of each row, with its standard error; see ``Density.scores``."""
        parts: list[LogMean] = []
        for block in self._blocks(values):
            if self.rounded:
                encoded = self.encoder.modelled.encode(block.modelled)
                shares = points(draws, self.encoder.rounded, values.shape[1], encoded, seed)
                at_points = [self._terms(block, double, own).log_prob for own in shares]
                parts.append(averaged(torch.stack(at_points)))
            else:
                log_prob = self._terms(block, double).log_prob
                parts.append(LogMean(log_prob, torch.zeros_like(log_prob)))
        if not parts:
            return Scores(np.empty(0), np.empty(0))
        return Scores(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))

    def terms(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Terms:
        """Return the terms of the log-density of each row (B, N_c); see ``scores``."""
        parts = [self._terms(block, double) for block in self._blocks(values)]
        if not parts:
            nothing = np.empty(0)
            nowhere = np.empty((0, len(self.coordinates)))
            return Terms(nowhere, nothing, nothing, nothing, nothing, nothing, nothing)
        latents, *logs = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        correction = error = np.zeros(len(latents))
        if self.rounded:
            scores = self.scores(values, double=double, draws=draws, seed=seed)
            at_middle = np.sum(logs, axis=0)
            both = np.isfinite(at_middle) & np.isfinite(scores.log_prob)
            correction, error = np.where(both, scores.log_prob, 0.0) - np.where(both, at_middle, 0.0), scores.error
        return Terms(latents, logs[0], logs[1], logs[2], logs[3], correction, error)

    def _blocks(self, values: Rows) -> Iterator[PreparedRows]:
        """Yield rows (B, N_c) block by block, prepared for encoding at several points of their intervals."""
        for start in range(0, len(values), self.block_rows):
            block = torch.as_tensor(values[start : start + self.block_rows], dtype=torch.float64)
            yield self.encoder.prepare(self.encoder.relations.residuals(block))

    @torch.inference_mode()
    def _terms(self, rows: PreparedRows, double: bool, shares: Tensor | None = None) -> MixedTerms:
        """Return the terms of rows, the Jacobian of the encoding in the log-det; float64 on the processor."""
        return self._joint_terms(*self.encoder.forward(rows, shares), double)

    @torch.inference_mode()
    def log_prob_at(self, residuals: Tensor, shares: Tensor) -> Tensor:
        """Return the log-density at one point of each rounding interval; see ``Density.log_prob_at``."""
        return self._joint_terms(*self.encoder.forward(residuals, shares), False).log_prob

    def _joint_terms(self, rows: Tensor, log_det: Tensor, double: bool) -> MixedTerms:
        layout = self.encoder.layout
        if not (layout.coordinates or layout.angles or layout.outcome_counts):  # nothing but constants
            nothing = torch.zeros_like(log_det)
            return MixedTerms(rows[:, :0], nothing, log_det, nothing, nothing)
        joint = self._double if double else self.joint
        z, *logs = (part.cpu().double() for part in joint.terms(rows.to(next(joint.parameters()))))
        base_log_prob, flow_log_det, angles_log_prob, codes_log_prob = logs
        u = rows[:, : layout.coordinates]
        total = base_log_prob + flow_log_det + angles_log_prob + codes_log_prob
        of_encoding, log_det = log_det, log_det + flow_log_det
        if double:
            lost = ~total.isfinite()
            if (lost & (u.abs() <= OVERFLOW).all(1)).any():
                raise NumericsError("a log-density is not a number; the model's weights may be damaged")
            # Squares that overflow even float64: the density there is zero to every digit.
            base_log_prob = torch.where(lost, -torch.inf, base_log_prob)
            log_det = torch.where(lost & ~log_det.isfinite(), 0.0, log_det)
            return MixedTerms(z, base_log_prob, log_det, angles_log_prob, codes_log_prob)
        # Far out, float32 cannot tell neighbours apart, or overflows.
        rough = ((u.abs() > ROUGH).any(1) | ~total.isfinite()).nonzero()[:, 0]
        result = MixedTerms(z, base_log_prob, log_det, angles_log_prob, codes_log_prob)
        if not len(rough):
            return result
        again = self._joint_terms(rows[rough], of_encoding[rough], True)
        return MixedTerms(*(one.index_copy(0, rough, other) for one, other in zip(result, again, strict=True)))

    @cached_property
    def _double(self) -> MixedDensity:
        """The density in float64, which Apple's GPUs do not have."""
        joint = copy.deepcopy(self.joint)
        return (joint.cpu() if self.device.type == "mps" else joint).double().freeze()

    def draw(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw as many rows as are given; see ``Density.draw``.

        Rows with a sum that its column cannot be are drawn anew.
        """
        rows = self.draw_with_any_sums(given, generator)
        for _ in range(MOST_TRIES):
            impossible = ~self.has_possible_sums(rows)
            if not impossible.any():
                return rows
            rows[impossible] = self.draw_with_any_sums(given[torch.from_numpy(impossible)], generator)
        raise NumericsError("rows in which a column is a sum of others hardly ever come out possible; fit for longer")

    def has_possible_sums(self, rows: Rows) -> NDArray[np.bool_]:
        """Return in which rows (B, N_c) of the table every sum is a number that its column can be, (B,)."""
        relations = self.encoder.relations
        return np.asarray(relations.possible(relations.residuals(torch.from_numpy(rows))).all(1).numpy())

    @torch.inference_mode()
    def draw_with_any_sums(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw as many rows as are given, also such as have a sum that its column cannot be, (B, N_c)."""
        like = next(self.joint.parameters(), torch.zeros(0))
        relations = self.encoder.relations
        features = self.encoder.features(relations.residuals(given)).to(like)
        angles, codes, context = self.joint.sample_before(len(given), generator, features)
        u = torch.empty(len(given), 0, dtype=torch.float64)
        if self.joint.flow is not None:
            u = self._sample_coordinates(self.joint.flow, len(given), generator, context)
        angles, codes = angles.cpu().double(), codes.cpu()
        values = relations.restore(self.encoder.inverse(u, angles, codes, given, generator))
        missing = torch.tensor([column.has_gaps or column.given for column in self.schema.columns])
        if not (values.isfinite() | (missing & values.isnan())).all():
            raise NumericsError("a drawn row is not finite; the model puts mass beyond what numbers can hold")
        return as_written(values.numpy(), self.schema)

    def _sample_coordinates(self, flow: Flow, rows: int, generator: torch.Generator, context: Context) -> Tensor:
        """Draw coordinates (rows, D), each checked by a round trip; float64 on the processor.

        Of a whole row, coordinates far beyond all training rows are drawn anew: a network that meets what it has never
        seen may put a little mass anywhere.
        """
        of_latents = flow.output_context(context)
        z = flow.base.sample(rows, generator, of_latents)
        u = flow.inverse(z, context)[0]
        missed = _missed(flow, u, z, context).cpu()
        u = u.cpu().double()
        if not self.encoder.layout.context_features:
            for _ in range(MOST_REDRAWS):
                implausible = (~self.coordinates.plausible(u) & ~missed).nonzero()[:, 0]
                if not len(implausible):
                    break
                own = context.select(implausible.to(z.device))
                latents = flow.base.sample(len(implausible), generator, of_latents.select(implausible.to(z.device)))
                result = flow.inverse(latents, own)[0]
                z = z.index_copy(0, implausible.to(z.device), latents)
                u[implausible], missed[implausible] = result.cpu().double(), _missed(flow, result, latents, own).cpu()
        for _ in range(MOST_REDRAWS):
            if not missed.any():
                return u
            double = self._double.flow
            assert double is not None
            # First the same latents with more digits, then other ones: such a latent is no fault of the density.
            again = missed.nonzero()[:, 0]
            like = next(double.parameters())
            latents, own = z.cpu()[again].to(like), context.select(again.to(z.device)).to(like)
            result = double.inverse(latents, own)[0]
            u[again] = result.cpu()
            missed[again] = _missed(double, result, latents, own).cpu()
            if missed.any():
                still_missed = missed.nonzero()[:, 0].to(z.device)
                redrawn = flow.base.sample(len(still_missed), generator, of_latents.select(still_missed))
                z = z.index_put((still_missed,), redrawn)
        raise NumericsError("a drawn row does not lead back to its latent; the flow cannot be inverted there")


def require_flow(density: Density) -> FlowDensity:
    """Return the density, which must be that of one flow.

    Raises:
        UsageError: It is not.
    """
    if not isinstance(density, FlowDensity):
        raise UsageError("the model is an ensemble: it has no latents and no terms, each of its flows has its own")
    return density


def _missed(flow: Flow, u: Tensor, z: Tensor, context: Context) -> Tensor:
    """Return which coordinates u (B, D) do not lead back to their latents z (B, D), (B,)."""
    again: Tensor = flow(u, context)[0]
    return ~((again - z).abs() <= ROUND_TRIP * (1 + z.abs())).all(1)
