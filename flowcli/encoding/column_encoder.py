"""Columns of a table as codes, angles and coordinates, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from flowcli.encoding.levels import Levels
from flowcli.encoding.season import Season, season_of
from flowcli.encoding.standardizer import Standardizer, rounding_interval
from flowcli.encoding.unseen_integers import UnseenIntegers
from flowcli.table.schema import Column, Schema
from flowcli.table.values.support import log_shares

NEXT_TO_EDGE = 1e-6  # of a bounded column's width


class Encoded(NamedTuple):
    """Rows as a density reads them.

    Attributes:
        codes: Outcomes of columns with probabilities, (B, V), whole numbers.
        angles: In radians, zero where there is none, (B, A).
        coordinates: Of continuous columns, zero where there is none, (B, D).
        log_dets: For each column of the table the logarithm of its derivative, plus that of what its code's mass is
            multiplied by; minus infinity for a value that the column cannot hold, (B, N_c).
    """

    codes: Tensor
    angles: Tensor
    coordinates: Tensor
    log_dets: Tensor

    @property
    def log_det(self) -> Tensor:
        """The sum over the columns, (B,)."""
        return self.log_dets.sum(1)


class Prepared(NamedTuple):
    """What encoding makes of residual rows before any number is mapped; the same whatever the maps are.

    Attributes:
        residuals: The rows, (B, N_c).
        codes: Their outcomes, -1 where no outcome is possible, (B, V).
        numbers: The residuals that have a density, NaN for atoms and missing cells, (B, N_c); of dates with a season
            how far they are along it.
        log_lattice: Of numbers of a rounded column, the logarithm of the probability with which they lie on its lattice
            or off it, as they do, (B, N_c).
    """

    residuals: Tensor
    codes: Tensor
    numbers: Tensor
    log_lattice: Tensor

    def select(self, rows: Tensor) -> Prepared:
        """Return some of the rows, by a mask or by their numbers."""
        return Prepared(*(part[rows] for part in self))


class ColumnEncoder:
    """Encodes some of a table's columns: the modelled ones, or those that the density is conditioned on.

    Args:
        schema: All columns of the table, N_c.
        indices: Which of them are encoded.
        coordinates: The map of the continuous ones that are no angles.
        spreads: For each column with unseen values how far these lie from the middle.

    Attributes:
        with_codes: The indices of columns with a code: categories, discrete numbers, dates of which the day of the week
            is known first, and any column with atoms or missing cells.
        outcomes: What the codes of these mean.
        continuous: The indices of columns with a coordinate.
        circular: The indices of columns with an angle.
        constant: The indices of columns with one possible value.
    """

    def __init__(
        self, schema: Schema, indices: Sequence[int], coordinates: Standardizer, spreads: Sequence[float] = ()
    ) -> None:
        self.schema, self.indices, self.coordinates, self.spreads = schema, list(indices), coordinates, tuple(spreads)
        remaining = iter(spreads)
        self.with_codes: list[int] = []
        self.outcomes: list[Levels | Season] = []
        self.continuous: list[int] = []
        self.circular: list[int] = []
        self.constant: list[int] = []
        for index in indices:
            column = schema.columns[index]
            levels: Levels | Season
            if column.seasonal_period is None:
                levels = Levels(column, _unseen(column, next(remaining)) if column.has_unseen_values else None)
            else:
                levels = season_of(column)
            if levels.count > 1:
                self.with_codes.append(index)
                self.outcomes.append(levels)
            if column.kind == "circular":
                self.circular.append(index)
            elif column.continuous:
                self.continuous.append(index)
            elif levels.count == 1:
                self.constant.append(index)

    @classmethod
    def unfitted(cls, schema: Schema, indices: Sequence[int]) -> ColumnEncoder:
        """Return an encoder that can prepare rows, and has no maps yet."""
        count = sum(schema.columns[index].has_unseen_values for index in indices)
        return cls(schema, indices, Standardizer((), torch.zeros(0), torch.ones(0)), [1.0] * count)

    def fitted(self, prepared: Prepared) -> ColumnEncoder:
        """Return an encoder with centres, scales and spreads of unseen values fitted to prepared rows (N, N_c)."""
        columns = self.schema.columns
        with_unseen = [index for index in self.indices if columns[index].has_unseen_values]
        spreads = [_scale_of_unseen(prepared.residuals[:, index], columns[index]) for index in with_unseen]
        continuous = [columns[index] for index in self.continuous]
        plain = Standardizer.fit(continuous, prepared.numbers[:, self.continuous])
        return ColumnEncoder(self.schema, self.indices, plain, spreads)

    def with_coordinates(self, coordinates: Standardizer) -> ColumnEncoder:
        """Return this encoder with another map of the continuous columns."""
        return ColumnEncoder(self.schema, self.indices, coordinates, self.spreads)

    def prepare(self, residuals: Tensor, *, written: bool = True) -> Prepared:
        """Find the outcomes of residual rows (B, N_c), and which of their values are numbers with a density.

        Args:
            residuals: The residual rows.
            written: Whether these are rows of a table, in which a number off its column's lattice cannot be; if not,
                rounded numbers may be any points of their intervals.
        """
        codes = torch.zeros(len(residuals), len(self.with_codes), dtype=torch.long)
        numbers = residuals.clone()
        for number, (index, levels) in enumerate(zip(self.with_codes, self.outcomes, strict=True)):
            codes[:, number] = levels.codes(residuals[:, index])
            if isinstance(levels, Season):
                numbers[:, index] = levels.forward(residuals[:, index])
            elif levels.column.continuous:
                numbers[codes[:, number] > 0, index] = math.nan
        log_lattice = torch.zeros_like(numbers)
        for index in self.rounded:
            column = self.schema.columns[index]
            # Of what is given no density is asked, and networks read numbers in between.
            if written and not column.given:
                cells = residuals[:, index].where(~numbers[:, index].isnan(), math.nan)
                log_lattice[:, index] = torch.from_numpy(log_shares(column, cells.numpy()))
        return Prepared(residuals, codes, numbers, log_lattice)

    def encode(self, rows: Tensor | Prepared, shares: Tensor | None = None) -> Encoded:
        """Encode residual rows (B, N_c).

        Args:
            rows: The residual rows, in which rounded numbers may be any points of their intervals, or what ``prepare``
                made of them.
            shares: For each row and column the share of its rounding interval at which a rounded number lies, (B, N_c);
                NaN leaves a number where it is, and ``None`` all of them.
        """
        prepared = rows if isinstance(rows, Prepared) else self.prepare(rows, written=False)
        residuals, codes, numbers, log_lattice = prepared
        log_dets = torch.zeros_like(residuals)
        for index in self.constant:
            column = self.schema.columns[index]
            assert column.value is not None
            same = (residuals[:, index] - column.value).abs() <= column.tolerance
            log_dets[:, index] = torch.full_like(residuals[:, index], -column.log_mass_unit).where(same, -math.inf)
        for number, (index, levels) in enumerate(zip(self.with_codes, self.outcomes, strict=True)):
            log_dets[:, index] = levels.log_masses(codes[:, number], residuals[:, index])
        if shares is not None:
            numbers, log_shares = self._dequantized(prepared, shares)
            log_dets += log_shares
        angles, log_slopes = self._angles(numbers[:, self.circular])
        log_dets[:, self.circular] += log_slopes
        u, log_slopes = self.coordinates.by_column(self.off_the_edges(numbers)[:, self.continuous])
        log_dets[:, self.continuous] += log_slopes
        log_dets = torch.where(log_lattice > -math.inf, log_dets + log_lattice, -math.inf)
        possible = (log_dets > -math.inf).all(1, keepdim=True)
        return Encoded(codes.where(possible, 0), angles.where(possible, 0.0), u.where(possible, 0.0), log_dets)

    def decode(self, encoded: Encoded, residuals: Tensor, generator: torch.Generator) -> None:
        """Write the residual values of encoded rows into some residual rows (B, N_c), in place."""
        for index in self.constant:
            value = self.schema.columns[index].value
            assert value is not None
            residuals[:, index] = value
        for index, numbers in zip(self.continuous, self.coordinates.inverse(encoded.coordinates).t(), strict=True):
            residuals[:, index] = numbers
        for index, angle in zip(self.circular, encoded.angles.t(), strict=True):
            lower, upper = self.schema.columns[index].support
            residuals[:, index] = lower + (angle + math.pi) / (2 * math.pi) * (upper - lower)
        for number, (index, levels) in enumerate(zip(self.with_codes, self.outcomes, strict=True)):
            if isinstance(levels, Season):
                residuals[:, index] = levels.inverse(residuals[:, index], encoded.codes[:, number])
                continue
            values = levels.values(encoded.codes[:, number], generator)
            is_number = (encoded.codes[:, number] == 0) & levels.column.continuous
            residuals[:, index] = torch.where(is_number, residuals[:, index], values)

    def continuous_numbers(self, prepared: Prepared, shares: Tensor | None = None) -> Tensor:
        """Return the numbers that coordinates are made of, (B, D), NaN where there is none, to fit their maps to."""
        numbers = prepared.numbers if shares is None else self._dequantized(prepared, shares)[0]
        return self.off_the_edges(numbers)[:, self.continuous]

    @cached_property
    def rounded(self) -> list[int]:
        """The indices of columns with a density whose numbers lie on a lattice."""
        return [index for index in [*self.continuous, *self.circular] if self.schema.columns[index].step]

    def owners(self, indices: Sequence[int]) -> tuple[int | None, ...]:
        """Return for each of these columns the number of the code that says whether it is a number, if it has one."""
        codes = {index: number for number, index in enumerate(self.with_codes)}
        owned = {index for index, outcomes in zip(codes, self.outcomes, strict=True) if isinstance(outcomes, Levels)}
        return tuple(codes[index] if index in owned else None for index in indices)

    def present(self, codes: Tensor, indices: Sequence[int]) -> Tensor:
        """Return of which of some continuous columns rows with these codes (B, V) have a number, (B, indices)."""
        out = torch.ones(len(codes), len(indices), dtype=torch.bool)
        for number, owner in enumerate(self.owners(indices)):
            if owner is not None:
                out[:, number] = codes[:, owner] == 0
        return out

    def _dequantized(self, prepared: Prepared, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Move rounded numbers within their intervals; return them and the logarithms of what edges leave of these."""
        numbers, log_shares = prepared.numbers.clone(), torch.zeros_like(prepared.numbers)
        for index in self.rounded:
            column, own = self.schema.columns[index], shares[:, index]
            assert column.step is not None
            if column.seasonal_period is not None:
                low, high = self._season(index).interval(prepared.residuals[:, index], numbers[:, index])
                numbers[:, index] = torch.where(own.isnan(), numbers[:, index], torch.lerp(low, high, own))
                continue
            low, high = rounding_interval(numbers[:, index], column)
            width = ((high - low) / column.step).nan_to_num(1.0)
            stays = own.isnan()
            log_shares[:, index] = torch.log(torch.where(stays | (width > 1 - 1e-6), 1.0, width.clamp_min(0.0)))
            moved = torch.where(stays, numbers[:, index], torch.lerp(low, high, own))
            if column.kind == "circular":
                lower, upper = column.support
                around = lower + torch.remainder(moved - lower, upper - lower)
                inside = (numbers[:, index] >= lower) & (numbers[:, index] <= upper)
                moved = torch.where(inside, around, numbers[:, index])  # what is no angle of the table stays none
            numbers[:, index] = moved
        return numbers, log_shares

    def _season(self, index: int) -> Season:
        """Return the outcomes of a column of dates."""
        season = self.outcomes[self.with_codes.index(index)]
        assert isinstance(season, Season)
        return season

    def off_the_edges(self, numbers: Tensor) -> Tensor:
        """Move numbers that lie on the edge of a support into it.

        A rounded one goes to the middle of what the support leaves of its interval, another one of a bounded column as
        far as nobody prints, since a share that is written as 1 was measured as less.
        """
        numbers = numbers.clone()
        for index in self.continuous:
            column = self.schema.columns[index]
            x, (lower, upper) = numbers[:, index], column.support
            if column.step and column.kind != "real":
                low, high = rounding_interval(x, column)
                numbers[:, index] = torch.where((x == lower) | (x == upper), (low + high) / 2, x)
            elif column.kind == "bounded":
                inside = NEXT_TO_EDGE * (upper - lower)
                numbers[:, index] = torch.where(x == lower, lower + inside, torch.where(x == upper, upper - inside, x))
        return numbers

    def _angles(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return circular values (B, A) as angles, zero where there is none, and the logarithms of the slopes."""
        angles, log_slopes = torch.zeros_like(values), torch.zeros_like(values)
        for number, index in enumerate(self.circular):
            lower, upper = self.schema.columns[index].support
            x = values[:, number]
            inside = (x >= lower) & (x <= upper)
            angle = (x - lower) / (upper - lower) * 2 * math.pi - math.pi
            angles[:, number] = torch.where(inside, angle, 0.0)
            # Not of two numbers, which torch.where would make a float32 of.
            log_slope = torch.full_like(x, math.log(2 * math.pi / (upper - lower))).where(inside, -math.inf)
            log_slopes[:, number] = log_slope.where(~x.isnan(), 0.0)
        return angles, log_slopes


def _unseen(column: Column, scale_of_unseen: float) -> UnseenIntegers:
    """Return where the unseen values of a discrete column lie."""
    signed = column.values[0] < 0 or bool(column.subtracted_columns and column.at_least is None)
    return UnseenIntegers(
        column.values, column.step or 1.0, column.origin, scale_of_unseen, signed=signed, tolerance=column.tolerance
    )


def _scale_of_unseen(x: Tensor, column: Column) -> float:
    """Return how far those values (N,) of a discrete column that have no outcome of their own lie from its middle."""
    middle = column.values[len(column.values) // 2]
    unseen = (Levels.seen(column).codes(x) < 0) & ~x.isnan()
    distances = (x[unseen] - middle).abs()
    reach = float(distances.median()) if len(distances) else (column.values[-1] - column.values[0]) / 2
    return max(reach, column.step or 1.0)
