"""Scores of rows: log-densities, their terms, percentiles, marginals and attributions, as columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.conditional.by_column import by_column
from flowcli.conditional.conditionals import MOST_CANDIDATES, Conditionals
from flowcli.conditional.importance import ROWS, Randomness
from flowcli.encoding.rounding import DRAWS
from flowcli.errors import NumericsError, UsageError
from flowcli.model import Density, Terms
from flowcli.model.density import Rows
from flowcli.model.flow_density import require_flow
from flowcli.model.foreign_numbers import ForeignNumbers
from flowcli.model.training_range import DistantGiven
from flowcli.parallel.block_pool import BlockPool, Work
from flowcli.parallel.waiting import Waiting
from flowcli.table import Block, Column, to_arrow

COLUMN_PREFIX, PERCENTILE, FLAG, ODDEST = "logprob_", "percentile", "odd", "oddest"
UNRELIABLE_ERROR, MAX_UNRELIABLE = 0.5, 0.5  # nats of standard error; share of the rows that may have more


@dataclass(frozen=True)
class ScoreRequest:
    """What is computed of each row.

    Attributes:
        name: The name of the log-density's column.
        terms: Whether the terms of the change of variables come before it.
        per_column: Whether each column's share of it comes before it, and the oddest column after it.
        columns: The columns whose marginal density is wanted; ``None`` for the density of the whole row.
        error: Whether its standard error comes after it.
        percentile: Whether the share of held-out rows that are less likely comes after it.
        threshold: The percentile below which a row is flagged; ``None`` for no flag.
        draws: Points in the rounding interval of a number.
        candidates: At most so many importance samples for the columns that are not asked about.
        seed: Seeds both.
        double: Whether flows are computed in float64.
    """

    name: str = "logprob"
    terms: bool = False
    per_column: bool = False
    columns: list[str] | None = None
    error: bool = False
    percentile: bool = False
    threshold: float | None = None
    draws: int = DRAWS
    candidates: int = MOST_CANDIDATES
    seed: int = 0
    double: bool = False


class Scorer:
    """Computes the scores of rows, and lays them out as columns.

    Args:
        density: The density.
        conditionals: Its conditionals, for marginals and attributions; needed for nothing else.
        request: What is wanted.

    Attributes:
        names: The names of the columns.

    Raises:
        UsageError: The density has no such score, or two columns would have one name.
    """

    def __init__(self, density: Density, conditionals: Conditionals | None, request: ScoreRequest) -> None:
        self._density, self._conditionals, self._request = density, conditionals, request
        before = self._term_names if request.terms else []
        if request.per_column:
            before += [f"{COLUMN_PREFIX}{column.name}" for column in self._modelled]
        after = [f"{request.name}_error"] if request.error else []
        after += [PERCENTILE] if request.percentile else []
        after += [FLAG] if request.threshold is not None else []
        after += [ODDEST] if request.per_column else []
        self.names = [*before, request.name, *after]
        if not request.name or len(set(self.names)) < len(self.names):
            problem = "another column here has that name" if request.name else "give a name"
            raise UsageError(f"--name {request.name!r}: {problem}")
        self._scored = self._unreliable = 0
        self._distant = DistantGiven(density)
        self._foreign = ForeignNumbers(density, [column.name for column in self.columns])
        if conditionals is not None:
            self._asked = conditionals.mask(request.columns or [])

    @property
    def columns(self) -> list[Column]:
        """The columns that rows must have: all, or those that are asked about and the conditioning ones."""
        asked = self._request.columns
        return [c for c in self._density.schema.columns if asked is None or c.given or c.name in asked]

    @property
    def block_rows(self) -> int:
        """How many rows are computed at once."""
        return self._density.block_rows if self._conditionals is None else ROWS

    @property
    def warnings(self) -> list[str]:
        """What should be said of the model before the first row."""
        threshold = self._request.threshold
        if threshold is None or threshold >= self._density.reference.rarest():
            return []
        return [
            f"the model has {self._density.summary.get('held_out_rows', 0):,} held-out rows, too few to tell"
            f" {threshold:g} apart: flagged is what is no likelier than all of them"
        ]

    @property
    def remarks(self) -> list[str]:
        """What should be said of the results after the last row.

        Raises:
            NumericsError: They are not reliable.
        """
        share = f"for {self._unreliable:,} of {self._scored:,} rows"
        if self._request.columns is not None and self._unreliable > MAX_UNRELIABLE * self._scored:
            raise NumericsError(
                f"the marginal density cannot be estimated: {share} the standard error is above"
                f" {UNRELIABLE_ERROR} nats; ask for more columns, or give more --candidates"
            )
        notes = [*self._foreign.notes, *self._distant.notes]
        if not self._unreliable:
            return notes
        what = "a share" if self._request.per_column else "the density"
        return [*notes, f"{share} {what} is unsure, by a standard error of more than {UNRELIABLE_ERROR} nats"]

    def blocks(
        self, blocks: Iterable[tuple[Block, Rows] | Waiting], pool: BlockPool
    ) -> Iterator[tuple[Block, pa.Table]]:
        """Score blocks of a table in order; each comes with its rows (n, N_c) and is given back with its scores."""
        work = Work(self.compute, self.block_rows, len(self._density.schema.columns), len(self.names) + 1)
        position = self.names.index(self._request.name)
        chunks = (each if isinstance(each, Waiting) else (each, each[1]) for each in blocks)
        for (block, rows), results in pool.map(chunks, work):
            good = slice(None) if block.bad is None else ~block.bad
            self._distant.add(rows[good])
            self._foreign.add(rows[good], results[good, position])
            yield block, self.table(results, block.bad)

    def compute(self, number: int, values: Rows) -> Rows:
        """Compute the scores of the rows (n, N_c) of a block, (n, names), and in a last column which are unreliable."""
        request, density, conditionals = self._request, self._density, self._conditionals
        before: list[Rows] = []
        unreliable, random = np.zeros(len(values)), Randomness(request.seed, first=number)
        if request.columns is not None:
            assert conditionals is not None
            marginal = conditionals.marginal(values, self._asked, random, max_candidates=request.candidates)
            log_prob, error = marginal.log_prob, marginal.error
            unreliable = (error > UNRELIABLE_ERROR).astype(np.float64)
        elif request.terms:
            terms = require_flow(density).terms(values, double=request.double, draws=request.draws, seed=request.seed)
            log_prob, error = terms.log_prob, terms.error
            before = self._term_values(terms)
        else:
            scores = density.scores(values, double=request.double, draws=request.draws, seed=request.seed)
            log_prob, error = scores.log_prob, scores.error
        after = [error] if request.error else []
        if request.percentile or request.threshold is not None:
            percentiles = density.reference.percentiles(log_prob)
            after += [percentiles] if request.percentile else []
            if request.threshold is not None:
                after.append((percentiles < request.threshold).astype(np.float64))
        if request.per_column:
            assert conditionals is not None
            attribution = by_column(conditionals, values, log_prob, random)
            unreliable = (attribution.error > UNRELIABLE_ERROR).astype(np.float64)
            before += [attribution.terms[:, i] for i, c in enumerate(density.schema.columns) if not c.given]
            after.append(attribution.oddest.astype(np.float64))
        return np.column_stack([*before, log_prob, *after, unreliable])

    def table(self, results: Rows | None = None, bad: NDArray[np.bool_] | None = None) -> pa.Table:
        """Return scores (n, names + 1) as a table, without rows by default; rows that are bad have empty cells."""
        results = np.empty((0, len(self.names) + 1)) if results is None else results
        good = np.ones(len(results), dtype=np.bool_) if bad is None else ~bad
        self._scored += int(good.sum())
        self._unreliable += int(results[good, -1].sum())
        columns = []
        for name, column in zip(self.names, results.T, strict=False):
            values = to_arrow(column)
            if name == FLAG and self._request.threshold is not None:
                values = pa.array(column.astype(np.bool_))
            elif name == ODDEST and self._request.per_column:
                names = pa.array(self._density.schema.names, pa.string())
                values = names.take(pa.array(np.where(good, column, 0).astype(np.int64)))
            columns.append(values if good.all() else pa.array(values.to_pylist(), values.type, mask=~good))
        return pa.table(columns, names=self.names)

    @property
    def _modelled(self) -> list[Column]:
        return [column for column in self._density.schema.columns if not column.given]

    @property
    def _term_names(self) -> list[str]:
        layout = require_flow(self._density).encoder.layout
        optional = {
            "angle_logprob": layout.angles > 0,
            "discrete_logprob": bool(layout.outcome_counts),
            "cell_correction": self._density.rounded,
        }
        latents = [f"z{i + 1}" for i in range(layout.coordinates)]
        return [*latents, "base_logprob", "log_det", *(name for name, is_present in optional.items() if is_present)]

    def _term_values(self, terms: Terms) -> list[Rows]:
        values = {
            "base_logprob": terms.base_log_prob,
            "log_det": terms.log_det,
            "angle_logprob": terms.angles_log_prob,
            "discrete_logprob": terms.codes_log_prob,
            "cell_correction": terms.cell_correction,
        }
        return [*terms.latents.T, *(value for name, value in values.items() if name in self._term_names)]
