"""Numbers that no training row of a column could have had: counted over all blocks of rows, and said once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.model.density import Density, Rows
from flowcli.table import Column
from flowcli.table.values.cell_format import number_text
from flowcli.table.values.support import between, off_digits, off_lattice
from flowcli.text import and_more, counted

MOST_NAMED = 5


class ForeignNumbers:
    """Numbers that are none of their column's, that have more digits than it, or that lie off its lattice.

    The first cannot be in their column, so that their rows have density zero; other rows are not searched for them. The
    others are scored.

    Args:
        density: What the rows are scored with.
        names: The columns that are scored, if these are not all.
    """

    def __init__(self, density: Density, names: list[str] | None = None) -> None:
        self._density = density
        chosen = [
            (index, column)
            for index, column in enumerate(density.schema.columns)
            if not column.text and (names is None or column.name in names)
        ]
        self._impossible = _Found(chosen)
        self._longer = _Found([(i, column) for i, column in chosen if column.takes_more_digits and not column.given])
        self._off = _Found([(i, column) for i, column in chosen if column.off_lattice])

    def add(self, values: Rows, log_prob: Rows) -> None:
        """Count those among further rows (n, N_c), whose log-densities are (n,)."""
        self._longer.add(values, [_longer(column, values[:, index]) for index, column in self._longer.columns])
        self._off.add(values, [_off(column, values[:, index]) for index, column in self._off.columns])
        rows = values[log_prob == -np.inf]
        if len(rows):
            wrong = ~self._density.holds(rows) & np.isfinite(rows)
            self._impossible.add(rows, [wrong[:, index] for index, _ in self._impossible.columns])

    @property
    def notes(self) -> list[str]:
        """One line for each of the three; nothing where there are no such numbers."""
        notes = []
        if count := self._impossible.rows:
            have, whose = ("has", "its") if count == 1 else ("have", "their")
            notes.append(
                f"{counted(count, 'row')} {have} a number that is none of its column's ({self._impossible.shown});"
                f" {whose} log-density is -inf"
            )
        if count := self._longer.rows:
            have = "has" if count == 1 else "have"
            notes.append(
                f"{counted(count, 'row')} {have} a number with more digits than its column had ({self._longer.shown});"
                " it is scored like one that was rounded as they were"
            )
        if count := self._off.rows:
            have = "has" if count == 1 else "have"
            notes.append(
                f"{counted(count, 'row')} {have} a number off its column's steps ({self._off.shown}); it counts as"
                " unlikely, as so many rows had none"
            )
        return notes


def _off(column: Column, cells: Rows) -> NDArray[np.bool_]:
    """Return which numbers (n,) lie off a column's lattice, and may."""
    return off_lattice(column, cells)[1] & ~np.isin(cells, column.atoms)


def _longer(column: Column, cells: Rows) -> NDArray[np.bool_]:
    """Return which numbers (n,) have more digits than a column's lattice."""
    longer = off_digits(column, cells) if column.subtracted_columns else between(column, cells)
    return longer & ~np.isin(cells, column.atoms)


class _Found:
    """How many rows have such a number, and for each column how many, and an example.

    Args:
        columns: The columns, and their places.
    """

    def __init__(self, columns: Sequence[tuple[int, Column]]) -> None:
        self.columns = columns
        self.rows = 0
        self._counts = [0] * len(columns)
        self._examples = [math.nan] * len(columns)

    def add(self, values: Rows, found: Sequence[NDArray[np.bool_]]) -> None:
        """Count those among rows (n, N_c) that were found in each of the columns, (n,)."""
        if not any(each.any() for each in found):
            return
        self.rows += int(np.logical_or.reduce(found).sum())
        for number, ((index, _), each) in enumerate(zip(self.columns, found, strict=True)):
            numbers = values[each, index]
            if len(numbers) and not self._counts[number]:
                self._examples[number] = float(numbers[0])
            self._counts[number] += len(numbers)

    @property
    def shown(self) -> str:
        """The columns, with how many rows each, and an example."""
        each = [
            f"column {column.name!r}: {counted(count, 'row')}, such as {number_text(example, column.format)}"
            for (_, column), count, example in zip(self.columns, self._counts, self._examples, strict=True)
            if count
        ]
        return and_more(each, MOST_NAMED, between="; ")
