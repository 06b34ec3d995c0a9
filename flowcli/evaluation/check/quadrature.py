"""Integrals over a cube by cubature that divides where it is not sure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Labels = NDArray[np.intp]

POINTS = 5  # Gauss-Legendre, along each side of a box
FIRST = (128, 16)  # boxes along each side to begin with, in one and in two dimensions
MOST_POINTS = 200_000
MOST_ROUNDS = 30


def integrals(
    function: Callable[[Rows, Labels], Rows], dimensions: int, labels: int, tolerance: float
) -> tuple[Rows, Rows]:
    """Return the integral of each of several functions over the unit cube.

    Each box is compared with the halves of it; boxes that are not alike are divided, all of them at once.

    Args:
        function: Values (B,) at points (B, dimensions) of the functions with these labels, (B,).
        dimensions: One or two.
        labels: How many functions there are.
        tolerance: The error that is strived for in each integral.

    Returns:
        The integrals, and estimates of their errors, (labels,) each.
    """
    count = FIRST[dimensions - 1]
    first = np.stack(np.meshgrid(*[np.arange(count) / count] * dimensions), -1).reshape(-1, dimensions)
    corners = np.tile(first, (labels, 1))
    owners = np.repeat(np.arange(labels), len(first))
    width = 1.0 / count
    total, error, used = np.zeros(labels), np.zeros(labels), 0
    whole = _sums(function, corners, owners, width)
    for _ in range(MOST_ROUNDS):
        shifts = np.stack(np.meshgrid(*[[0.0, width / 2]] * dimensions), -1).reshape(-1, dimensions)
        parts = (corners[:, None, :] + shifts).reshape(-1, dimensions)
        parts_owners = np.repeat(owners, len(shifts))
        of_parts = _sums(function, parts, parts_owners, width / 2)
        used += len(parts) * POINTS**dimensions
        result = of_parts.reshape(len(corners), -1).sum(1)
        off = np.abs(result - whole)
        # The next division will be far better than this one was; the tolerance is for what is left.
        rough = off > tolerance * np.maximum(width**dimensions, 1e-4)
        if used > MOST_POINTS:
            rough[:] = False
        np.add.at(total, owners[~rough], result[~rough])
        np.add.at(error, owners[~rough], off[~rough])
        if not rough.any():
            break
        again = np.repeat(rough, len(shifts))
        corners, owners, whole, width = parts[again], parts_owners[again], of_parts[again], width / 2
    else:
        np.add.at(total, owners, whole)
        np.add.at(error, owners, np.abs(whole))
    return total, error


def _sums(function: Callable[[Rows, Labels], Rows], corners: Rows, owners: Labels, width: float) -> Rows:
    """Return the integrals over boxes with these lower corners (N, dimensions), (N,)."""
    dimensions = corners.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    nodes, weights = (nodes + 1) / 2, weights / 2
    grid = np.stack(np.meshgrid(*[nodes] * dimensions), -1).reshape(-1, dimensions)
    shares = np.prod(np.stack(np.meshgrid(*[weights] * dimensions), -1).reshape(-1, dimensions), 1)
    at = (corners[:, None, :] + width * grid).reshape(-1, dimensions)
    values = function(at, np.repeat(owners, len(grid))).reshape(len(corners), -1)
    return np.asarray(values @ shares * width**dimensions)
