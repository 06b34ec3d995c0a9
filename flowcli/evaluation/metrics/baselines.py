"""Simple densities to compare with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.random import Stream, numpy_generator
from flowcli.table import Column, Schema

Rows = NDArray[np.float64]
LEAST_COUNT = 0.5  # rows of an outcome that has none
COMPONENTS, MOST_ROWS, RIDGE = (1, 2, 4, 8, 16, 32), 10_000, 1e-5  # of mixtures
MOST_KERNELS, MOST_JUDGES = 4_000, 400  # rows of a kernel density, and rows that choose its bandwidth
SINGULAR = 1e-8  # the least variance, of columns of unit variance, in any direction
BANDWIDTHS = (0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2)  # in units of Scott's rule


def simple_log_probs(
    train: Rows, rows: Rows, schema: Schema, weights: Rows | None = None
) -> Iterator[tuple[str, Rows]]:
    """Yield log-density of rows under simple sound densities, each with its name.

    Where all columns are continuous and whole these are one Gaussian and a mixture of Gaussians; elsewhere each column
    by itself, with the frequencies of its outcomes and a Gaussian for its numbers. What is given is not looked at.

    Args:
        train: Training rows (N, N_c).
        rows: Rows to score (M, N_c).
        schema: The columns.
        weights: Of the training rows, (N,).

    Yields:
        A name, and (M,), in nats, on the measure of the schema.
    """
    if (indices := continuous_indices(schema)) is not None:
        train, rows = train[:, indices], rows[:, indices]
        yield "a single Gaussian", gaussian_log_prob(train, rows, weights)
        if weights is None and (found := mixture_log_prob(train, rows)) is not None:
            yield f"a mixture of {found[0]} Gaussians", found[1]
        return
    yield "each column by itself", _columns_log_prob(train, rows, schema, weights)


def continuous_indices(schema: Schema) -> list[int] | None:
    """Return the modelled columns if all are continuous and whole, but for constants; ``None`` if one is not."""
    modelled = [column for column in schema.columns if not column.given]
    if not all((c.continuous and not (c.atoms or c.has_gaps)) or c.kind == "constant" for c in modelled):
        return None
    return [i for i, c in enumerate(schema.columns) if c.continuous and not c.given]


def mixture_log_prob(train: Rows, rows: Rows, sizes: Sequence[int] = COMPONENTS) -> tuple[int, Rows] | None:
    """Return the number of components, and the log-density (M,) of rows (M, D), of the mixture with the lowest BIC.

    Components are doubled as long as that helps, each with a full covariance. There is none where two do not help.

    Args:
        train: Training rows (N, D), of which no more are looked at than a mixture needs.
        rows: Rows to score (M, D).
        sizes: Numbers of components to try, rising.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    order = numpy_generator(0, Stream.MIXTURE_ROWS).permutation(len(train))[:MOST_ROWS]
    center, scale = np.median(train, axis=0), train.std(axis=0)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        return None
    unit, new = (train[order] - center) / scale, (rows - center) / scale
    best, lowest = None, math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rival that did not converge is one all the same
        for components in sizes:
            if components * (train.shape[1] + 1) > len(unit):
                break
            model = GaussianMixture(components, reg_covar=RIDGE, random_state=0).fit(unit)
            if (bic := model.bic(unit)) >= lowest:
                break
            best, lowest = model, bic
    if best is None or best.n_components == 1:
        return None
    return best.n_components, np.asarray(best.score_samples(new) - np.log(scale).sum())


def kernel_log_prob(
    train: Rows, rows: Rows, seed: int, factors: Sequence[float] = BANDWIDTHS
) -> tuple[float, Rows] | None:
    """Return the bandwidth and the log-density (M,) of rows (M, D) under a kernel density, or ``None``.

    A Gaussian kernel with the covariance of the rows, shrunk by Scott's rule (1992) times the factor that makes some of
    them likeliest under a density of the others.

    Args:
        train: Training rows (N, D); no more than ``MOST_KERNELS`` become kernels.
        rows: Rows to score (M, D).
        seed: Of the choice of rows.
        factors: Those to choose from.
    """
    from scipy.stats import gaussian_kde

    order = numpy_generator(seed, Stream.KERNELS).permutation(len(train))[: MOST_KERNELS + MOST_JUDGES]
    center, scale = np.median(train, axis=0), train.std(axis=0)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        return None
    unit, new = (train[order] - center) / scale, (rows - center) / scale
    if np.linalg.eigvalsh(np.atleast_2d(np.cov(unit.T)))[0] < SINGULAR:
        return None
    judges, kernels = np.split(unit, [min(MOST_JUDGES, len(unit) // 5)])
    rule = len(kernels) ** (-1 / (train.shape[1] + 4))
    try:
        best = factors[0]
        if len(factors) > 1:
            scores = [np.mean(gaussian_kde(kernels.T, factor * rule).logpdf(judges.T)) for factor in factors]
            best = factors[int(np.argmax(scores))]
        found = gaussian_kde(kernels.T, best * rule).logpdf(new.T)
    except (np.linalg.LinAlgError, ValueError):  # too few rows
        return None
    return best, np.asarray(found - np.log(scale).sum())


def _columns_log_prob(train: Rows, rows: Rows, schema: Schema, weights: Rows | None) -> Rows:
    """Return log-density of rows where the columns are independent."""
    names = schema.names
    log_prob = np.zeros(len(rows))
    for position, column in enumerate(schema.columns):
        if column.given or (column.kind == "constant" and not column.has_gaps):
            continue
        own, new = train[:, position], rows[:, position]
        for name, factor in column.subtracted_columns:
            own, new = own - factor * train[:, names.index(name)], new - factor * rows[:, names.index(name)]
        log_prob += _column_log_prob(own, new, column, np.ones(len(own)) if weights is None else weights)
    return log_prob


def gaussian_log_prob(train: Rows, rows: Rows, weights: Rows | None = None) -> Rows:
    """Return log-density (M,) of rows (M, D) under the one Gaussian that fits the training rows (N, D) best."""
    # Columns of very different units would make the covariance look singular, and squares of large ones overflow.
    size = np.abs(train).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    center = np.average(train / size, axis=0, weights=weights) * size
    scale = np.sqrt(np.average(np.square((train - center) / size), axis=0, weights=weights)) * size
    scale = np.where(scale > 0, scale, 1.0)
    unit = (train - center) / scale
    covariance = np.atleast_2d(np.cov(unit, rowvar=False, aweights=weights)) + 1e-9 * np.eye(train.shape[1])
    root = np.linalg.cholesky(covariance)
    residuals = np.linalg.solve(root, ((rows - center) / scale).T)
    constant = 0.5 * train.shape[1] * np.log(2 * np.pi) + np.log(np.diagonal(root)).sum() + np.log(scale).sum()
    return np.asarray(-0.5 * (residuals**2).sum(axis=0) - constant)


def _column_log_prob(train: Rows, rows: Rows, column: Column, weights: Rows) -> Rows:
    """One column by itself: frequencies of what has a probability, and a Gaussian for the numbers."""
    step = column.step if column.step and not column.text else None
    if step:
        train, rows = column.nearest(train), column.nearest(rows)
    numbers = ~np.isnan(train)
    if column.continuous:
        numbers &= ~np.isin(train, column.atoms)
        levels = np.array([*column.atoms, *([np.nan] if column.has_gaps else [])])
    else:
        numbers[:] = False
        levels = np.unique(train)
    out = np.full(len(rows), np.log(LEAST_COUNT / (weights.sum() + LEAST_COUNT)))
    total = weights.sum() + LEAST_COUNT * (len(levels) + 1)
    for level in levels:
        same, new = (np.isnan(x) if np.isnan(level) else x == level for x in (train, rows))
        out[new] = np.log((weights[same].sum() + LEAST_COUNT) / total)
    if column.continuous and numbers.any():
        new = ~np.isnan(rows) & ~np.isin(rows, column.atoms)
        own = train[numbers, None]
        share = np.log((weights[numbers].sum() + LEAST_COUNT) / total) if len(levels) else 0.0
        out[new] = share + gaussian_log_prob(own, rows[new, None], weights[numbers])
        new = ~new
    else:
        new = np.ones(len(rows), dtype=np.bool_)
    out[new & ~np.isnan(rows)] -= column.log_mass_unit
    return out
