"""Numbers that no row of a column can have: counted over all blocks of rows, and said once."""

from __future__ import annotations

import math

import numpy as np

from flowcli.model.density import Density, Rows
from flowcli.table.values.cell_format import number_text
from flowcli.text import and_more, counted

MOST_NAMED = 5


class ImpossibleNumbers:
    """The numbers, among rows of density zero, that their columns cannot hold.

    Such a number lies off the column's lattice, outside of its support, or is none of its values. Rows of a density
    above zero are not looked at, so that this costs nothing where all is well.

    Args:
        density: What the rows are scored with.
        names: The columns that are scored, if these are not all.
    """

    def __init__(self, density: Density, names: list[str] | None = None) -> None:
        self._density = density
        self._columns = [
            (index, column)
            for index, column in enumerate(density.schema.columns)
            if not column.text and (names is None or column.name in names)
        ]
        self._rows = 0
        self._counts = [0] * len(self._columns)
        self._examples = [math.nan] * len(self._columns)

    def add(self, values: Rows, log_prob: Rows) -> None:
        """Count those among further rows (n, N_c), whose log-densities are (n,)."""
        rows = values[log_prob == -np.inf]
        if not len(rows):
            return
        wrong = ~self._density.holds(rows) & np.isfinite(rows)
        self._rows += int(wrong[:, [index for index, _ in self._columns]].any(axis=1).sum())
        for number, (index, _) in enumerate(self._columns):
            found = rows[wrong[:, index], index]
            if len(found) and not self._counts[number]:
                self._examples[number] = float(found[0])
            self._counts[number] += len(found)

    @property
    def notes(self) -> list[str]:
        """One line with all of it; nothing where there are no such numbers."""
        if not self._rows:
            return []
        each = [
            f"column {column.name!r}: {counted(count, 'row')}, such as {number_text(example, column.format)}"
            for (_, column), count, example in zip(self._columns, self._counts, self._examples, strict=True)
            if count
        ]
        have, whose = ("has", "its") if self._rows == 1 else ("have", "their")
        shown = and_more(each, MOST_NAMED, between="; ")
        rows = counted(self._rows, "row")
        return [f"{rows} {have} a number that is none of its column's ({shown}); {whose} log-density is -inf"]
