"""Columns that are sums of others: what is left of them, and the ends that it does not leave them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.flags import find_sums_of_flags
from flowcli.table.inference.inequalities import FEWEST_BELOW, share_below_zero
from flowcli.table.inference.lattice import Written
from flowcli.table.inference.relations import Relation, find_relations, on_grid, remainder
from flowcli.table.inference.value_distribution import (
    values_of,
)
from flowcli.table.schema import Column
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.texts import is_boolean

Numbers = NDArray[np.float64]

# Of a column's spread: how exactly a sum of columns has to be another, where no lattice tells.
RELATION_NOISE = 1e-5
# A remainder that fewer rows have is one of the others.
REMAINDER_ROWS, REMAINDER_SHARE = 10, 5e-4


def sums_of_columns(
    names: Sequence[str], values: Numbers, written: Sequence[Written], spoken_for: set[str]
) -> list[Relation]:
    """Return columns that are sums of others, among those that nothing was said about."""
    numeric = values.copy()
    for index, how in enumerate(written):
        if how.levels and not is_boolean(how.levels):
            numeric[:, index] = np.nan
    targets = [index for index, name in enumerate(names) if name not in spoken_for]
    flags = [index for index, cells in enumerate(numeric.T) if np.array_equal(np.unique(cells), [0.0, 1.0])]
    sums_of_flags = find_sums_of_flags(numeric, flags, targets)
    finest = [1.0 if how.levels else how.finest for how in written]
    noise = [None if how.levels else _noise_of(cells) for how, cells in zip(written, values.T, strict=True)]
    numbers = [index for index in targets if not (written[index].levels or written[index].words)]
    exact = find_relations(numeric, finest, [index for index in numbers if finest[index] is not None], sums_of_flags)
    # What was computed with the digits of a float32 is no sum to the digit.
    coarse = [
        step if own is None or (step or 0.0) > 100 * own else None for step, own in zip(noise, finest, strict=True)
    ]
    return find_relations(numeric, coarse, [index for index in numbers if coarse[index] is not None], exact)


def _noise_of(cells: Numbers) -> float | None:
    """Return a power of ten that no relation between numbers (N,) without a lattice needs to be exact below."""
    numbers = cells[~np.isnan(cells)]
    scale = float(np.subtract(*np.quantile(numbers, [0.95, 0.05]))) if len(numbers) else 0.0
    return 10.0 ** math.floor(math.log10(RELATION_NOISE * scale)) if scale > 0 and math.isfinite(scale) else None


def of_remainder(column: Column, values: Numbers, relation: Relation, names: Sequence[str]) -> Column:
    """Return a column that is a sum of others, but for a few rows: what is left is described."""
    remaining = remainder(values, relation.target, relation.parts, relation.step)
    remaining = remaining[~np.isnan(remaining)]
    found = values_of(remaining)
    column = replace(
        column, step=relation.step, subtracted_columns=tuple((names[index], factor) for index, factor in relation.parts)
    )
    if len(found.values) == 1:
        return replace(column, kind="constant", value=float(found.values[0]))
    if relation.rounding:
        middle = found.values[np.argmax(found.counts)]
        reach = len(relation.parts) // 2 * relation.step  # farther out than that rounding leads next to never
        first, last = min(found.values[0], middle - reach), max(found.values[-1], middle + reach)
        steps = np.arange(round((last - first) / relation.step) + 1)
        return replace(
            column, kind="discrete", values=tuple(on_grid(first + relation.step * steps, relation.step).tolist())
        )
    usual = found.counts >= max(REMAINDER_ROWS, REMAINDER_SHARE * len(remaining))
    values_left = tuple(found.values[usual].tolist())
    return replace(column, kind="discrete", values=values_left, has_unseen_values=not usual.all())


def with_ends(column: Column, values: Numbers, relation: Relation) -> Column:
    """Return a column that is a sum of others, with the ends that it does not leave itself.

    Among amounts, a share of a whole is never below zero, nor is a difference if that is felt: of a normal with the
    same mean and deviation, many rows would be.
    """
    cells = values[:, relation.target]
    cells = cells[~np.isnan(cells)]
    if np.array_equal(np.unique(cells), [0.0, 1.0]):
        return replace(column, least=0.0, most=1.0)
    if (column.format is not None and is_date(column.format)) or not _are_amounts(values, relation):
        return column
    felt = share_below_zero(cells) * len(cells) >= FEWEST_BELOW
    return replace(column, least=0.0) if felt or is_whole(values, relation) else column


def is_whole(values: Numbers, relation: Relation) -> bool:
    """Return whether a column and its parts are the shares of a constant whole."""
    if not _are_amounts(values, relation) or any(factor >= 0 for _, factor in relation.parts):
        return False
    return bool(np.nanmin(remainder(values, relation.target, relation.parts, relation.step)) > 0)


def _are_amounts(values: Numbers, relation: Relation) -> bool:
    """Return whether all columns of a sum of at least two others are nowhere below zero."""
    taking_part = [relation.target, *(part for part, _ in relation.parts)]
    return len(relation.parts) >= 2 and bool(np.nanmin(values[:, taking_part]) >= 0)


def shown_sum(column: Column) -> str:
    """Return the sum that is taken from a column, in words: ``small_bags + 2 large_bags``, ``1 - web - shop``."""
    terms = [
        (factor, name if abs(factor) == 1 else f"{abs(factor):g} {name}") for name, factor in column.subtracted_columns
    ]
    constant = column.value if column.kind == "constant" else column.values[len(column.values) // 2]
    if constant:
        terms.append((constant, f"{abs(constant):g}"))
    positive_first = sorted(terms, key=lambda term: term[0] < 0)
    text = "".join(f" {'-' if number < 0 else '+'} {shown}" for number, shown in positive_first)
    return text[3:] if positive_first[0][0] > 0 else f"-{text[3:]}"
