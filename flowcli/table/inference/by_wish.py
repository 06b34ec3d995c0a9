"""Columns of which the user says the kind: whether their values are of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.table.inference.any_step import Lattice
from flowcli.table.inference.by_values import discrete, lattice_of, on_lattice
from flowcli.table.inference.lattice import Written
from flowcli.table.inference.value_distribution import (
    UNSEEN,
)
from flowcli.table.schema import Column
from flowcli.table.values.support import outside

Numbers = NDArray[np.float64]
Line = Callable[[int], int | None]


def as_wished(column: Column, cells: Numbers, written: Written, wish: Column, source: str | None, line: Line) -> Column:
    """Return a column of the kind that the user gave."""
    numbers = cells[~np.isnan(cells)]
    lattice = lattice_of(numbers, written) if wish.step is None else Lattice(wish.step)
    column = on_lattice(replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper), lattice)
    if wish.kind == "discrete":
        return discrete(column, numbers)
    if wish.step is not None:
        off = np.abs(cells / wish.step - np.round(cells / wish.step)) > 1e-6 * np.maximum(1, np.abs(cells / wish.step))
        if off.any():
            row = int(np.argmax(off))
            raise _outside(column, cells, row, int(off.sum()), f"must be a multiple of {wish.step!r}", source, line)
    if column.kind == "bounded" and column.step is None:  # many values on an edge have no density
        edges = [edge for edge in column.support if (numbers == edge).sum() >= UNSEEN]
        column = replace(column, atoms=tuple(edges))
    check_support(column, cells, source, line)
    return column


def check_support(column: Column, cells: Numbers, source: str | None, line: Line) -> None:
    """Raise an error for the first of cells (N,) that lies outside of the support that the user gave."""
    lower, upper = column.support
    out = outside(column, cells)
    if column.kind == "bounded" and column.step is None:  # a few values on an edge are neither a density nor an atom
        out |= ((cells == lower) | (cells == upper)) & ~np.isin(cells, column.atoms)
    if not out.any():
        return
    edges = column.step is not None or column.kind == "circular"
    must = (
        f"a positive value must be {'at least' if edges else 'above'} {lower:g}"
        if column.kind == "positive"
        else f"a {column.kind} value must lie {'from' if edges else 'strictly between'} {lower!r}"
        f" {'to' if edges else 'and'} {upper!r}"
    )
    row = int(np.argmax(out))
    raise _outside(column, cells, row, int(out.sum()), must, source, line)


def _outside(
    column: Column, cells: Numbers, row: int, count: int, must: str, source: str | None, line: Line
) -> DataError:
    """Return the error for a value that a kind cannot have."""
    number = f"row {row + 1}: " if line(row) is None else ""
    more = f" ({count} such rows)" if count > 1 else ""
    return DataError(
        f"{number}{float(cells[row])!r} is outside the kind that was given: {must}{more}; correct the row, or give"
        " another --kind",
        source=source,
        line=line(row),
        column=column.name,
    )
