"""From the columns of a table to codes, angles and coordinates, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding.levels import Levels
from flowcli.encoding.standardizer import Standardizer, cell
from flowcli.encoding.unseen_integers import UnseenIntegers
from flowcli.flows import Layout
from flowcli.flows.mixed.one_hot import OneHot
from flowcli.table import as_written
from flowcli.table.inference.relations import off_grid, on_grid
from flowcli.table.schema import Column, Schema


class Encoded(NamedTuple):
    """Rows as a density sees them.

    Attributes:
        codes: (B, V), whole numbers.
        angles: In radians, zero where they are not there, (B, A).
        coordinates: Zero where they are not there, (B, D).
        log_dets: Of each column of the table the logarithms of its derivative, and of what its code's mass is
            multiplied by; minus infinity for what it cannot hold, (B, N_c).
    """

    codes: Tensor
    angles: Tensor
    coordinates: Tensor
    log_dets: Tensor

    @property
    def log_det(self) -> Tensor:
        """The sum over the columns, (B,)."""
        return self.log_dets.sum(1)


class ColumnEncoder:
    """Some of a table's columns, encoded: those that are modelled, or those that are given.

    Args:
        schema: All columns of the table, N_c.
        indices: Which of them are meant.
        coordinates: Of the continuous ones that are no angles.
        spreads: For each of the columns that may hold other numbers how far these lie apart.
    """

    def __init__(
        self, schema: Schema, indices: Sequence[int], coordinates: Standardizer, spreads: Sequence[float] = ()
    ) -> None:
        self.schema, self.indices, self.coordinates, self.spreads = schema, list(indices), coordinates, tuple(spreads)
        residuals = iter(spreads)
        self.outcomes: list[Levels] = []
        self.categorical: list[int] = []  # the columns with a code
        self.continuous, self.circular, self.constant = [], [], []
        for position in indices:
            column = schema.columns[position]
            result = Levels(column, _others(column, next(residuals)) if column.has_unseen_values else None)
            if result.count > 1:
                self.categorical.append(position)
                self.outcomes.append(result)
            if column.kind == "circular":
                self.circular.append(position)
            elif column.continuous:
                self.continuous.append(position)
            elif result.count == 1:
                self.constant.append(position)

    @classmethod
    def fit(cls, schema: Schema, indices: Sequence[int], values: Tensor) -> ColumnEncoder:
        """Fit what is to be fitted to training rows (N, N_c)."""
        residuals = subtract_columns(values, schema)
        spreads = [_spread(residuals[:, p], schema.columns[p]) for p in indices if schema.columns[p].has_unseen_values]
        unfitted = cls(schema, indices, Standardizer((), torch.zeros(0), torch.ones(0)), spreads)
        columns = [schema.columns[position] for position in unfitted.continuous]
        plain = Standardizer.fit(columns, unfitted.numbers(residuals)[:, unfitted.continuous])
        return cls(schema, indices, plain, spreads)

    def with_coordinates(self, coordinates: Standardizer) -> ColumnEncoder:
        """The same with other coordinates."""
        return ColumnEncoder(self.schema, self.indices, coordinates, self.spreads)

    def numbers(self, residuals: Tensor) -> Tensor:
        """The remainders (B, N_c) where they are numbers with a density; NaN for atoms."""
        numbers = residuals.clone()
        for position, outcomes in zip(self.categorical, self.outcomes, strict=True):
            if outcomes.column.continuous:
                numbers[outcomes.codes(residuals[:, position])[0] > 0, position] = math.nan
        return numbers

    def encode(self, residuals: Tensor, spread: Tensor | None = None) -> Encoded:
        """Encode the remainders (B, N_c) of rows.

        Args:
            residuals: What ``subtract_columns`` gives.
            spread: For each row and column the share of its cell at which a rounded number shall lie, (B, N_c); NaN
                leaves it where it is, and ``None`` all of them.
        """
        log_dets = torch.zeros_like(residuals)
        for position in self.constant:
            column = self.schema.columns[position]
            assert column.value is not None
            same = (residuals[:, position] - column.value).abs() <= (column.step or 0.0) * (0.0 if column.text else 0.5)
            log_dets[:, position] = torch.full_like(residuals[:, position], -_per_unit(column)).where(same, -math.inf)
        codes = torch.zeros(len(residuals), len(self.categorical), dtype=torch.long)
        for number, (position, outcomes) in enumerate(zip(self.categorical, self.outcomes, strict=True)):
            codes[:, number], log_dets[:, position] = outcomes.codes(residuals[:, position])
        numbers = self.numbers(residuals)
        if spread is not None:
            numbers, log_shares = self._spread_out(numbers, spread)
            log_dets += log_shares
        turns, log_turns = self._turns(numbers[:, self.circular])
        u, log_slopes = self.coordinates.by_column(self._off_the_edges(numbers)[:, self.continuous])
        log_dets[:, self.circular] += log_turns
        log_dets[:, self.continuous] += log_slopes
        here = (log_dets > -math.inf).all(1, keepdim=True)
        return Encoded(codes.where(here, 0), turns.where(here, 0.0), u.where(here, 0.0), log_dets)

    def decode(self, encoded: Encoded, values: Tensor, generator: torch.Generator) -> None:
        """Write the remainders of encoded rows to values (B, N_c)."""
        for position in self.constant:
            value = self.schema.columns[position].value
            assert value is not None
            values[:, position] = value
        for position, column in zip(self.continuous, self.coordinates.inverse(encoded.coordinates).t(), strict=True):
            values[:, position] = column
        for position, angle in zip(self.circular, encoded.angles.t(), strict=True):
            lower, upper = self.schema.columns[position].support
            values[:, position] = lower + (angle + math.pi) / (2 * math.pi) * (upper - lower)
        for number, (position, outcomes) in enumerate(zip(self.categorical, self.outcomes, strict=True)):
            known = outcomes.values(encoded.codes[:, number], generator)
            anything = (encoded.codes[:, number] == 0) & outcomes.column.continuous
            values[:, position] = torch.where(anything, values[:, position], known)

    @cached_property
    def rounded(self) -> list[int]:
        """The columns whose numbers lie on a grid and have a density."""
        return [position for position in [*self.continuous, *self.circular] if self.schema.columns[position].step]

    def owners(self, indices: Sequence[int]) -> tuple[int | None, ...]:
        """For each of these columns the number of its code, if it has one."""
        return tuple(self.categorical.index(position) if position in self.categorical else None for position in indices)

    def present(self, codes: Tensor, indices: Sequence[int]) -> Tensor:
        """Of which of these continuous columns rows with these codes (B, V) have a number, (B, places)."""
        out = torch.ones(len(codes), len(indices), dtype=torch.bool)
        for position, owner in enumerate(self.owners(indices)):
            if owner is not None:
                out[:, position] = codes[:, owner] == 0
        return out

    def _spread_out(self, numbers: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Rounded numbers moved within their cells, and what a cell that an edge cuts has lost, (B, N_c) each."""
        numbers, log_shares = numbers.clone(), torch.zeros_like(numbers)
        for position in self.rounded:
            column = self.schema.columns[position]
            assert column.step is not None
            low, high = cell(numbers[:, position], column)
            width = ((high - low) / column.step).nan_to_num(1.0)
            stays = share[:, position].isnan()
            log_shares[:, position] = torch.log(torch.where(stays | (width > 1 - 1e-6), 1.0, width.clamp_min(0.0)))
            moved = torch.where(stays, numbers[:, position], torch.lerp(low, high, share[:, position]))
            if column.kind == "circular":
                lower, upper = column.support
                around = lower + torch.remainder(moved - lower, upper - lower)
                here = (numbers[:, position] >= lower) & (numbers[:, position] <= upper)
                moved = torch.where(here, around, numbers[:, position])  # what is no angle of the table stays none
            numbers[:, position] = moved
        return numbers, log_shares

    def _off_the_edges(self, numbers: Tensor) -> Tensor:
        """Rounded numbers on the edge of a support stand for what the edge leaves of their cells."""
        numbers = numbers.clone()
        for position in self.continuous:
            column = self.schema.columns[position]
            if column.step and column.kind != "real":
                x = numbers[:, position]
                low, high = cell(x, column)
                lower, upper = column.support
                numbers[:, position] = torch.where((x == lower) | (x == upper), (low + high) / 2, x)
        return numbers

    def _turns(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Circular columns (B, A) as angles, zero where there is none, and the logarithms of the slopes, (B, A)."""
        angles, log_slopes = torch.zeros_like(values), torch.zeros_like(values)
        for a, position in enumerate(self.circular):
            lower, upper = self.schema.columns[position].support
            x = values[:, a]
            observed, inside = ~x.isnan(), (x >= lower) & (x <= upper)
            angle = (x - lower) / (upper - lower) * 2 * math.pi - math.pi
            angles[:, a] = torch.where(inside, angle, 0.0)
            # Not of two numbers, which torch.where would make a float32 of.
            log_turn = torch.full_like(x, math.log(2 * math.pi / (upper - lower))).where(inside, -math.inf)
            log_slopes[:, a] = log_turn.where(observed, 0.0)
        return angles, log_slopes


class Encoder:
    """All of a table's columns as rows that a ``MixedDensity`` density takes.

    Args:
        schema: The columns.
        modelled: Those that have a density.
        given: Those that it is conditioned on.

    Attributes:
        numbers: For each code of the modelled columns the numbers that its outcomes stand for, of unit scale, or
            ``None``.
    """

    def __init__(self, schema: Schema, modelled: ColumnEncoder, given: ColumnEncoder) -> None:
        self.schema, self.modelled, self.given = schema, modelled, given
        self.numbers, of_given = ([_scaled(outcomes) for outcomes in part.outcomes] for part in (modelled, given))
        self._given_codes = OneHot([o.count for o in given.outcomes], of_given) if given.categorical else None

    @classmethod
    def fit(cls, schema: Schema, values: Tensor) -> Encoder:
        """Fit all that depends on the training rows (N, N_c), but for tails and quantile maps of modelled columns."""
        modelled, given = (ColumnEncoder.fit(schema, indices, values) for indices in divided(schema))
        if given.continuous:  # networks read them best near a normal
            residuals = subtract_columns(values, schema)
            numbers = given.numbers(residuals)[:, given.continuous]
            given = given.with_coordinates(given.coordinates.with_marginal(numbers))
        return cls(schema, modelled, given)

    @property
    def coordinates(self) -> Standardizer:
        """Of the modelled columns."""
        return self.modelled.coordinates

    def with_coordinates(self, coordinates: Standardizer) -> Encoder:
        """The same with other coordinates of the modelled columns."""
        return Encoder(self.schema, self.modelled.with_coordinates(coordinates), self.given)

    @cached_property
    def layout(self) -> Layout:
        """What stands where in a row."""
        modelled, given = self.modelled, self.given
        features = len(given.continuous) + 2 * len(given.circular)
        if self._given_codes is not None:
            features += self._given_codes.features
        return Layout(
            coordinates=len(modelled.continuous),
            angles=len(modelled.circular),
            outcomes=tuple(outcomes.count for outcomes in modelled.outcomes),
            given=features,
            coordinate_codes=modelled.owners(modelled.continuous),
            angle_codes=modelled.owners(modelled.circular),
        )

    @property
    def rounded(self) -> list[int]:
        """The modelled columns whose numbers lie on a grid and have a density."""
        return self.modelled.rounded

    def line(self, values: Tensor, spread: Tensor | None = None) -> Tensor:
        """The numbers that coordinates are made of, for fitting these, (B, D); NaN where there is none."""
        numbers = self.modelled.numbers(subtract_columns(values, self.schema))
        if spread is not None:
            numbers, _ = self.modelled._spread_out(numbers, spread)
        return self.modelled._off_the_edges(numbers)[:, self.modelled.continuous]

    def forward(self, values: Tensor, spread: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rows laid out as ``layout`` says (B, W), and the log-det (B,) of values (B, N_c).

        Args:
            values: The table's rows.
            spread: Where in their cells rounded numbers shall lie, as shares, (B, N_c).
        """
        return self.laid_out(subtract_columns(values, self.schema), spread)

    def laid_out(self, residuals: Tensor, spread: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Lay out residuals (B, N_c) of rows; see ``forward``. NaN in ``spread`` leaves a number where it is."""
        encoded = self.modelled.encode(residuals, spread)
        features, known = self._features(residuals)
        parts = [encoded.coordinates, encoded.angles, encoded.codes.double(), features]
        # Of what is given and cannot be, nothing is known that anything could be the likelier for.
        return torch.cat(parts, 1), torch.where(known, encoded.log_det, -math.inf)

    def features(self, values: Tensor) -> Tensor:
        """The given columns of rows (B, N_c) as numbers that networks read, (B, C)."""
        return self._features(subtract_columns(values, self.schema))[0]

    def plausible_given(self, rows: int, random: np.random.Generator) -> NDArray[np.float64] | None:
        """Values of the given columns that might be, each drawn by itself, (rows, N_c); ``None`` without any."""
        given = self.given
        if not given.indices:
            return None
        codes = [random.integers(outcomes.count, size=rows) for outcomes in given.outcomes]
        angles = random.uniform(-math.pi, math.pi, (rows, len(given.circular)))
        coordinates = random.standard_normal((rows, len(given.continuous)))
        values = torch.full((rows, len(self.schema.columns)), math.nan, dtype=torch.float64)
        encoded = Encoded(
            torch.from_numpy(np.stack(codes, 1)) if codes else torch.zeros(rows, 0, dtype=torch.long),
            torch.from_numpy(angles),
            torch.from_numpy(coordinates),
            torch.zeros_like(values),
        )
        given.decode(encoded, values, torch.Generator().manual_seed(int(random.integers(2**31))))
        return np.asarray(as_written(values.numpy(), self.schema))

    def holds(self, residuals: Tensor) -> Tensor:
        """Which values of rows (B, N_c), given as remainders, their columns can hold, what is given too."""
        both = (part.encode(residuals).log_dets > -math.inf for part in (self.modelled, self.given))
        return torch.stack(list(both)).all(0)

    def _features(self, residuals: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.given.encode(residuals)
        parts = [encoded.coordinates]
        observed = ~self.given.numbers(residuals)[:, self.given.circular].isnan()
        for trigonometry in (torch.cos, torch.sin):
            parts.append(trigonometry(encoded.angles) * observed)
        if self._given_codes is not None:
            one_hot = self._given_codes
            parts.append(one_hot.described(one_hot(encoded.codes)).t().double())
        return torch.cat(parts, 1), encoded.log_det > -math.inf

    def has_numbers(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows (B, N_c) have a number of a continuous column, (B,), and which have one that is not rounded."""
        indices = [*self.modelled.continuous, *self.modelled.circular]
        observed = ~self.modelled.numbers(subtract_columns(values, self.schema)).isnan()
        return observed[:, indices].any(1), observed[
            :, [position for position in indices if position not in self.rounded]
        ].any(1)

    def codes(self, values: Tensor) -> Tensor:
        """The codes (B, V) of rows (B, N_c)."""
        return self.modelled.encode(subtract_columns(values, self.schema)).codes

    def possible(self, values: Tensor) -> Tensor:
        """Which rows (B, N_c) the columns can hold at all, (B,)."""
        return self.forward(values)[1] > -math.inf

    def inverse(
        self, coordinates: Tensor, angles: Tensor, codes: Tensor, given: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The rows (B, N_c) of coordinates (B, D), angles (B, A) and codes (B, V), beside given values (B, N_c)."""
        residuals = given.clone()
        self.modelled.decode(Encoded(codes, angles, coordinates, torch.zeros_like(residuals)), residuals, generator)
        return self.written(residuals)

    def written(self, residuals: Tensor) -> Tensor:
        """Return the rows of residuals (B, N_c), in which the parts of totals are as their table writes them."""
        values = residuals.clone()
        waiting = list(_after_their_parts(self.schema))
        if waiting:  # a total is one of what is written
            for position in set(self.modelled.indices).difference(waiting):
                values[:, position] = _written(values[:, position], self.schema.columns[position])
        for position in waiting:
            column = self.schema.columns[position]
            assert column.step is not None
            taken = torch.zeros_like(values[:, position])
            for name, factor in column.subtracted_columns:
                taken += factor * values[:, self.schema.names.index(name)]
            total = torch.from_numpy(off_grid(values[:, position].numpy(), taken.numpy(), column.step))
            values[:, position] = _written(total, column)
        return values


def _written(values: Tensor, column: Column) -> Tensor:
    """The values (B,) of a column as its table writes them."""
    return torch.from_numpy(as_written(values[:, None].numpy(), Schema((column,)))[:, 0])


def divided(schema: Schema) -> tuple[list[int], list[int]]:
    """The columns that are modelled, and those that are given."""
    indices = range(len(schema.columns))
    return [p for p in indices if not schema.columns[p].given], [p for p in indices if schema.columns[p].given]


def subtract_columns(values: Tensor, schema: Schema) -> Tensor:
    """Rows (B, N_c) less what is taken from their columns, on the grids of what is left."""
    if not any(column.subtracted_columns for column in schema.columns):
        return values
    residuals, names = values.clone(), schema.names
    for position, column in enumerate(schema.columns):
        for name, factor in column.subtracted_columns:
            residuals[:, position] -= factor * values[:, names.index(name)]
        if column.subtracted_columns and column.step:
            residuals[:, position] = torch.from_numpy(on_grid(residuals[:, position].numpy(), column.step))
    return residuals


def _after_their_parts(schema: Schema) -> Iterator[int]:
    """The columns that have something taken from them, each after those that are taken."""
    names, waiting = (
        schema.names,
        {position for position, column in enumerate(schema.columns) if column.subtracted_columns},
    )
    while waiting:
        ready = [
            p
            for p in sorted(waiting)
            if not any(names.index(name) in waiting for name, _ in schema.columns[p].subtracted_columns)
        ]
        assert ready, "columns are taken from each other in a circle"
        yield from ready
        waiting.difference_update(ready)


def _per_unit(column: Column) -> float:
    """The logarithm of the step that a constant's mass is divided by."""
    return math.log(column.step) if column.step and not column.text else 0.0


def _others(column: Column, spread: float) -> UnseenIntegers:
    """Where the further numbers of a discrete column lie."""
    signed = bool(column.subtracted_columns) or column.values[0] < 0
    return UnseenIntegers(column.values, column.step or 1.0, spread, signed=signed)


def _spread(x: Tensor, column: Column) -> float:
    """How far the numbers (N,) of a discrete column that have no outcome of their own are from its middle one."""
    middle = column.values[len(column.values) // 2]
    _, log_mass = Levels(replace(column, has_unseen_values=False, missing=False)).codes(x)
    far = (x[(log_mass == -math.inf) & ~x.isnan()] - middle).abs()
    reach = float(far.median()) if len(far) else (column.values[-1] - column.values[0]) / 2
    return max(reach, column.step or 1.0)


def _scaled(outcomes: Levels) -> Tensor | None:
    """The numbers that outcomes stand for, centred and of unit scale; zero for those that stand for none."""
    numbers = outcomes.numbers()
    if numbers is None:
        return None
    own = numbers[~numbers.isnan()]
    spread = float(own.std()) if len(own) > 1 else 1.0
    return ((numbers - own.mean()) / (spread or 1.0)).nan_to_num(0.0)
