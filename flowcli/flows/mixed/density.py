"""Rows of codes, angles and coordinates: one density for all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowcli.flows.conditioners import Network
from flowcli.flows.context import Context
from flowcli.flows.flow import Flow
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.flows.mixed.circular import CircularDensity


@dataclass(frozen=True)
class Layout:
    """What stands where in a row of W = D + A + V + C numbers: coordinates, angles, codes and features, in this order.

    Attributes:
        coordinates: D, the number of continuous columns.
        angles: A, the number of circular columns.
        outcome_counts: How many outcomes each of the V codes has, (V,).
        context_features: C, the number of features that describe the conditioning columns.
        coordinate_codes: For each coordinate the code whose outcome 0 says that it is observed, (D,); ``None`` where it
            always is.
        angle_codes: For each angle such a code, (A,).
    """

    coordinates: int
    angles: int = 0
    outcome_counts: tuple[int, ...] = ()
    context_features: int = 0
    coordinate_codes: tuple[int | None, ...] = ()
    angle_codes: tuple[int | None, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether a row is coordinates and nothing else."""
        return not (self.angles or self.outcome_counts or self.context_features)

    @property
    def incomplete(self) -> bool:
        """Whether there are rows in which some coordinate is not observed."""
        return any(code is not None for code in self.coordinate_codes)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Coordinates (B, D), angles (B, A), codes (B, V) as whole numbers, and context features (B, C)."""
        sizes = [self.coordinates, self.angles, len(self.outcome_counts), self.context_features]
        coordinates, angles, codes, features = torch.split(rows, sizes, dim=1)
        return coordinates, angles, codes.long(), features


class Contexts(NamedTuple):
    """What each part of a row depends on besides itself."""

    codes: Context
    angles: Context
    coordinates: Context


class MixedTerms(NamedTuple):
    """The terms of a row's log-density: their sum without the latents, (B, D), and (B,) each."""

    latents: Tensor
    base_log_prob: Tensor
    log_det: Tensor
    angles_log_prob: Tensor
    codes_log_prob: Tensor

    @property
    def log_prob(self) -> Tensor:
        """The log-density, (B,)."""
        return self.base_log_prob + self.log_det + self.angles_log_prob + self.codes_log_prob


class MixedDensity(nn.Module):
    """log p(row) = log P(codes | given) + log p(angles | given, codes) + log p(coordinates | given, codes, angles).

    Args:
        layout: What a row consists of.
        flow: The density of the coordinates; ``None`` where there are none.
        angles: That of the angles.
        codes: That of the codes.
    """

    def __init__(
        self,
        layout: Layout,
        flow: Flow | None,
        angles: CircularDensity | None = None,
        codes: CategoricalDensity | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.flow, self.angles, self.codes = flow, angles, codes

    def freeze(self) -> MixedDensity:
        """Ready the density for use: no dropout, no gradients, and what every use of its networks needs made once."""
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, Network):
                module.freeze()
        return self

    @property
    def parts(self) -> list[nn.Module]:
        """The densities that make up this one, which share no weights."""
        return [part for part in (self.codes, self.angles, self.flow) if part is not None]

    def log_prob(self, rows: Tensor) -> Tensor:
        """Return log-density of rows laid out as ``layout`` says, in nats, (B,)."""
        if self.layout.plain and self.flow is not None:
            return self.flow.log_prob(rows)
        return self.log_probs(rows).sum(0)

    def log_probs(self, rows: Tensor) -> Tensor:
        """Return the log-density of each of the parts, (parts, B)."""
        coordinates, angles, codes, features = self.layout.split(rows)
        contexts, hot = self._contexts(angles, codes, features)
        parts = []
        if self.codes is not None:
            parts.append(self.codes.log_prob(hot, contexts.codes))
        if self.angles is not None:
            parts.append(self.angles.log_prob(angles, contexts.angles))
        if self.flow is not None:
            parts.append(self.flow.log_prob(coordinates, contexts.coordinates))
        return torch.stack(parts) if parts else rows.new_zeros(0, len(rows))

    def context(self, rows: Tensor) -> Context:
        """Return what the density of the coordinates of rows (B, W) depends on besides them."""
        return self.contexts(rows).coordinates

    def contexts(self, rows: Tensor) -> Contexts:
        """Return what each part of rows (B, W) depends on besides itself."""
        _, angles, codes, features = self.layout.split(rows)
        return self._contexts(angles, codes, features)[0]

    def terms(self, rows: Tensor) -> MixedTerms:
        """Return the terms of that sum."""
        coordinates, angles, codes, features = self.layout.split(rows)
        contexts, hot = self._contexts(angles, codes, features)
        nothing = rows.new_zeros(len(rows))
        z, log_det, base_log_prob = coordinates, nothing, nothing
        if self.flow is not None:
            z, log_det = self.flow(coordinates, contexts.coordinates)
            base_log_prob = self.flow.base.log_prob(z, self.flow.output_context(contexts.coordinates))
        return MixedTerms(
            z,
            base_log_prob,
            log_det,
            nothing if self.angles is None else self.angles.log_prob(angles, contexts.angles),
            nothing if self.codes is None else self.codes.log_prob(hot, contexts.codes),
        )

    @torch.no_grad()
    def sample_before(self, rows: int, generator: torch.Generator, features: Tensor) -> tuple[Tensor, Tensor, Context]:
        """Draw what comes before the coordinates: angles (rows, A), codes (rows, V), and the coordinates' context."""
        codes = torch.zeros(rows, len(self.layout.outcome_counts), dtype=torch.long, device=features.device)
        angles = features.new_zeros(rows, self.layout.angles)
        if self.codes is not None:
            codes = self.codes.sample(rows, generator, self._contexts(angles, codes, features)[0].codes)
        if self.angles is not None:
            angles = self.angles.sample(rows, generator, self._contexts(angles, codes, features)[0].angles)
        return angles, codes, self._contexts(angles, codes, features)[0].coordinates

    def _contexts(self, angles: Tensor, codes: Tensor, features: Tensor) -> tuple[Contexts, Tensor]:
        """Return what each part depends on, and the codes one-hot."""
        layout, known = self.layout, [features.t()] if self.layout.context_features else []
        of_codes = _context(known)
        hot = features.new_zeros(0, len(features))
        if self.codes is not None:
            hot = self.codes.one_hot(codes)
            known = [*known, self.codes.one_hot.described(hot)]
        of_angles = _context(known, _observed(layout.angle_codes, codes, features))
        if self.angles is not None:
            known = [*known, self.angles.described(angles, of_angles)]
        of_coordinates = _context(known, _observed(layout.coordinate_codes, codes, features))
        return Contexts(of_codes, of_angles, of_coordinates), hot


def _context(known: list[Tensor], observed: Tensor | None = None) -> Context:
    return Context(torch.cat(known).t() if known else None, observed)


def _observed(owners: tuple[int | None, ...], codes: Tensor, like: Tensor) -> Tensor | None:
    """Return which of some columns are observed, (B, columns); ``None`` where all always are."""
    if all(owner is None for owner in owners):
        return None
    ones = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
    return torch.stack([ones if owner is None else codes[:, owner] == 0 for owner in owners], 1).to(like)
