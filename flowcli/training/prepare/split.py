"""Which rows are held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flowcli.random import Stream, numpy_generator

LARGEST_HELD_OUT = 50_000  # enough to tell 0.01 nats, and no more to score again and again
MOST_COPIES = 20  # that are kept together, of a row of rounded numbers alone; more are the shape of the density


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
    """Which rows (N, D) are equal to one of the others (M, D), (N,)."""
    groups = groups_of(np.concatenate([rows, others]))
    return np.asarray(np.isin(groups[: len(rows)], groups[len(rows) :]))


def groups_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for each row (N, D), the same for equal rows, (N,)."""
    frame = pd.DataFrame(values)
    return np.asarray(frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup())
