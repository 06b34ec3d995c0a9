"""Whether a density can be fitted to some rows, and what should be said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from flowcli.config import schema as config
from flowcli.encoding import Encoder, Standardizer
from flowcli.encoding.relations import Relations
from flowcli.errors import DataError
from flowcli.flows import mixed_blueprint
from flowcli.random import Stream, numpy_generator
from flowcli.table import Table
from flowcli.table.schema import Column
from flowcli.text import and_more
from flowcli.training.prepare import resolve
from flowcli.training.prepare.row_sets import FARTHEST_COORDINATE, RowSet, out_of_reach

Notice = Callable[[str], None]
FEW_ROWS_PER_COLUMN = 10
FEWEST_ROWS = 3  # two to train on, one to hold out
COLLINEAR = 1e-12
NOISE = 1e-3  # of the spread of columns that are collinear
OUTLYING = 100_000  # of a column's spreads: beyond this, no heavy tail of a usual kind reaches in a table


def checked_table(table: Table, seed: int, notice: Notice) -> Table:
    """Return the table, if a density can be fitted to it, with a little noise where columns are collinear.

    Raises:
        DataError: There are too few rows, or nothing that varies.
    """
    modelled = [column for column in table.schema.columns if not column.given]
    if all(column.kind == "constant" and not column.has_gaps for column in modelled):
        raise DataError("every column is constant; there is nothing to fit", source=table.source)
    rows, columns = len(table.values), sum(column.continuous for column in modelled)
    if rows <= max(columns, FEWEST_ROWS - 1):
        raise DataError(
            f"{rows} rows are too few for {len(modelled)} columns; a density needs more rows than continuous columns,"
            f" and at least {FEWEST_ROWS}",
            source=table.source,
        )
    random, noisy = numpy_generator(seed, Stream.COLLINEARITY_NOISE), set[str]()
    for _ in range(columns):
        collinear, spreads = _collinear(table)
        if noisy.issuperset(collinear):
            break
        table = _with_noise(table, collinear, spreads, random)
        noisy.update(collinear)
    if noisy:
        names = and_more([repr(name) for name in table.schema.names if name in noisy])
        notice(
            f"columns {names} are linear functions of each other, so the rows have no density; noise of a thousandth"
            " of their spread was added (--exclude leaves columns out)"
        )
    return table


def _with_noise(table: Table, names: Sequence[str], spreads: Sequence[float], random: np.random.Generator) -> Table:
    """Return the table with noise of a thousandth of their spread in some columns, where it leads out of none.

    Columns that are sums of these keep what is left of them.
    """
    columns, relations = table.schema.columns, Relations(table.schema)
    values = relations.residuals(torch.from_numpy(table.values)).numpy().copy()
    for name, width in zip(names, spreads, strict=True):
        position = table.schema.names.index(name)
        if not columns[position].continuous or columns[position].step is not None:
            continue  # what has a mass needs none
        lower, upper = columns[position].support
        moved = values[:, position] + NOISE * width * random.standard_normal(len(values))
        values[:, position] = np.where((lower < moved) & (moved < upper), moved, values[:, position])
    residuals = torch.from_numpy(values)
    moved_rows = relations.restore(residuals, written=False).numpy()
    possible = relations.possible(residuals).all(1, keepdim=True).numpy()
    return replace(table, values=np.where(possible, moved_rows, table.values))


def _collinear(table: Table) -> tuple[list[str], list[float]]:
    """Return the names of columns that are linear functions of each other, exactly, and their spreads.

    Columns of which all are rounded have a density whatever they depend on: their cells have a mass.
    """
    columns = [
        (position, column)
        for position, column in enumerate(table.schema.columns)
        if (column.continuous or column.kind == "discrete")
        and not (column.given or (column.subtracted_columns and column.at_least is None))
    ]
    residuals = Relations(table.schema).residuals(torch.from_numpy(table.values)).numpy()
    values = residuals[:, [position for position, _ in columns]]
    values = values[~np.isnan(values).any(axis=1)]
    if len(columns) < 2 or len(values) <= len(columns):
        return [], []
    rough = Standardizer.fit([Column(column.name) for _, column in columns], torch.from_numpy(values))
    # A linear function with its constant vanishes whatever each row is multiplied by. So rows are made equally long,
    # lest a few outliers stand for all of them.
    u = np.column_stack([rough.forward(torch.from_numpy(values))[0].numpy(), np.ones(len(values))])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    sizes = np.linalg.norm(u, axis=0)
    varying = np.flatnonzero(sizes > 0)  # a column may be constant in all rows without a missing cell
    u = u[:, varying] / sizes[varying]
    if np.linalg.svd(u, compute_uv=False)[-1] > math.sqrt(COLLINEAR):
        return [], []
    # The combination of columns that vanishes, and who takes part in it.
    combination = np.linalg.svd(u, full_matrices=False)[2][-1, :-1]
    partners = varying[np.flatnonzero(np.abs(combination) > 1e-3)].tolist()
    if all(columns[partner][1].step for partner in partners):
        return [], []
    return [rough.names[partner] for partner in partners], rough.scale[partners].tolist()


def warn_of_few_rows(encoder: Encoder, train: RowSet, notice: Notice) -> None:
    """Say so if there are few training rows for the columns."""
    columns = len(encoder.coordinates)
    if len(train) < FEW_ROWS_PER_COLUMN * columns:
        notice(f"only {len(train):,} rows for {columns} columns; the density will be rough")


def warn_of_outliers(encoder: Encoder, train: RowSet, notice: Notice) -> None:
    """Say which columns have values so far from the others that they may be mistakes."""
    coordinates = encoder.coordinates
    if not len(coordinates):
        return
    farthest = coordinates.unit(encoder.continuous_numbers(train.prepared)).abs().nan_to_num(0.0).amax(0)
    odd = [name for name, reach in zip(coordinates.names, farthest.tolist(), strict=True) if reach > OUTLYING]
    if odd:
        shown = and_more([repr(name) for name in odd])
        notice(f"values over {OUTLYING:,} times the usual spread from the others, in {shown}; mistakes?")


def check_size(encoder: Encoder, request: config.Config, rows: int) -> None:
    """Refuse what would be too large before anything is made."""
    most = max(resolve.candidate_components(request.flow.base, rows, len(encoder.coordinates)))
    size = resolve.Size.of(encoder, rows)
    largest = resolve.resolve_flow(request.flow, size=size, marginal=True, components=most)
    mixed_blueprint(largest, encoder.layout, encoder.numbers).refuse_too_large()


def trainable(
    encoder: Encoder, request: config.Config, train: RowSet, held_out: RowSet, notice: Notice
) -> tuple[RowSet, RowSet]:
    """Return the rows that layers may see where no quantile map brings outliers nearer."""
    if any(resolve.wants_marginal(request.flow)):
        return train, held_out
    near = within_reach(encoder.with_coordinates(encoder.coordinates.plain), train, held_out)
    say_left_out((train, held_out), near, notice)
    return near


def within_reach(encoder: Encoder, train: RowSet, held_out: RowSet) -> tuple[RowSet, RowSet]:
    """Return the rows without those that lie so far out that a fit cannot compute with them."""
    train_outliers, held_out_outliers = (out_of_reach(encoder, part) for part in (train, held_out))
    if held_out_outliers.all():
        raise DataError("all held-out rows lie too far from the training rows to compare them")
    if train_outliers.any() or held_out_outliers.any():
        return train.keep(~train_outliers), held_out.keep(~held_out_outliers)
    return train, held_out


def say_left_out(before: tuple[RowSet, RowSet], after: tuple[RowSet, RowSet], notice: Notice) -> None:
    """Say how many rows have no part in the fit, if there are any."""
    if rows := sum(map(len, before)) - sum(map(len, after)):
        notice(
            f"rows over {FARTHEST_COORDINATE:g} times a column's spread away from the others are left out of the fit:"
            f" {rows:,}; layers that begin with 'marginal: quantile' can be trained on them"
        )
