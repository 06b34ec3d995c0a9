"""Columns that are never below another one, where what they lie above it by is easier to model."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.any_step import Lattice
from flowcli.table.inference.by_values import discrete, on_lattice
from flowcli.table.inference.copula_gain import gain_of_difference
from flowcli.table.inference.inequalities import Inequality, find_inequalities
from flowcli.table.inference.lattice import REPEATED, Written, find_lattice, repeated
from flowcli.table.inference.relations import difference
from flowcli.table.inference.value_distribution import (
    ATOM_ROWS,
    atom_of,
    is_discrete,
    is_positive,
    values_of,
)
from flowcli.table.schema import Column
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.dates import DateFormat

Numbers = NDArray[np.float64]

# Nats a row: a column that is never below another one is modelled as the difference if that is so much easier.
LEAST_GAIN = 0.03


def ordered_columns(
    columns: Sequence[Column], values: Numbers, written: Sequence[Written], spoken_for: set[str]
) -> list[Inequality]:
    """Return which columns are never below others, among those that nothing was said about."""
    taking_part = [
        index
        for index, column in enumerate(columns)
        if column.kind in ("real", "positive", "bounded", "discrete")
        and not (column.has_gaps or column.subtracted_columns or column.name in spoken_for)
    ]

    def comparable(low: int, high: int) -> bool:
        own, other = columns[high], columns[low]
        if own.kind == "bounded" or _unit(own) != _unit(other):  # a difference would lose the upper bound, ...
            return False
        if math.isfinite(_least(own)) and not math.isfinite(_least(other)) and values[:, low].min() >= 0:
            return False  # ... or the lower one
        steps = [column.step or how.finest for column, how in ((other, written[low]), (own, written[high]))]
        if steps[0] is None or steps[1] is None:
            return steps[0] is steps[1]
        multiple = round(steps[0] / steps[1])
        return multiple >= 1 and abs(steps[0] - multiple * steps[1]) <= 1e-6 * steps[1]

    dates = {index for index in taking_part if is_date(columns[index].format or "#")}
    return find_inequalities(values, taking_part, comparable, {*taking_part} - dates)


def of_difference(
    columns: Sequence[Column], values: Numbers, written: Sequence[Written], low: int, high: int
) -> Column | None:
    """Return a column that is never below another one: how far it lies above it is described.

    There is none where a few rows without a lattice have the same number twice, which a density cannot follow.
    """
    own, other = columns[high], columns[low]
    step = _finest_difference(written[low], written[high], own)
    numbers = difference(values[:, low], values[:, high], step)
    zeros = int((numbers == 0).sum())
    lattice = None if step is None else Lattice(step)
    if written[low].finest and written[high].finest:
        decimals = max(written[low].decimals or 0, written[high].decimals or 0)
        how = Written(integer=not decimals, decimals=decimals)
        lattice = (find_lattice(numbers, how) or lattice) if zeros or repeated(numbers) >= REPEATED else None
    if lattice is None and 0 < zeros < ATOM_ROWS:
        return None
    column = Column(
        own.name,
        integer=own.integer,
        decimals=own.decimals,
        format=own.format,
        subtracted_columns=((other.name, 1.0),),
    )
    return _from_other_up(on_lattice(column, lattice), numbers)


def is_easier(difference: Column, columns: Sequence[Column], values: Numbers, high: int) -> bool:
    """Return whether the difference of a column from another is clearly easier to model than the column itself."""
    numeric = [
        index
        for index, column in enumerate(columns)
        if not (
            column.text or column.kind == "constant" or column.subtracted_columns or np.isnan(values[:, index]).any()
        )
    ]
    low = next(index for index, column in enumerate(columns) if column.name == difference.at_least)
    rows = values[:, numeric]
    return gain_of_difference(rows, numeric.index(low), numeric.index(high), difference.step) >= LEAST_GAIN


def _from_other_up(column: Column, numbers: Numbers) -> Column:
    """Return a column of which the differences (N,) from another one are known, and never below zero."""
    found = values_of(numbers)
    lower = 0.0
    if column.step is not None:
        lattice = Lattice(column.step, column.origin % column.step)
        if is_discrete(numbers, found, lattice):
            return replace(discrete(column, numbers), lower=0.0)
        lower = lattice.origin - lattice.step / 2
    if found.values[0] == 0 and (column.step is None or atom_of(numbers, found, column.step) == 0):
        column, numbers = replace(column, atoms=(0.0,)), numbers[numbers != 0]
        lower += column.step or 0.0
    column = replace(column, kind="positive", lower=lower)
    if is_positive(numbers - lower, None):
        return column
    return replace(column, straight_above=float(2.0 ** round(math.log2(numbers.std()))))


def _finest_difference(low: Written, high: Written, column: Column) -> float | None:
    """Return the step of the lattice that all differences between two columns lie on, the higher of them described."""
    return column.step if low.finest is None or high.finest is None else min(low.finest, high.finest)


def _unit(column: Column) -> Hashable:
    """Return what numbers of two columns have in common if they may be compared."""
    if column.format is None or not is_date(column.format):
        return column.format
    form = DateFormat(column.format)
    return form.unit, form.grain


def _least(column: Column) -> float:
    """Return what no number of a column is below."""
    if column.kind == "discrete":
        return column.values[0] if column.values[0] >= 0 or not column.has_unseen_values else -math.inf
    return column.support[0]
