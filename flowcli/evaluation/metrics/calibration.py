"""Calibration: each column by itself, its rows against its draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flowcli.evaluation.metrics.coverage import Region, bands_of
from flowcli.evaluation.metrics.information import divergence
from flowcli.evaluation.metrics.ranks import ranks_among, ranks_among_own
from flowcli.random import Stream, numpy_generator
from flowcli.table import Column, Schema

Rows = NDArray[np.float64]
Aspect = Literal["values", "shares", "missing"]

# Finer towards the ends, where a histogram of ranks shows tails.
EDGES = np.array([0, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 1])
LEAST_SHARE = 5  # rows and draws of a category that are expected at least; those with fewer are counted together


@dataclass(frozen=True)
class Check:
    """One look at one column.

    Attributes:
        column: Its name.
        aspect: ``values``: ranks of its numbers; ``shares``: how often each category is there; ``missing``: how often
            no cell is.
        distance: How far apart rows and draws are: the Kolmogorov-Smirnov distance of the ranks from a uniform
            distribution, the total variation distance of the shares, the difference of the missing shares.
        chance: How likely this is for a right model.
        adjusted: The same, allowing for all checks of all columns (Holm, 1979).
        nats: What the model loses at least by it, in nats a row.
        detail: Which way it is off, in words.
        bands: Of a column's numbers the central 50, 90 and 99% of its draws, and the rows in them.
    """

    column: str
    aspect: Aspect
    distance: float
    chance: float
    adjusted: float
    nats: float
    detail: str
    bands: tuple[Region, ...] = ()


def column_ranks(rows: Rows, samples: Rows, schema: Schema, seed: int) -> Rows:
    """Return the probability integral transform of each cell: its rank among draws, as a share.

    Uniform for a right model: numbers that equal draws lie somewhere among them at random, so that this holds whatever
    the column is (Dawid, 1984; for discrete columns Czado et al., 2009).

    Args:
        rows: (N, C), NaN for a missing cell.
        samples: The model's draws: (M, C), the same for every row, or (N, K, C), each row's own where the model is
            conditioned on columns.
        schema: The columns.
        seed: Of what breaks ties.

    Returns:
        Ranks in [0, 1], (N, C). NaN for a missing cell, for a column that the model is conditioned on, and where no
        draw has a value.
    """
    random = numpy_generator(seed, Stream.CALIBRATION)
    ranks = np.full(rows.shape, np.nan)
    among = ranks_among if samples.ndim == 2 else ranks_among_own
    for index, column in enumerate(schema.columns):
        if not column.given:
            values, draws = on_its_grid(rows[:, index], column), on_its_grid(samples[..., index], column)
            ranks[:, index] = among(values, draws, random)
    return ranks


def on_its_grid(cells: Rows, column: Column) -> Rows:
    """Rounded numbers (N,) to the digit, so that equal ones are equal."""
    return column.nearest(cells) if column.step and not column.text else cells


def checks(ranks: Rows, rows: Rows, samples: Rows, schema: Schema) -> list[Check]:
    """Return all looks at all columns that have a density.

    Args:
        ranks: Of ``column_ranks``, (N, C).
        rows: (N, C).
        samples: (M, C) or, for a conditional model, (N, K, C).
        schema: The columns.
    """
    found: list[Check] = []
    for index, column in enumerate(schema.columns):
        if column.given:
            continue
        values, draws = rows[:, index], samples[..., index].ravel()
        if column.has_gaps:
            found.append(_missing(column, values, draws))
        if column.kind == "constant":
            continue
        if column.text:
            found.append(_shares(column, values, draws))
        else:
            present = ~np.isnan(ranks[:, index])
            effective = int(np.count_nonzero(~np.isnan(draws))) if samples.ndim == 2 else None
            found.append(_values(column, ranks[present, index], effective))
    return _adjusted(found)


def _values(column: Column, ranks: Rows, draws: int | None) -> Check:
    """Return the ranks of a column's numbers, by two tests: one for where they lie, one that sees tails."""
    count = len(ranks)
    if not count:
        return Check(column.name, "values", 0.0, 1.0, 1.0, 0.0, "")
    effective = count if draws is None else max(1, round(count * draws / (count + draws)))
    distance = float(stats.kstest(ranks, "uniform").statistic)
    counts = np.histogram(ranks, EDGES)[0].astype(np.float64)
    expected = np.diff(EDGES) * count
    statistic = float((np.square(counts - expected) / expected).sum()) * effective / count
    # What few rows bring into a cell is no normal number; a distribution of chi-square needs some five.
    by_cells = float(stats.chi2.sf(statistic, len(counts) - 1)) if expected.min() >= 5 else 1.0
    chance = min(1.0, 2 * min(float(stats.kstwo.sf(distance, effective)), by_cells))
    nats = divergence(counts, np.diff(EDGES) * (1e9 if draws is None else draws))
    bands = bands_of(1 - 2 * np.abs(ranks - 0.5), draws)
    return Check(column.name, "values", distance, chance, chance, nats, _miscalibration(ranks, effective), bands)


def _miscalibration(ranks: Rows, effective: int) -> str:
    """Return which way ranks (N,) are off uniform: the most certain of place, width and tails."""
    outer = np.abs(ranks - 0.5)
    looks = {
        ("the rows lie lower", "the rows lie higher"): _score(ranks, 0.5, effective, 12),
        ("the model is too wide", "the model is too narrow"): _score(outer, 0.25, effective, 48),
    }
    tails = (np.count_nonzero(outer > 0.49) / len(ranks) - 0.02) / np.sqrt(0.02 * 0.98 / effective)
    looks["the model's tails are too heavy", "the model's tails are too light"] = tails
    words, score = max(looks.items(), key=lambda each: abs(each[1]))
    return "" if abs(score) < 2 else words[int(score > 0)]


def _score(x: Rows, mean: float, effective: int, inverse_variance: float) -> float:
    """Return how many standard errors the mean of x is above that of a right model."""
    return (float(x.mean()) - mean) * float(np.sqrt(effective * inverse_variance))


def _shares(column: Column, values: Rows, draws: Rows) -> Check:
    """Return how often each category is there, among cells that are observed."""
    names = [*column.levels, "an unknown text"]
    codes = [np.where(x < 0, len(column.levels), x)[~np.isnan(x)].astype(np.int64) for x in (values, draws)]
    rows, drawn = (np.bincount(each, minlength=len(names)).astype(np.float64) for each in codes)
    if not (rows.sum() and drawn.sum()):
        return Check(column.name, "shares", 0.0, 1.0, 1.0, 0.0, "")
    p, q = rows / rows.sum(), drawn / drawn.sum()
    pooled = (rows + drawn) / (rows.sum() + drawn.sum())
    worst = int(np.argmax(np.abs(p - q) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12))))  # in standard errors
    detail = f"{names[worst]!r} has {p[worst]:.1%} of the rows and {q[worst]:.1%} of the draws"
    common, lump = _lumped(np.stack([rows, drawn]))
    chance = _chance_of_shares(common, lump)
    distance = float(np.abs(p - q).sum()) / 2
    nats = divergence(*np.column_stack([common, lump] if lump.any() else [common]))
    return Check(column.name, "shares", distance, chance, chance, nats, detail)


def _lumped(counts: Rows) -> tuple[Rows, Rows]:
    """Counts (2, L) of levels in rows and draws: those of common levels (2, K), and all rare ones together (2,)."""
    rare = _expected(counts) < LEAST_SHARE
    return counts[:, ~rare], counts[:, rare].sum(axis=1)


def _expected(counts: Rows) -> Rows:
    """Return how many are expected of each level (L,) in the smaller of the two."""
    return np.asarray(counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum())


def _chance_of_shares(common: Rows, lump: Rows) -> float:
    """Return how likely such counts are where both are of one distribution.

    Counts that are not small are no trouble for the distribution of chi-square. A lump of rare levels that is small
    itself is: it has an exact test of its own, against all the others (Fisher, 1922), and is none of the cells.
    """
    if not lump.any():
        return _chance(common)
    if not common.size:
        return 1.0
    together = np.column_stack([common, lump])
    if _expected(together)[-1] >= LEAST_SHARE:
        return _chance(together)
    differences = float(stats.fisher_exact(np.column_stack([common.sum(axis=1), lump])).pvalue)
    return min(1.0, 2 * min(differences, _chance(common))) if common.shape[1] > 1 else differences


def _chance(table: Rows) -> float:
    """Return the p-value of a table of counts (2, K); it is exact where there are two columns."""
    if table.shape[1] < 2:
        return 1.0
    if table.shape[1] == 2:
        return float(stats.fisher_exact(table).pvalue)
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _missing(column: Column, values: Rows, draws: Rows) -> Check:
    """Return how often the cell is missing."""
    rows, drawn = (np.array([np.isnan(x).sum(), (~np.isnan(x)).sum()], dtype=np.float64) for x in (values, draws))
    p, q = rows[0] / max(rows.sum(), 1), drawn[0] / max(drawn.sum(), 1)
    chance = float(stats.fisher_exact(np.array([rows, drawn])).pvalue)
    detail = f"missing in {p:.1%} of the rows and {q:.1%} of the draws"
    return Check(column.name, "missing", float(abs(p - q)), chance, chance, divergence(rows, drawn), detail)


def _adjusted(found: list[Check]) -> list[Check]:
    """Return the checks with their chances adjusted for being many (Holm, 1979)."""
    out, least = list(found), 0.0
    order = sorted(range(len(found)), key=lambda index: found[index].chance)
    for rank, index in enumerate(order):
        least = max(least, min(1.0, found[index].chance * (len(found) - rank)))
        out[index] = replace(found[index], adjusted=least)
    return out
