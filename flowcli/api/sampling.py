"""Drawing rows as a user asks for them: given values, conditions to meet, no missing cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flowcli.conditional.conditionals import MOST_CANDIDATES, Conditionals
from flowcli.conditional.importance import Randomness
from flowcli.conditional.rejection import Rejection, ScoredRows, usual_budget
from flowcli.conditional.sampling import Sampler, SampleRequest
from flowcli.errors import NumericsError, UsageError
from flowcli.model.density import Rows
from flowcli.parallel.block_pool import BlockPool
from flowcli.table import Condition, Schema
from flowcli.table.values.words import is_missing


@dataclass(frozen=True)
class SamplePlan:
    """Rows to be drawn.

    Attributes:
        request: What they should be like.
        draws: How many rows are drawn, at most where some of them are rejected.
        rejection: What keeps the rows that meet a condition, if there is one.
    """

    request: SampleRequest
    draws: int
    rejection: Rejection | None = None


def plan_sample(
    schema: Schema,
    rows: int,
    *,
    seed: int,
    known: Rows | None = None,
    complete: bool = False,
    where: str | None = None,
    budget: int | None = None,
) -> SamplePlan:
    """Plan how to draw rows.

    Args:
        schema: The columns of the model.
        rows: How many rows are wanted.
        seed: Seeds all random numbers.
        known: For each row the values that it should have, (rows, N_c), NaN in the columns to be drawn.
        complete: Whether cells that would be missing are filled.
        where: A condition that rows have to meet, such as ``"x > 0 and y < 3"``.
        budget: How many rows to draw at most for that; by default a thousand for each, and a million at least.

    Raises:
        UsageError: The condition cannot be understood, or does not go together with known values.
    """
    if where is not None and known is not None:
        raise UsageError("--where and --given do not go together; of what is likely a condition will do")
    rejection = None if where is None else Rejection(Condition(where, schema.columns), rows)
    fixed = None if known is None or not known_names(schema, known) else known
    draws = rows if rejection is None else budget or usual_budget(rows)
    return SamplePlan(SampleRequest(seed, known, fixed, complete), draws, rejection)


def sample_blocks(
    sampler: Sampler, plan: SamplePlan, pool: BlockPool, *, with_log_prob: bool = False
) -> Iterator[ScoredRows]:
    """Draw rows (b, N_c) block by block, with their log-densities (b,) or ``None``."""
    blocks: Iterator[ScoredRows] = (
        sampler.scored_blocks(plan.draws, plan.request, pool)
        if with_log_prob
        else ((values, None) for values in sampler.blocks(plan.draws, plan.request, pool))
    )
    return blocks if plan.rejection is None else plan.rejection.accepted(blocks)


def known_names(schema: Schema, known: Rows) -> list[str]:
    """Return the columns, other than conditioning ones, whose values are known in the first of some rows."""
    if not len(known):
        return []
    cells = zip(schema.columns, known[0], strict=True)
    return [column.name for column, value in cells if not (column.given or is_missing(np.array(value)))]


def resampling_note(conditionals: Conditionals, row: Rows) -> str:
    """Return how reliable draws given the known columns of a row (1, N_c) are.

    Raises:
        UsageError: A total is known without its parts.
        NumericsError: The model gives the known values no density.
    """
    names = known_names(conditionals.schema, row)
    marginal = conditionals.marginal(row, conditionals.mask(names), Randomness(0))
    log_prob, error, effective = (float(each[0]) for each in marginal)
    if log_prob == -np.inf:
        raise NumericsError(f"--given: the model gives {', '.join(names)} no density there, so nothing can be drawn")
    return (
        f"drawn by importance resampling: {effective:,.0f} of up to {MOST_CANDIDATES:,} candidates count; what is given"
        f" has a log-density of {log_prob:.4g} ± {error:.2g}"
    )
