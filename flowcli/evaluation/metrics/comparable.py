"""Whether the log-densities of two models are relative to one measure, so that their difference means something."""

from __future__ import annotations

from flowcli.table import Schema
from flowcli.table.schema import Column


def difference_of_measures(one: Schema, other: Schema) -> str | None:
    """Return what differs, in words; ``None`` where rows have log-densities that can be compared.

    A number on a grid counts with the mass of its cell over the grid's step, whether the column is modelled by a
    density, by probabilities, or as a constant (docs/density.md): all of these are compared. A density at a point is
    something else on such rows, since it may be as high as one likes on a single value.
    """
    if strange := sorted(set(one.names) ^ set(other.names)):
        return f"one has a column {strange[0]!r} that the other has not"
    of_other = {column.name: column for column in other.columns}
    for column in one.columns:
        rival = of_other[column.name]
        if column.given != rival.given:
            return f"column {column.name!r} is given in one and modelled in the other"
        if not column.given and (units := (_unit(column), _unit(rival)))[0] != units[1]:
            return f"column {column.name!r} is measured {units[0]} in one and {units[1]} in the other"
    return None


def _unit(column: Column) -> str:
    """Return a column's part in the measure, in words that are the same for two comparable columns."""
    if column.text:
        return "by the probability of its text"
    if column.step:
        return f"by the mass of cells of {column.step:g}"
    if not column.continuous:
        return "by the probability of its value"
    atoms = f", but {' and '.join(f'{atom:g}' for atom in column.atoms)} by probability" if column.atoms else ""
    return f"by a density{atoms}"
