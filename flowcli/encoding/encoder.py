"""Rows of a table as rows that a density of categories, angles and coordinates reads, and back."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding.column_encoder import ColumnEncoder, Encoded, Prepared
from flowcli.encoding.levels import Levels
from flowcli.encoding.relations import Relations
from flowcli.encoding.season import Season
from flowcli.encoding.standardizer import Standardizer
from flowcli.flows import Layout
from flowcli.flows.mixed.one_hot import OneHot
from flowcli.table import as_written
from flowcli.table.schema import Schema


class PreparedRows(NamedTuple):
    """Residual rows as ``Encoder.prepare`` leaves them: all of encoding that maps of numbers do not change.

    Attributes:
        modelled: The modelled columns.
        conditioning: The conditioning columns.
        sums: In which rows every sum is one that its column can be, (B,).
    """

    modelled: Prepared
    conditioning: Prepared
    sums: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.modelled.residuals)

    def select(self, rows: Tensor) -> PreparedRows:
        """Return some of the rows, by a mask or by their numbers."""
        return PreparedRows(self.modelled.select(rows), self.conditioning.select(rows), self.sums[rows])


class Encoder:
    """Encodes all of a table's columns as the rows that a ``MixedDensity`` reads.

    Everything here takes and gives *residual rows*, in which no column is a sum of others; ``relations`` makes them of
    a table's rows, and these of them.

    Args:
        schema: The columns, N_c.
        modelled: Encodes the columns that have a density.
        conditioning: Encodes those that it is conditioned on.
        log_possible: The logarithm of how probable rows with possible sums are under what reads the encoded rows.

    Attributes:
        relations: The sums among the columns.
        numbers: For each code of the modelled columns the numbers that its outcomes stand for, of unit scale, or
            ``None``.
    """

    def __init__(
        self, schema: Schema, modelled: ColumnEncoder, conditioning: ColumnEncoder, log_possible: float = 0.0
    ) -> None:
        self.schema, self.modelled, self.conditioning = schema, modelled, conditioning
        self.log_possible = log_possible
        self.relations = Relations(schema)
        self.numbers, of_given = ([_scaled(levels) for levels in part.outcomes] for part in (modelled, conditioning))
        self._given_codes = (
            OneHot([o.count for o in conditioning.outcomes], of_given) if conditioning.with_codes else None
        )

    @classmethod
    def unfitted(cls, schema: Schema) -> Encoder:
        """Return an encoder that can prepare rows, and has no maps yet."""
        modelled, conditioning = (ColumnEncoder.unfitted(schema, indices) for indices in divided(schema))
        return cls(schema, modelled, conditioning)

    @classmethod
    def fit(cls, schema: Schema, rows: Tensor | PreparedRows) -> Encoder:
        """Fit to the residual rows (N, N_c) of a table, or to what ``prepare`` made of them.

        Tails and quantile maps of modelled columns are not fitted here, but by whoever chooses them.
        """
        unfitted = cls.unfitted(schema)
        prepared = rows if isinstance(rows, PreparedRows) else unfitted.prepare(rows)
        modelled, conditioning = (
            unfitted.modelled.fitted(prepared.modelled),
            unfitted.conditioning.fitted(prepared.conditioning),
        )
        if conditioning.continuous:  # networks read them best near a normal
            numbers = prepared.conditioning.numbers[:, conditioning.continuous]
            conditioning = conditioning.with_coordinates(conditioning.coordinates.with_marginal(numbers))
        return cls(schema, modelled, conditioning)

    @property
    def coordinates(self) -> Standardizer:
        """The map of the modelled continuous columns."""
        return self.modelled.coordinates

    def with_coordinates(self, coordinates: Standardizer) -> Encoder:
        """Return this encoder with another map of the modelled continuous columns."""
        return Encoder(self.schema, self.modelled.with_coordinates(coordinates), self.conditioning, self.log_possible)

    def with_log_possible(self, log_possible: float) -> Encoder:
        """Return this encoder for a density that gives rows with possible sums so much probability."""
        return Encoder(self.schema, self.modelled, self.conditioning, log_possible)

    @cached_property
    def layout(self) -> Layout:
        """What a row consists of."""
        modelled, conditioning = self.modelled, self.conditioning
        features = len(conditioning.continuous) + 2 * len(conditioning.circular)
        if self._given_codes is not None:
            features += self._given_codes.features
        return Layout(
            coordinates=len(modelled.continuous),
            angles=len(modelled.circular),
            outcome_counts=tuple(levels.count for levels in modelled.outcomes),
            context_features=features,
            coordinate_codes=modelled.owners(modelled.continuous),
            angle_codes=modelled.owners(modelled.circular),
        )

    @property
    def rounded(self) -> list[int]:
        """The indices of modelled columns with a density whose numbers lie on a lattice."""
        return self.modelled.rounded

    def prepare(self, residuals: Tensor, *, written: bool = True) -> PreparedRows:
        """Encode residual rows (B, N_c) as far as no map of numbers matters, to be encoded several times.

        Args:
            residuals: The residual rows.
            written: Whether these are rows of a table; see ``ColumnEncoder.prepare``.
        """
        modelled, conditioning = (
            part.prepare(residuals, written=written) for part in (self.modelled, self.conditioning)
        )
        return PreparedRows(modelled, conditioning, self.relations.possible(residuals).all(1))

    def continuous_numbers(self, prepared: PreparedRows, shares: Tensor | None = None) -> Tensor:
        """Return the numbers that coordinates are made of, (B, D), NaN where there is none, to fit their maps to."""
        return self.modelled.continuous_numbers(prepared.modelled, shares)

    def forward(self, rows: Tensor | PreparedRows, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode rows.

        Args:
            rows: Residual rows (B, N_c), in which rounded numbers may be any points of their intervals, or what
                ``prepare`` made of rows of a table.
            shares: Where in their intervals rounded numbers lie, as shares, (B, N_c); NaN leaves a number where it is.

        Returns:
            Rows as ``layout`` describes them, (B, W), and the log-det of their encoding, (B,); minus infinity for a row
            that the columns cannot hold.
        """
        prepared = rows if isinstance(rows, PreparedRows) else self.prepare(rows, written=False)
        encoded = self.modelled.encode(prepared.modelled, shares)
        features, possible = self._features(prepared.conditioning)
        parts = [encoded.coordinates, encoded.angles, encoded.codes.double(), features]
        # Where a given value is impossible, nothing can be likely.
        return torch.cat(parts, 1), (encoded.log_det - self.log_possible).where(possible & prepared.sums, -math.inf)

    def features(self, residuals: Tensor) -> Tensor:
        """Return the conditioning columns of residual rows (B, N_c) as numbers that networks read, (B, C)."""
        return self._features(self.conditioning.prepare(residuals))[0]

    def holds(self, residuals: Tensor) -> Tensor:
        """Return which values of the residual rows of a table their columns can hold, (B, N_c)."""
        both = (
            part.encode(part.prepare(residuals)).log_dets > -math.inf for part in (self.modelled, self.conditioning)
        )
        return torch.stack([*both, self.relations.possible(residuals)]).all(0)

    def log_lattice(self, residuals: Tensor) -> Tensor:
        """Return the logarithms of the probabilities with which residuals lie on their lattices or off, (B, N_c)."""
        return self.modelled.prepare(residuals).log_lattice + self.conditioning.prepare(residuals).log_lattice

    def possible(self, rows: Tensor | PreparedRows) -> Tensor:
        """Return which rows the columns can hold, (B,)."""
        return self.forward(rows)[1] > -math.inf

    def has_numbers(self, prepared: PreparedRows) -> tuple[Tensor, Tensor]:
        """Return which rows have a number with a density, (B,), and which have one that is not rounded, (B,)."""
        indices = [*self.modelled.continuous, *self.modelled.circular]
        unrounded = [index for index in indices if index not in self.rounded]
        observed = ~prepared.modelled.numbers.isnan()
        return observed[:, indices].any(1), observed[:, unrounded].any(1)

    def inverse(
        self, coordinates: Tensor, angles: Tensor, codes: Tensor, given_rows: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Decode rows.

        Args:
            coordinates: Of the modelled continuous columns, (B, D).
            angles: Of the modelled circular columns, in radians, (B, A).
            codes: Outcomes of the modelled columns with probabilities, (B, V).
            given_rows: Residual rows (B, N_c), of which the conditioning columns are copied.
            generator: Draws the unseen integers that the last outcome of some columns stands for.

        Returns:
            Residual rows, (B, N_c).
        """
        residuals = given_rows.clone()
        self.modelled.decode(Encoded(codes, angles, coordinates, torch.zeros_like(residuals)), residuals, generator)
        return residuals

    def plausible_given(self, rows: int, random: np.random.Generator) -> NDArray[np.float64] | None:
        """Draw values of each conditioning column by itself, (rows, N_c); ``None`` if there are no such columns."""
        conditioning = self.conditioning
        if not conditioning.indices:
            return None
        codes = [random.integers(levels.count, size=rows) for levels in conditioning.outcomes]
        angles = random.uniform(-math.pi, math.pi, (rows, len(conditioning.circular)))
        coordinates = random.standard_normal((rows, len(conditioning.continuous)))
        values = torch.full((rows, len(self.schema.columns)), math.nan, dtype=torch.float64)
        encoded = Encoded(
            torch.from_numpy(np.stack(codes, 1)) if codes else torch.zeros(rows, 0, dtype=torch.long),
            torch.from_numpy(angles),
            torch.from_numpy(coordinates),
            torch.zeros_like(values),
        )
        conditioning.decode(encoded, values, torch.Generator().manual_seed(int(random.integers(2**31))))
        return np.asarray(as_written(values.numpy(), self.schema))

    def _features(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """Return the features (B, C) of conditioning columns, and which rows these can hold, (B,)."""
        encoded = self.conditioning.encode(prepared)
        observed = ~prepared.numbers[:, self.conditioning.circular].isnan()
        parts = [encoded.coordinates, torch.cos(encoded.angles) * observed, torch.sin(encoded.angles) * observed]
        if self._given_codes is not None:
            one_hot = self._given_codes
            parts.append(one_hot.described(one_hot(encoded.codes)).t().double())
        return torch.cat(parts, 1), encoded.log_det > -math.inf


def divided(schema: Schema) -> tuple[list[int], list[int]]:
    """Return the indices of modelled columns, and those of conditioning ones."""
    indices = range(len(schema.columns))
    return [i for i in indices if not schema.columns[i].given], [i for i in indices if schema.columns[i].given]


def _scaled(levels: Levels | Season) -> Tensor | None:
    """Return the numbers that outcomes stand for, centred and of unit scale; zero for those that stand for none."""
    numbers = levels.numbers()
    if numbers is None:
        return None
    own = numbers[~numbers.isnan()]
    scale = float(own.std()) if len(own) > 1 else 1.0
    return ((numbers - own.mean()) / (scale or 1.0)).nan_to_num(0.0)
