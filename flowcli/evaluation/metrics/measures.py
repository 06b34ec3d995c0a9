"""Rows beside draws, in every way that needs nothing but the two and their log-densities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flowcli.evaluation.metrics.calibration import Check, checks, column_ranks
from flowcli.evaluation.metrics.coverage import Coverage, coverage
from flowcli.evaluation.metrics.ranks import ranks_among
from flowcli.evaluation.metrics.two_sample import TwoSample, two_sample
from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

ALPHA = 0.0025  # of each test: with the four of them a right model is called wrong in one run of a hundred


@dataclass(frozen=True)
class Drawn:
    """A model's draws beside rows.

    Attributes:
        rows: (N, C).
        log_prob: The model's log-density of each, (N,).
        draws: (M, C); where the model is conditioned on columns K for each row, row by row, (N K, C).
        log_prob_draws: The log-density of each.
        schema: The columns.
    """

    rows: Rows
    log_prob: Rows
    draws: Rows
    log_prob_draws: Rows
    schema: Schema

    @property
    def each(self) -> int | None:
        """How many draws each row has of its own; ``None`` where all rows share them."""
        own = any(column.given for column in self.schema.columns)
        return len(self.draws) // len(self.rows) if own else None

    @property
    def singles(self) -> Rows:
        """Draws of which no two are given the same row's values."""
        return self.draws[:: self.each or 1]

    def part(self, rows: NDArray[np.int64], singles: NDArray[np.int64]) -> Drawn:
        """Return some of the rows and of the draws; where each row has draws of its own, those of rows in both."""
        if self.each is None:
            return Drawn(
                self.rows[rows], self.log_prob[rows], self.draws[singles], self.log_prob_draws[singles], self.schema
            )
        both = np.intersect1d(rows, singles)
        own = (both[:, None] * self.each + np.arange(self.each)).ravel()
        return Drawn(self.rows[both], self.log_prob[both], self.draws[own], self.log_prob_draws[own], self.schema)


@dataclass(frozen=True)
class Pair:
    """Two columns whose rank correlation is furthest from that of the draws.

    Attributes:
        columns: Their names.
        rows: Spearman's correlation in the rows.
        draws: The same in the draws.
    """

    columns: tuple[str, str]
    rows: float
    draws: float


@dataclass(frozen=True)
class Measures:
    """What was measured.

    Attributes:
        coverage: Of the model's regions.
        ranks: Of each cell among draws, (N, C).
        checks: Of each column.
        two_sample: Of a classifier; ``None`` where there are too few rows.
        dependence: The same of numbers replaced by their ranks, of rows among rows and of draws among draws, so that
            columns by themselves tell nothing; ``None`` where the first classifier tells nothing.
        pair: The columns whose dependence differs most; ``None`` where it was not looked for.
    """

    coverage: Coverage
    ranks: Rows
    checks: tuple[Check, ...]
    two_sample: TwoSample | None
    dependence: TwoSample | None
    pair: Pair | None


def measured(drawn: Drawn, seed: int) -> Measures:
    """Measure rows beside draws."""
    draws, of_draws = drawn.draws, drawn.log_prob_draws
    if drawn.each is not None:
        draws, of_draws = draws.reshape(len(drawn.rows), drawn.each, -1), of_draws.reshape(len(drawn.rows), drawn.each)
    ranks = column_ranks(drawn.rows, draws, drawn.schema, seed)
    found = two_sample(drawn.rows, drawn.singles, drawn.schema, seed, least_chance=ALPHA)
    dependence = pair = None
    modelled = sum(column.kind != "constant" for column in drawn.schema.columns)
    if found is not None and found.chance < ALPHA and modelled > 1:
        random = numpy_generator(seed, Stream.MEASURES)
        rows, singles = (_alone(table, drawn.schema, random) for table in (drawn.rows, drawn.singles))
        dependence = two_sample(rows, singles, drawn.schema, seed)
        pair = _pair(rows, singles, drawn.schema)
    return Measures(
        coverage(drawn.log_prob, of_draws, seed),
        ranks,
        tuple(checks(ranks, drawn.rows, draws, drawn.schema)),
        found,
        dependence,
        pair,
    )


def _alone(table: Rows, schema: Schema, random: np.random.Generator) -> Rows:
    """Return rows (N, C) with the ranks of numbers among their own column in the place of the numbers."""
    out = table.copy()
    for index, column in enumerate(schema.columns):
        if not column.text:
            out[:, index] = ranks_among(table[:, index], table[:, index], random)
    return out


def _pair(rows: Rows, draws: Rows, schema: Schema) -> Pair | None:
    """Return the pair of columns of numbers, of ranks (N, C) and (M, C), whose correlation differs most."""
    indices = [p for p, c in enumerate(schema.columns) if not (c.text or c.kind == "constant")]
    best = None
    for number, one in enumerate(indices):
        for other in indices[number + 1 :]:
            both = [_correlation(table[:, one], table[:, other]) for table in (rows, draws)]
            pair = Pair((schema.columns[one].name, schema.columns[other].name), *both)
            if best is None or abs(pair.rows - pair.draws) > abs(best.rows - best.draws):
                best = pair
    return best


def _correlation(x: Rows, y: Rows) -> float:
    present = ~(np.isnan(x) | np.isnan(y))
    if present.sum() < 3 or not (np.ptp(x[present]) and np.ptp(y[present])):
        return 0.0
    return float(stats.pearsonr(x[present], y[present]).statistic)
