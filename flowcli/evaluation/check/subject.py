"""The density of one flow as the checks see it: its parts in float64, one after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.encoding.column_encoder import Encoded
from flowcli.encoding.season import Season
from flowcli.flows import MixedDensity, MixedTerms
from flowcli.model import FlowDensity

BLOCK = 2048


class Points(NamedTuple):
    """Rows less what is taken from their columns, (B, N_c), and what networks read of what is given, (B, C).

    A rounded number may lie anywhere in its cell here: this is the density before any cell is averaged.
    """

    residuals: Tensor
    features: Tensor

    def select(self, rows: Tensor) -> Points:
        """Return some of the points, by their numbers."""
        return Points(self.residuals[rows], self.features[rows])

    def blocks(self) -> Iterator[Points]:
        """Yield a few at a time."""
        for start in range(0, len(self.residuals), BLOCK):
            yield Points(self.residuals[start : start + BLOCK], self.features[start : start + BLOCK])


class Laid(NamedTuple):
    """Points as a joint density takes them, (B, W), with the log-det of their encoding, (B,), and their codes."""

    rows: Tensor
    log_det: Tensor
    codes: Tensor


class Subject:
    """The density of one flow, on the processor and in float64, taken apart.

    Args:
        density: The density as users have it.
    """

    def __init__(self, density: FlowDensity) -> None:
        self.density, self.encoder, self.part = density, density.encoder, density.encoder.modelled
        self.layout = density.encoder.layout
        self.joint: MixedDensity = copy.deepcopy(density.joint).cpu().double().freeze()
        # Columns with a number: coordinates first, then angles, as latents are.
        self.numbers = [*self.part.continuous, *self.part.circular]

    @cached_property
    def require_flow(self) -> MixedDensity:
        """The joint density in float32, on the processor."""
        return copy.deepcopy(self.density.joint).cpu().float().freeze()

    @property
    def empty(self) -> bool:
        """Whether there is nothing but constants."""
        return not (self.layout.coordinates or self.layout.angles or self.layout.outcome_counts)

    def points(self, values: Tensor) -> Points:
        """Return rows (B, N_c) of the table as points; only those that the columns can hold."""
        residuals = self.encoder.relations.residuals(values)
        held = residuals[self.encoder.possible(residuals)]
        return Points(held, self.encoder.features(held))

    def laid(self, points: Points) -> Laid:
        """Return the points as the joint density takes them."""
        encoded = self.part.encode(points.residuals)
        parts = [encoded.coordinates, encoded.angles, encoded.codes.double(), points.features]
        return Laid(torch.cat(parts, 1), encoded.log_det, encoded.codes)

    def terms(self, laid: Laid) -> MixedTerms:
        """Return the terms of their log-densities, without the encoding's log-det."""
        if self.empty:
            nothing = torch.zeros_like(laid.log_det)
            return MixedTerms(laid.rows[:, :0], nothing, nothing, nothing, nothing)
        return self.joint.terms(laid.rows)

    @torch.no_grad()
    def given_codes(self, points: Points, code_masses: Tensor) -> Tensor:
        """The log-density (B,) of the numbers given the codes, in the table's units.

        Args:
            points: The points (B).
            code_masses: What the masses of codes are multiplied by, as logarithms, (B,).
        """
        parts = []
        for block in points.blocks():
            laid = self.laid(block)
            terms = self.terms(laid)
            parts.append(terms.base_log_prob + terms.log_det + terms.angles_log_prob + laid.log_det)
        return (torch.cat(parts) if parts else points.residuals.new_zeros(0)) - code_masses

    @torch.no_grad()
    def draw(self, given: Tensor, generator: torch.Generator) -> Points:
        """Points drawn as ``sample`` draws, but neither drawn anew nor rounded: one for each row (B, N_c) given."""
        parts = [self._drawn(given[start : start + BLOCK], generator) for start in range(0, len(given), BLOCK)]
        return Points(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _drawn(self, given: Tensor, generator: torch.Generator) -> Points:
        joint, features = self.require_flow, self.encoder.features(self.encoder.relations.residuals(given))
        angles, codes, context = joint.sample_before(len(given), generator, features.float())
        u = torch.empty(len(given), 0, dtype=torch.float64)
        if joint.flow is not None:
            u = joint.flow.sample(len(given), generator, context).double()
        return self.decoded(u, angles.double(), codes, Points(given, features), generator)

    def decoded(
        self, u: Tensor, angles: Tensor, codes: Tensor, points: Points, generator: torch.Generator | None = None
    ) -> Points:
        """Return the points (B) with other coordinates (B, D), angles (B, A) and codes (B, V)."""
        residuals = points.residuals.clone()
        chance = generator or torch.Generator().manual_seed(0)
        self.part.decode(Encoded(codes, angles, u, u.new_zeros(len(codes))), residuals, chance)
        return Points(residuals, points.features)

    def log_seasons(self, points: Points) -> Tensor:
        """Return the logarithm of how much faster numbers run along the outcomes of dates than the dates do, (B,)."""
        total = points.residuals.new_zeros(len(points.residuals))
        for _, index, season in self._seasons:
            dates = points.residuals[:, index]
            total += season.log_masses(season.codes(dates), dates)
        return total

    def along(self, points: Points) -> Tensor:
        """Return residual rows (B, N_c) with dates as how far they are along their day of the week."""
        residuals = points.residuals.clone()
        for _, index, season in self._seasons:
            residuals[:, index] = season.forward(residuals[:, index])
        return residuals

    def of_codes(self, along: Tensor, codes: Tensor) -> Tensor:
        """Return the residual rows (B, N_c) of such rows, with the days of the week that codes (B, V) say."""
        residuals = along.clone()
        for number, index, season in self._seasons:
            residuals[:, index] = season.inverse(residuals[:, index], codes[:, number])
        return residuals

    @property
    def _seasons(self) -> list[tuple[int, int, Season]]:
        """The codes that are days of a week, with their columns."""
        part = self.part
        both = enumerate(zip(part.with_codes, part.outcomes, strict=True))
        return [(number, index, each) for number, (index, each) in both if isinstance(each, Season)]

    def observed(self, codes: Tensor) -> Tensor:
        """Return which coordinates and angles are observed in rows of these codes, (B, D + A)."""
        owners = [*self.layout.coordinate_codes, *self.layout.angle_codes]
        owners = owners or [None] * len(self.numbers)
        observed = torch.ones(len(codes), len(owners), dtype=torch.bool)
        for index, owner in enumerate(owners):
            if owner is not None:
                observed[:, index] = codes[:, owner] == 0
        return observed

    def code_masses(self, points: Points, codes: Tensor) -> Tensor:
        """Return the logarithms (B,) of what masses of codes (B, V) are multiplied by: those on a lattice are per unit.

        Numbers of a grid without an outcome of their own have the probability that ``UnseenIntegers`` gives them.
        """
        total = points.residuals.new_zeros(len(points.residuals))
        for index in self.part.constant:
            column = self.encoder.schema.columns[index]
            total -= column.log_mass_unit
        for number, (index, outcomes) in enumerate(zip(self.part.with_codes, self.part.outcomes, strict=True)):
            column, code = outcomes.column, codes[:, number]
            own = (code >= int(column.continuous)) & (code < outcomes.words)
            total -= own.double() * column.log_mass_unit  # a truth value times a number is a float32
            if outcomes.others is not None:
                other = code == outcomes.unseen
                total += outcomes.others.log_prob(points.residuals[:, index]).where(other, 0.0)
        return total
