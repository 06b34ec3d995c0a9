"""What ``logprob`` writes of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.conditional.by_column import by_column
from flowcli.conditional.conditionals import MOST_CANDIDATES
from flowcli.conditional.importance import ROWS, Randomness
from flowcli.encoding.rounding import DRAWS
from flowcli.errors import NumericsError, UsageError
from flowcli.model import Density, Terms
from flowcli.model.density import Rows
from flowcli.model.flow_density import require_flow
from flowcli.table import Column, to_arrow

OF_COLUMN, OF_HELD_OUT, FLAG, ODDEST = "logprob_", "percentile", "odd", "oddest"
UNSURE, MOST_UNSURE = 0.5, 0.5  # nats of a standard error; share of the rows for which it may be so


@dataclass(frozen=True)
class ScoreRequest:
    """What is asked of each row.

    Attributes:
        name: Of the log-density's column.
        terms: Whether the terms of the formula come before it.
        per_column: Whether each column's share of it does, and the oddest column comes after it.
        columns: Names of the columns whose marginal density it is; ``None`` for that of the whole row.
        error: Whether its standard error comes after it.
        percentile: Whether the share of held-out rows that are less likely does.
        threshold: The share below which a row is flagged, if any is to be.
        draws: Points in the cell of a rounded number.
        candidates: For what is not asked about, at most.
        seed: Of these.
        double: Whether to compute in float64.
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
    """The columns that are added to a table, and their values.

    Args:
        density: What scores.
        wishes: What is asked.

    Raises:
        UsageError: The density has no such thing.
    """

    def __init__(self, density: Density, wishes: ScoreRequest) -> None:
        self._density, self._wishes = density, wishes
        before = self._term_names if wishes.terms else []
        if wishes.per_column:
            before += [f"{OF_COLUMN}{name}" for name in self._modelled]
        after = [f"{wishes.name}_error"] if wishes.error else []
        after += [OF_HELD_OUT] if wishes.percentile else []
        after += [FLAG] if wishes.threshold is not None else []
        after += [ODDEST] if wishes.per_column else []
        self.names = [*before, wishes.name, *after]
        if not wishes.name or len(set(self.names)) < len(self.names):
            raise UsageError(
                f"--name {wishes.name!r}: " + ("another column here has that name" if wishes.name else "give a name")
            )
        self._scored = self._unsure = 0
        if wishes.columns is not None or wishes.per_column:  # queries are made ready before there are processes
            self._chosen = density.queries.chosen(wishes.columns or [])

    @property
    def needed(self) -> list[Column]:
        """The columns that rows must have: all, or those that are asked about and what they are conditioned on."""
        wanted = self._wishes.columns
        return [c for c in self._density.schema.columns if wanted is None or c.given or c.name in wanted]

    @property
    def outputs(self) -> int:
        """How many numbers are computed of a row: those that are written, and whether they are unsure."""
        return len(self.names) + 1

    @property
    def rows(self) -> int:
        """How many rows are computed at once."""
        wishes = self._wishes
        return ROWS if wishes.per_column or wishes.columns is not None else self._density.block_rows

    @property
    def notes(self) -> list[str]:
        """What should be said of the model before the first row."""
        threshold = self._wishes.threshold
        if threshold is None or threshold >= self._density.levels.rarest():
            return []
        return [
            f"the model has {self._density.summary.get('held_out_rows', 0):,} held-out rows, too few to tell"
            f" {threshold:g} apart: flagged is what is no likelier than all of them"
        ]

    @property
    def remarks(self) -> list[str]:
        """What should be said of the results after the last row.

        Raises:
            NumericsError: They cannot be relied on.
        """
        of_all = f"for {self._unsure:,} of {self._scored:,} rows"
        if self._wishes.columns is not None and self._unsure > MOST_UNSURE * self._scored:
            raise NumericsError(
                f"the marginal density cannot be estimated: {of_all} the standard error is above {UNSURE} nats; ask for"
                " more columns, or give more --candidates"
            )
        if not self._unsure:
            return []
        what = "a share" if self._wishes.per_column else "the density"
        return [f"{of_all} {what} is unsure, by a standard error of more than {UNSURE} nats"]

    def compute(self, number: int, values: Rows) -> Rows:
        """The numbers (n, outputs) of the rows (n, N_c) of a block."""
        wishes, density = self._wishes, self._density
        before: list[Rows] = []
        unsure, random = np.zeros(len(values)), Randomness((wishes.seed,), number)
        if wishes.columns is not None:
            found = density.queries.marginal(values, self._chosen, random, most=wishes.candidates)
            log_prob, error, unsure = found.log_prob, found.error, (found.error > UNSURE).astype(np.float64)
        elif wishes.terms:
            terms = require_flow(density).terms(values, double=wishes.double, draws=wishes.draws, seed=wishes.seed)
            log_prob, error = terms.log_prob, terms.error
            before = self._term_values(terms)
        else:
            scores = density.scores(values, double=wishes.double, draws=wishes.draws, seed=wishes.seed)
            log_prob, error = scores.log_prob, scores.error
        after = [error] if wishes.error else []
        if wishes.percentile or wishes.threshold is not None:
            percentiles = self._density.levels.percentiles(log_prob)
            after += [percentiles] if wishes.percentile else []
            if wishes.threshold is not None:
                after.append((percentiles < wishes.threshold).astype(np.float64))
        if wishes.per_column:
            apart = by_column(density.queries, values, log_prob, random)
            unsure = (apart.error > UNSURE).astype(np.float64)
            before += [apart.terms[:, place] for place, c in enumerate(density.schema.columns) if not c.given]
            after.append(apart.oddest.astype(np.float64))
        return np.column_stack([*before, log_prob, *after, unsure])

    def table(self, found: Rows | None = None, bad: NDArray[np.bool_] | None = None) -> pa.Table:
        """The columns as a table, or as one without rows; rows that could not be read have nothing in them."""
        found = np.empty((0, self.outputs)) if found is None else found
        good = np.ones(len(found), dtype=np.bool_) if bad is None else ~bad
        self._scored += int(good.sum())
        self._unsure += int(found[good, -1].sum())
        columns = []
        for name, column in zip(self.names, found.T, strict=False):
            values = to_arrow(column)
            if name == FLAG and self._wishes.threshold is not None:
                values = pa.array(column.astype(np.bool_))
            elif name == ODDEST and self._wishes.per_column:
                names = pa.array(self._density.schema.names, pa.string())
                values = names.take(pa.array(np.where(good, column, 0).astype(np.int64)))
            columns.append(values if good.all() else pa.array(values.to_pylist(), values.type, mask=~good))
        return pa.table(columns, names=self.names)

    @property
    def _modelled(self) -> list[str]:
        return [column.name for column in self._density.schema.columns if not column.given]

    @property
    def _term_names(self) -> list[str]:
        layout = require_flow(self._density).encoding.layout
        parts = {
            "angle_logprob": layout.angles > 0,
            "discrete_logprob": bool(layout.outcomes),
            "cell_correction": self._density.rounded,
        }
        latents = [f"z{i + 1}" for i in range(layout.coordinates)]
        return [*latents, "base_logprob", "log_det", *(part for part, there in parts.items() if there)]

    def _term_values(self, terms: Terms) -> list[Rows]:
        parts = {
            "base_logprob": terms.base_log_prob,
            "log_det": terms.log_det,
            "angle_logprob": terms.angles_log_prob,
            "discrete_logprob": terms.codes_log_prob,
            "cell_correction": terms.cell_correction,
        }
        return [*terms.latents.T, *(values for part, values in parts.items() if part in self._term_names)]
