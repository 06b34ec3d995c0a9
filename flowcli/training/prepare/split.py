"""Which rows are held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from flowcli.encoding import Encoder
from flowcli.errors import DataError
from flowcli.random import Stream, numpy_generator
from flowcli.table import Table
from flowcli.training.prepare.checks import Notice
from flowcli.training.prepare.row_sets import RowSet, out_of_reach

LARGEST_HELD_OUT = 50_000  # enough to tell 0.01 nats, and no more to score again and again
MOST_COPIES = 20  # that are kept together, of a row of rounded numbers alone; more are the shape of the density


def split_rows(table: Table, valid: Table | None, share: float, seed: int, notice: Notice) -> tuple[RowSet, RowSet]:
    """Divide the rows of a table into training rows and held-out rows, both encoded as far as no map matters.

    Args:
        table: The rows.
        valid: Rows to hold out, instead of a share of the table's.
        share: Of the table's rows, how many are held out.
        seed: Seeds the choice.
        notice: Takes lines for the user.

    Raises:
        DataError: Nothing would be left on one side, or the rows of ``valid`` cannot come from the table's columns.
    """
    whole = RowSet.of(table.values, Encoder.unfitted(table.schema))
    encoder = Encoder.fit(table.schema, whole.prepared)
    weighted = replace(whole, weights=table.weights)
    if valid is not None:
        held_out = RowSet.of(valid.values, encoder, valid.weights)
        possible = encoder.possible(held_out.prepared)
        if not possible.all():
            row = int(torch.argmin(possible.int())) + 1
            raise DataError(
                f"row {row} cannot come from the columns of the training rows: a value differs from a constant, or lies"
                " outside of its bounds, or among no levels; leave such rows out",
                source=valid.source,
            )
        shared = among(table.values, valid.values)
        if shared.all():
            raise DataError("all rows stand in the --valid file too; nothing is left to fit", source=table.source)
        if shared.any():
            notice(f"{int(shared.sum()):,} rows stand in the --valid file too and are not fitted to")
        return weighted.keep(~shared), held_out
    numbers, unrounded = (mask.numpy() for mask in encoder.has_numbers(whole.prepared))
    mask, copies = hold_out(table.values, share, seed, ~numbers, numbers & ~unrounded)
    if copies:
        notice(f"{copies:,} rows are copies of others; copies are held out together or not at all")
    mask &= ~out_of_reach(encoder, whole)
    if mask.all() or not mask.any():
        raise DataError("fewer than two different rows; there is nothing to fit", source=table.source)
    for half in (~mask, mask):
        if table.weights is not None and not table.weights[half].sum() > 0:
            raise DataError("the weights leave nothing to fit, or nothing to hold out", source=table.source)
    return weighted.keep(~mask), weighted.keep(mask)


def hold_out(
    values: NDArray[np.float64],
    share: float,
    seed: int,
    discrete: NDArray[np.bool_] | None = None,
    rounded: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.bool_], int]:
    """Choose rows to hold out, so that equal rows are on one side.

    A row that stood on both sides would reward a density for remembering it. But rows without any continuous number
    are equal by their nature, and so are many rows of rounded numbers alone: held out together, or trained on together,
    they would be missing on the other side.

    Args:
        values: Rows (N, D).
        share: Of the rows, how many are held out.
        seed: Of the choice.
        discrete: Which rows have no continuous number, (N,).
        rounded: Which rows have none but rounded ones, (N,).

    Returns:
        The mask of rows held out, (N,), and how many rows are copies of an earlier one.
    """
    wanted = min(LARGEST_HELD_OUT, max(1, round(share * len(values))))
    groups = groups_of(values)
    natural = np.zeros(len(values), dtype=np.bool_) if discrete is None else discrete.copy()
    if rounded is not None:
        most = max(2, min(MOST_COPIES, wanted // 5))
        natural |= rounded & (np.bincount(groups)[groups] > most)
    if natural.any():
        alone = groups.max() + 1 + np.arange(len(values))
        groups = np.unique(np.where(natural, alone, groups), return_inverse=True)[1]
    sizes = np.bincount(groups)
    order = numpy_generator(seed, Stream.HELD_OUT_SPLIT).permutation(len(sizes))
    # A row with more copies than there is room for is trained on; if all have, the rarest one makes room.
    fitting = order[sizes[order] <= max(wanted, sizes.min())]
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    chosen[fitting[: max(1, np.searchsorted(np.cumsum(sizes[fitting]), wanted, side="right"))]] = True
    return chosen[groups], len(values) - len(sizes)


def among(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows (N, D) are equal to one of the others (M, D), (N,)."""
    groups = groups_of(np.concatenate([rows, others]))
    return np.asarray(np.isin(groups[: len(rows)], groups[len(rows) :]))


def groups_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a number for each row (N, D), the same for equal rows, (N,)."""
    frame = pd.DataFrame(values)
    return np.asarray(frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup())
