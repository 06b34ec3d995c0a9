"""Calibration: where rows lie among draws of the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.table import Schema

Rows = NDArray[np.float64]


def column_ranks(rows: Rows, samples: Rows, schema: Schema, seed: int) -> Rows:
    """The probability integral transform of each cell: the share of draws that its value lies above.

    A value that equals draws (a category, a rounded number, an atom) lies somewhere among them at random, so that the
    ranks of one more draw would be uniform on [0, 1], whatever the column is. Papers: Calibration of probabilities
    (Dawid, 1984); Probabilistic forecasts, calibration and sharpness (Gneiting et al., 2007); randomised as in
    Predictive model assessment for count data (Czado et al., 2009).

    Args:
        rows: The rows (N, C), NaN for a missing cell.
        samples: Draws of the model: (M, C), the same for every row, or (N, K, C), each row's own where the model is
            conditioned on some of its columns.
        schema: The columns.
        seed: Of the places among equal values.

    Returns:
        Ranks (N, C) in [0, 1]. NaN for a missing cell, for a column that the model is conditioned on, and where no
        draw has a value.
    """
    random = np.random.default_rng([seed, 21])
    ranks = np.full(rows.shape, np.nan)
    for place, column in enumerate(schema.columns):
        within = random.random(len(rows))
        if not column.given:
            ranks[:, place] = ranks_among(rows[:, place], samples[..., place], within)
    return ranks


def ranks_among(values: Rows, draws: Rows, within: Rows) -> Rows:
    """The ranks (N,) of values (N,) among draws (M,) or (N, K), both with NaN for what is not there.

    Args:
        values: The values.
        draws: What they are compared with.
        within: For each value where it lies among equal ones, from 0 to 1.
    """
    if draws.ndim == 1:
        ordered = np.sort(draws[~np.isnan(draws)])
        below = np.searchsorted(ordered, values, side="left").astype(np.float64)
        equal = np.searchsorted(ordered, values, side="right") - below
        count = np.full(len(values), float(len(ordered)))
    else:
        below = (draws < values[:, None]).sum(axis=1).astype(np.float64)
        equal = (draws == values[:, None]).sum(axis=1).astype(np.float64)
        count = (~np.isnan(draws)).sum(axis=1).astype(np.float64)
    ranks = (below + within * (equal + 1)) / (count + 1)
    return np.where(np.isnan(values) | (count == 0), np.nan, ranks)
