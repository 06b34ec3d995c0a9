"""Simple densities to compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcli.table import Schema


def gaussian_log_prob(train: NDArray[np.float64], rows: NDArray[np.float64], schema: Schema) -> NDArray[np.float64]:
    """Log-density of rows under the one Gaussian that best fits the training rows, in the units of the table.

    Args:
        train: Training rows (N, N_c).
        rows: Rows to score (M, N_c).
        schema: The columns; constant ones are left out.

    Returns:
        (M,), in nats.
    """
    free = [i for i, column in enumerate(schema.columns) if column.kind != "constant"]
    # Columns of very different units would make the covariance look singular, and squares of large ones overflow.
    size = np.abs(train[:, free]).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    center, scale = (train[:, free] / size).mean(axis=0) * size, (train[:, free] / size).std(axis=0) * size
    scale = np.where(scale > 0, scale, 1.0)
    unit = (train[:, free] - center) / scale
    covariance = np.atleast_2d(np.cov(unit, rowvar=False)) + 1e-9 * np.eye(len(free))
    root = np.linalg.cholesky(covariance)
    residuals = np.linalg.solve(root, ((rows[:, free] - center) / scale).T)
    constant = 0.5 * len(free) * np.log(2 * np.pi) + np.log(np.diagonal(root)).sum() + np.log(scale).sum()
    return np.asarray(-0.5 * (residuals**2).sum(axis=0) - constant)
