"""What a density is conditioned on, as a user gives it: ``--given x=1,y=blue``, or a file of such values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowcli.cli.reading import split_names
from flowcli.errors import UsageError
from flowcli.table import read_cell, read_values
from flowcli.table.values.words import is_missing
from flowcli.text import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowcli.table import Column, ReadOptions, Schema

    Rows = NDArray[np.float64]


def fixed_values(text: str | None, schema: Schema, *, of_any: bool = False) -> dict[str, float]:
    """Return the values of ``--given``, by column.

    Args:
        text: What follows it.
        schema: The columns of the model.
        of_any: Whether columns that the density is not conditioned on may have one.

    Raises:
        UsageError: What is no list of values of such columns.
    """
    fixed: dict[str, float] = {}
    columns = {column.name: column for column in schema.columns if column.given or of_any}
    for pair in split_names(text, "--given") or []:
        name, equals, cell = pair.partition("=")
        # A name may have the sign in it, too.
        for known in columns:
            if pair.startswith(f"{known}=") and len(known) > len(name):
                name, cell = known, pair[len(known) + 1 :]
        if not equals:
            raise UsageError(f"--given {pair!r}: write COLUMN=VALUE, and a comma between two of them")
        if name not in columns:
            if not columns:
                raise UsageError(
                    "--given: the model is not conditioned on any column; fit one with fit --given COLUMNS"
                )
            hint = did_you_mean(name, columns) or f"; these are: {', '.join(columns)}"
            what = "has no column" if of_any else "is not conditioned on a column"
            raise UsageError(f"--given: the model {what} {name!r}{hint}")
        if name in fixed:
            raise UsageError(f"--given: column {name!r} has two values")
        fixed[name] = read_cell(cell, columns[name])
    return fixed


def among_all(values: Rows, read: Sequence[Column], schema: Schema, fixed: Mapping[str, float]) -> Rows:
    """Return rows (n, columns read) among all columns (n, N_c), with the values that they share; NaN elsewhere."""
    if len(read) == len(schema.columns):
        return values
    whole, names = np.full((len(values), len(schema.columns)), np.nan), schema.names
    for column, cells in zip(read, values.T, strict=True):
        whole[:, names.index(column.name)] = cells
    for name, value in fixed.items():
        whole[:, names.index(name)] = value
    return whole


def given_rows(schema: Schema, rows: int, text: str | None, file: str | None, options: ReadOptions) -> Rows | None:
    """Return what is known of each row to be drawn, (rows, N_c); ``None`` where nothing is.

    Args:
        schema: The columns of the model.
        rows: How many are to be drawn, for each row of the file where there is one.
        text: Of ``--given``.
        file: Of ``--given-file``.
        options: How that file is written.

    Raises:
        UsageError: Something is given twice, or not at all.
    """
    fixed = fixed_values(text, schema, of_any=True)
    conditions = {column.name for column in schema.columns if column.given}
    if absent := [name for name, value in fixed.items() if is_missing(np.array(value)) and name not in conditions]:
        raise UsageError(f"--given {absent[0]}=: no cell can be given as missing; leave that one out")
    open_ = [column for column in schema.columns if column.given and column.name not in fixed]
    if file is not None and not open_:
        raise UsageError(
            "--given-file: the model is not conditioned on any other column; --given x=1 is for all rows, and"
            " `flowcli impute` fills a file of rows of which some cells are empty"
        )
    if open_ and file is None:
        names = ", ".join(column.name for column in open_)
        raise UsageError(
            f"the model is conditioned on {names}; give values with --given {open_[0].name}=..., or --given-file"
        )
    if not fixed and not open_:
        return None
    known = np.full((1, len(schema.columns)), np.nan)
    if file is not None:
        found = read_values(file, open_, options)
        known = np.full((len(found), len(schema.columns)), np.nan)
        for column, cells in zip(open_, found.T, strict=True):
            known[:, schema.names.index(column.name)] = cells
    for name, value in fixed.items():
        known[:, schema.names.index(name)] = value
    return np.broadcast_to(known, (rows, known.shape[1])) if len(known) == 1 else np.repeat(known, rows, axis=0)
