"""An evaluation from start to end: draws, log-densities, everything that is measured of them, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.findings import Evidence, Finding, findings, verdict
from flowcli.evaluation.metrics.calibration import Check
from flowcli.evaluation.metrics.comparison import Nats, mean_nats
from flowcli.evaluation.metrics.copies import Copies, copies
from flowcli.evaluation.metrics.impossible import impossible
from flowcli.evaluation.metrics.matching import matched
from flowcli.evaluation.metrics.measures import ALPHA, Drawn, Measures, measured
from flowcli.evaluation.metrics.modes import UnmatchedPoints, unmatched_points
from flowcli.evaluation.metrics.repeats import Seen, once, seen
from flowcli.evaluation.metrics.rivals import Rivals, rivals
from flowcli.model import Density
from flowcli.model.foreign_numbers import ForeignNumbers
from flowcli.random import Stream, numpy_generator

Rows = NDArray[np.float64]

DRAWS = 10_000
LEAST_EACH = 9  # draws for each row, where a model is conditioned on something
MOST_ROWS = 20_000  # that are looked at beside draws; log-densities are of all rows


@dataclass(frozen=True)
class Evaluation:
    """How good a model is, on rows that it was not fitted to.

    Attributes:
        nats: Its mean log-density of the rows, without repeats.
        own_nats: Its mean log-density of its draws.
        train_nats: That of the training rows, where they are known.
        rivals: Simple densities on the same rows.
        drawn: The rows, the draws and their log-densities.
        measures: What was measured of these.
        unmatched_points: Rows far from draws, and draws far from rows.
        copies: Whether draws are copies; ``None`` where there are too few rows, or where the rows are not new.
        repeats: How many rows were left out of all of this, being another to the digit without a reason.
        seen: How many rows are training rows, where these are known and it is not by chance.
        findings: What is wrong, the weightiest first.
        notes: What should be said of the rows themselves: numbers among them that are none of their column's.
    """

    nats: Nats
    own_nats: Nats
    train_nats: Nats | None
    rivals: Rivals | None
    drawn: Drawn
    measures: Measures
    unmatched_points: tuple[UnmatchedPoints, UnmatchedPoints] | None
    copies: Copies | None
    repeats: int
    seen: Seen | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """All of it in one line."""
        return verdict(self.findings, self.nats.rows)


def evaluate(
    density: Density,
    rows: Rows,
    *,
    train: Rows | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Evaluate a density on rows.

    Args:
        density: The model.
        rows: Rows that it was not fitted to, (N, N_c), one at least.
        train: The rows that it was fitted to, (T, N_c), if they are at hand.
        draws: How many rows to draw; where the density is conditioned on columns, at least ``LEAST_EACH`` for each row.
        seed: Of the draws and of everything else that is random.
        processes: How many processes score and draw.
        progress: Called with what is being done next.
    """
    with density.pool(processes) as pool:
        progress(f"scoring {len(rows):,} rows")
        log_prob = density.pooled_log_prob(rows, pool, seed=seed)
        numbers = ForeignNumbers(density)
        numbers.add(rows, log_prob)
        of_train = None
        if train is not None:
            log_prob_train = density.pooled_log_prob(train, pool, seed=seed)
            numbers.add(train, log_prob_train)
            of_train = mean_nats(log_prob_train)
        chosen = np.sort(numpy_generator(seed, Stream.EVALUATION_ROWS).permutation(len(rows))[:MOST_ROWS])
        beside, given = rows[chosen], None
        if any(column.given for column in density.schema.columns):
            each = max(LEAST_EACH, draws // len(beside))
            given = np.repeat(beside, each, axis=0)
            draws = len(given)
        progress(f"drawing {draws:,} rows")
        parts = list(density.pooled_sample(draws, pool, seed=seed, given=given))
        values = np.concatenate(parts)
        progress(f"scoring {draws:,} draws")
        drawn = Drawn(
            beside, log_prob[chosen], values, density.pooled_log_prob(values, pool, seed=seed), density.schema
        )
    familiar = None if train is None else seen(rows, drawn.singles, train)
    repeats = 0
    if (first := once(rows, drawn.singles)) is not None:
        repeats = len(rows) - len(first)
        drawn = _without_repeats(drawn, first, chosen)
        rows, log_prob = rows[first], log_prob[first]
    zero = impossible(log_prob, rows, density)
    progress("fitting simple models")
    simple = rivals(log_prob, rows, density.schema, seed, train)
    progress("training classifiers")
    measures = measured(drawn, seed)
    progress("looking at neighbours")
    crowds = unmatched_points(drawn.rows, drawn.singles, density.schema, seed)
    remaining, remaining_measures, shares = drawn, measures, None
    if crowds is not None and any(each.is_mode for each in crowds):
        remaining = drawn.part(*(each.others if each.is_mode else each.looked_at for each in crowds))
        remaining_measures = measured(remaining, seed)
    worst = _worst_shares(remaining_measures) if drawn.each is None else None
    if worst is not None and (alike := matched(remaining, worst)) is not None:
        shares, remaining_measures = worst, measured(alike, seed)
    near = None if familiar is not None else copies(drawn.rows, drawn.singles, density.schema, seed, train)
    nats, own_nats = mean_nats(log_prob), mean_nats(drawn.log_prob_draws)
    found = findings(
        Evidence(measures, remaining_measures, shares, crowds, near, simple, nats, own_nats, of_train, zero, familiar)
    )
    return Evaluation(
        nats,
        own_nats,
        of_train,
        simple,
        drawn,
        measures,
        crowds,
        near,
        repeats,
        familiar,
        tuple(found),
        tuple(numbers.notes),
    )


def _without_repeats(drawn: Drawn, first: NDArray[np.int64], chosen: NDArray[np.int64]) -> Drawn:
    """Only those of the chosen rows, beside draws, that are the first of their kind."""
    kept = np.flatnonzero(np.isin(chosen, first))
    return drawn.part(kept, np.arange(len(drawn.singles)))


def _worst_shares(measures: Measures) -> Check | None:
    """Return the column whose categories or missing cells are surely off, and most."""
    off = [check for check in measures.checks if check.aspect != "values" and check.adjusted < ALPHA]
    return max(off, key=lambda check: check.nats, default=None)
