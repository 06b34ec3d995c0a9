"""What a column is by its own values: dates, texts, or numbers of some kind, on a lattice or off it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.inference.any_step import Lattice
from flowcli.table.inference.lattice import REPEATED, Written, find_lattice, repeated
from flowcli.table.inference.left_out import MOST_LEVELS
from flowcli.table.inference.value_distribution import (
    UNSEEN,
    atom_of,
    interval_of,
    is_discrete,
    is_positive,
    linear_below_of,
    straight_above_of,
    values_of,
)
from flowcli.table.schema import Column
from flowcli.table.values.dates import DAY, DateFormat
from flowcli.table.values.numbers import exclude_flag
from flowcli.table.values.texts import is_boolean
from flowcli.text import quoted

Numbers = NDArray[np.float64]


def of_text(column: Column, written: Written, wish: Column | None, source: str | None) -> Column:
    """Return a column of text."""
    if wish is not None and wish.kind != "category":
        raise DataError(
            f"is a column of text (for example {quoted(written.levels[0])}), not {wish.kind}; leave --kind out, or"
            " correct the cells",
            source=source,
            column=column.name,
        )
    levels = len(written.levels)
    if levels > MOST_LEVELS:
        raise DataError(
            f"has {levels:,} texts (for example {quoted(written.levels[0])}), too many for a category; leave it out"
            f" with {exclude_flag([column.name])}",
            source=source,
            column=column.name,
        )
    if levels == 1:
        return replace(column, kind="constant", value=0.0)
    return replace(column, kind="boolean" if is_boolean(written.levels) else "category")


def of_dates(column: Column, numbers: Numbers, written: Written) -> Column:
    """Return a column of dates, which begin nowhere, or of times of day, which come again."""
    form = DateFormat(written.format or "")
    lattice = find_lattice(numbers, written) or Lattice(form.grain)
    column = on_lattice(column, Lattice(max(lattice.step, form.grain), lattice.origin))
    found = values_of(numbers)
    if is_discrete(numbers, found, Lattice(column.step or 1.0, column.origin)):
        return discrete(column, numbers)
    if form.unit == "second of the day":
        return replace(column, kind="circular", lower=0.0, upper=float(DAY))
    return replace(column, kind="real")


def of_numbers(column: Column, numbers: Numbers, written: Written) -> Column:
    """Return a column of numbers of which nothing is known but the numbers."""
    lattice = lattice_of(numbers, written)
    found = values_of(numbers)
    if lattice is not None and is_discrete(numbers, found, lattice):
        return discrete(on_lattice(column, lattice), numbers)
    atom = atom_of(numbers, found, None if lattice is None else lattice.step)
    if atom is None:
        return _continuous(on_lattice(column, lattice), numbers)
    remaining = numbers[numbers != atom]
    column = _continuous(on_lattice(replace(column, atoms=(atom,)), lattice_of(remaining, written)), remaining)
    if atom != found.values[0]:
        return column
    # The density of the rest begins where the atom's cell ends, so that none of it is rounded to the atom.
    begin = atom + (column.step or 0.0) / 2
    if column.kind != "bounded":
        return replace(column, kind="positive", lower=begin, linear_below=None)
    assert column.lower is not None
    return replace(column, lower=max(column.lower, begin))


def lattice_of(numbers: Numbers, written: Written) -> Lattice | None:
    """Return the lattice of numbers (N,); ``None`` where they hardly repeat, and are as good as not rounded."""
    return find_lattice(numbers, written) if repeated(numbers) >= REPEATED else None


def on_lattice(column: Column, lattice: Lattice | None) -> Column:
    """Return a column whose numbers lie on a lattice, if there is one."""
    return column if lattice is None else replace(column, step=lattice.step, origin=lattice.origin)


def _continuous(column: Column, numbers: Numbers) -> Column:
    """Return a column with a density: on an interval, above zero, or on the whole line."""
    step = column.step
    interval = interval_of(numbers)
    if interval is not None:
        lower, upper = interval
        edges = [edge for edge in interval if (numbers == edge).any()]
        if step is not None or not edges:
            return replace(column, kind="bounded", lower=lower, upper=upper)
        if all((numbers == edge).sum() >= UNSEEN for edge in edges):
            return replace(
                column, kind="bounded", lower=lower, upper=upper, atoms=tuple(sorted({*column.atoms, *edges}))
            )
    if not is_positive(numbers, step):
        return from_zero_up(replace(column, kind="real"), numbers) if column.integer else replace(column, kind="real")
    return replace(column, kind="positive", linear_below=linear_below_of(numbers) if step is None else None)


def from_zero_up(column: Column, numbers: Numbers) -> Column:
    """Return a real column on a lattice as one of counts or amounts, if its numbers (N,) end near zero."""
    width = straight_above_of(numbers, column.origin)
    if column.step is None or column.kind != "real" or column.atoms or width is None:
        return column
    return replace(column, kind="positive", lower=-column.step / 2, straight_above=width)


def discrete(column: Column, numbers: Numbers) -> Column:
    """Return a column of which each value has a probability of its own."""
    found = values_of(numbers)
    unseen = column.step is not None and bool(found.counts.min() < UNSEEN)
    return replace(column, kind="discrete", values=tuple(found.values.tolist()), has_unseen_values=unseen)


def share_off_lattice(column: Column, cells: Numbers, written: Written) -> float:
    """Return with which probability a number lies between those of a lattice that is coarser than the digits.

    That none of n does says that the next one does with one in n + 2, if any may (Laplace's rule of succession). That
    any may is beforehand as likely as that none can; after n rows that do not, n + 2 times less (Jeffreys, 1939).
    """
    if column.step is None or not column.continuous or column.given or column.subtracted_columns:
        return 0.0
    if column.takes_more_digits or (written.finest is not None and column.step < 1.5 * written.finest):
        return 0.0
    return 1 / (int(np.isfinite(cells).sum()) + 2) ** 2
