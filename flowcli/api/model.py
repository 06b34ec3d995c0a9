"""A fitted model, for notebooks and for the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from flowcli import model as models
from flowcli import table
from flowcli.api.imputing import Filled, Imputer
from flowcli.api.sampling import SamplePlan, plan_sample, resampling_note, sample_blocks
from flowcli.api.scoring import Scorer, ScoreRequest
from flowcli.conditional.by_column import by_column
from flowcli.conditional.conditionals import MOST_CANDIDATES, Conditionals, Marginal
from flowcli.conditional.importance import Randomness
from flowcli.conditional.rejection import ScoredRows
from flowcli.conditional.sampling import Sampler
from flowcli.errors import UsageError
from flowcli.model import Density, Terms
from flowcli.model.density import Rows
from flowcli.model.flow_density import require_flow
from flowcli.model.foreign_numbers import ForeignNumbers
from flowcli.model.training_range import DistantGiven
from flowcli.parallel.waiting import Waiting
from flowcli.random import Stream
from flowcli.table.values.words import is_missing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class Model:
    """A fitted density over the columns of a table.

    Attributes:
        density: The density of rows as arrays.
    """

    def __init__(self, density: Density) -> None:
        self.density = density

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.density.schema.names

    @property
    def summary(self) -> dict[str, Any]:
        """What is known of the training: rows, held-out nats with their standard error, history, seed."""
        return self.density.summary

    @cached_property
    def conditionals(self) -> Conditionals:
        """Marginals and conditionals by importance sampling; the first use draws some rows to prepare."""
        return Conditionals(self.density)

    @cached_property
    def sampler(self) -> Sampler:
        """Draws blocks of rows."""
        return Sampler(self.density, lambda: self.conditionals)

    # --- frames -------------------------------------------------------------------------------------------------------

    def log_prob(
        self, frame: pd.DataFrame, *, precision: str = "float32", notice: Callable[[str], None] | None = None
    ) -> NDArray[np.float64]:
        """Return the log-density of each row, in nats, in the units of the frame, (B,).

        Args:
            frame: Rows; columns are matched by name.
            precision: ``float32`` or ``float64``, of the flow.
            notice: Called with each line worth saying, such as how many rows have a number that is none of its
                column's.

        Raises:
            DataError: A column is missing, or a cell cannot be read.
            UsageError: There is no such precision.
        """
        say, values = notice or _silent, self._values(frame)
        log_prob = self.density.log_prob(values, double=_is_double(precision))
        foreign, distant = ForeignNumbers(self.density), DistantGiven(self.density)
        foreign.add(values, log_prob)
        distant.add(values)
        for line in [*foreign.notes, *distant.notes]:
            say(line)
        return log_prob

    def terms(self, frame: pd.DataFrame, *, precision: str = "float32") -> Terms:
        """Return the terms of the change of variables: latents, their base log-density, the log-det.

        Raises:
            UsageError: The model is an ensemble, which has none.
        """
        return require_flow(self.density).terms(self._values(frame), double=_is_double(precision))

    def percentile(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return the share of the held-out rows that are less likely than each row, (B,).

        Raises:
            UsageError: The model was fitted before that was kept.
        """
        return self.density.reference.percentiles(self.log_prob(frame))

    def log_prob_by_column(self, frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """Return conditional log-densities of the columns that add up to each row's; see ``conditional.by_column``.

        Returns:
            A column for each of the model's, and ``oddest``: the one that most likely holds a mistake.
        """
        import pandas as pd

        values, schema = self._values(frame), self.density.schema
        attribution = by_column(self.conditionals, values, self.density.log_prob(values), Randomness(seed))
        terms = pd.DataFrame(attribution.terms, columns=pd.Index(schema.names), index=frame.index)
        terms = terms[[column.name for column in schema.columns if not column.given]]
        return terms.assign(oddest=[schema.names[index] for index in attribution.oddest])

    def marginal(
        self, frame: pd.DataFrame, columns: Sequence[str], *, seed: int = 0, candidates: int = MOST_CANDIDATES
    ) -> Marginal:
        """Return the log-density of some columns of each row with its Monte Carlo error, (B,) each.

        Args:
            frame: Rows, of which only these columns and conditioning ones are needed.
            columns: The columns whose joint density is wanted.
            seed: Seeds the candidates for the other columns.
            candidates: How many of these there are at most.

        Raises:
            UsageError: The model has no such column, or a total is asked for without its parts.
        """
        mask = self.conditionals.mask(columns)
        read = [column for column in self.density.schema.columns if column.given or column.name in columns]
        values = self._among_all(frame, read)
        return self.conditionals.marginal(values, mask, Randomness(seed), max_candidates=candidates)

    def impute(self, frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """Return the rows with draws in their missing cells, as ``flowcli impute`` fills them, without other columns.

        Raises:
            NumericsError: Rows cannot be filled, because what is known of them is hardly possible.
        """
        columns = Imputer(self.conditionals).columns
        values = table.frame_values(frame, columns)
        random = Randomness(seed, Stream.IMPUTE, (0,))
        filled = self.conditionals.draw(values, ~is_missing(values), random, complete=True).reliable()
        return self._frame(filled).set_index(frame.index)

    def sample(
        self,
        rows: int,
        *,
        seed: int = 0,
        given: pd.DataFrame | None = None,
        complete: bool = False,
        where: str | None = None,
        budget: int | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> pd.DataFrame:
        """Draw rows, with the columns and number formats of the data that the model was fitted to.

        Args:
            rows: How many, for each row of ``given`` where there is one.
            seed: The same seed gives the same rows.
            given: Values of columns that drawn rows should have: all columns that the density is conditioned on, and
                any others.
            complete: Fill cells that would be missing, as they are in rows where nothing is missing.
            where: Keep only rows that meet a condition such as ``"x > 0 and y < 3"``.
            budget: How many rows to draw at most for that; a thousand for each by default, and a million at least.
            notice: Called with each line worth saying, such as that a given number lies far outside of the training
                range of its column.

        Raises:
            UsageError: The condition cannot be understood, or a conditioning column is not given.
            NumericsError: Too few rows meet it, or too few candidates are likely beside what is given.
        """
        known = None if given is None else self._known(given, rows)
        rows = rows if known is None else len(known)
        plan = self.plan_sample(rows, seed=seed, known=known, complete=complete, where=where, budget=budget)
        for line in self.given_notes(plan):
            (notice or _silent)(line)
        blocks = [values for values, _ in self.sample_blocks(plan)]
        return self._frame(np.concatenate(blocks) if blocks else np.empty((0, len(self.columns))))

    # --- blocks, in several processes ---------------------------------------------------------------------------------

    def scorer(self, request: ScoreRequest) -> Scorer:
        """Return what computes the scores of rows, to be asked for its columns and passed to ``score_blocks``.

        Raises:
            UsageError: The model has no such score.
        """
        asks = request.columns is not None or request.per_column
        return Scorer(self.density, self.conditionals if asks else None, request)

    def score_blocks(
        self,
        blocks: Iterable[table.Block | Waiting],
        scorer: Scorer,
        *,
        whole: Callable[[Rows], Rows] = lambda values: values,
        processes: int = 1,
    ) -> Generator[tuple[table.Block, pa.Table], None, None]:
        """Score the blocks of an open table, in order.

        Args:
            blocks: Of the scorer's columns.
            scorer: From ``scorer``.
            whole: Makes rows of all columns (n, N_c) of those of a block.
            processes: How many processes compute.

        Yields:
            Each block with its scores, a row for each row.
        """
        chunks = (block if isinstance(block, Waiting) else (block, whole(block.values)) for block in blocks)
        with self.density.pool(processes) as pool:
            yield from scorer.blocks(chunks, pool)

    def plan_sample(
        self,
        rows: int,
        *,
        seed: int,
        known: Rows | None = None,
        complete: bool = False,
        where: str | None = None,
        budget: int | None = None,
    ) -> SamplePlan:
        """Plan to draw rows, each with the values of a row of ``known`` (rows, N_c), NaN in the columns to be drawn.

        Raises:
            UsageError: A conditioning column is not known, or the condition cannot be understood.
        """
        conditions = [column.name for column in self.density.schema.columns if column.given]
        if conditions and known is None:
            raise UsageError(f"the density is conditioned on {', '.join(conditions)}: give their values, no condition")
        schema = self.density.schema
        return plan_sample(schema, rows, seed=seed, known=known, complete=complete, where=where, budget=budget)

    def sample_blocks(
        self, plan: SamplePlan, *, with_log_prob: bool = False, processes: int = 1
    ) -> Generator[ScoredRows, None, None]:
        """Draw rows (b, N_c) block by block, each with its log-densities (b,) or ``None``.

        Raises:
            NumericsError: A row cannot be drawn, or too few rows meet the condition.
        """
        with self.density.pool(processes) as pool:
            yield from sample_blocks(self.sampler, plan, pool, with_log_prob=with_log_prob)

    def given_notes(self, plan: SamplePlan) -> list[str]:
        """Return what should be said of what is given: a line for each column far outside of its training range."""
        distant = DistantGiven(self.density)
        request = plan.request
        rows = request.given if request.fixed is None else request.fixed
        if rows is not None:
            distant.add(rows, of_any=request.fixed is not None)
        return distant.notes

    def resampling_note(self, plan: SamplePlan) -> str | None:
        """Return how reliable draws around the first row's fixed values are; ``None`` where nothing is fixed."""
        fixed = plan.request.fixed
        return None if fixed is None else resampling_note(self.conditionals, fixed[:1].copy())

    def imputer(self, *, times: int = 1, seed: int = 0) -> Imputer:
        """Return what fills missing cells, each row several times, to be passed to ``impute_blocks``."""
        return Imputer(self.conditionals, times, seed)

    def impute_blocks(
        self, blocks: Iterable[table.Block | Waiting], imputer: Imputer, *, processes: int = 1
    ) -> Generator[Filled, None, None]:
        """Fill the missing cells of the blocks of an open table, in order."""
        with self.density.pool(processes) as pool:
            yield from imputer.blocks(blocks, pool)

    # --- the file -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file, whole or not at all.

        Raises:
            ResourceError: The file cannot be written.
        """
        models.save(self.density, Path(path))

    def _known(self, given: pd.DataFrame, rows: int) -> Rows:
        """Return given values among all columns, repeated for each row to be drawn."""
        schema = self.density.schema
        read = [column for column in schema.columns if column.given or column.name in given.columns]
        if fixed := [column.name for column in read if not column.given]:
            self.conditionals.mask(fixed)
        known = self._among_all(given, read)
        table.refuse_invalid(known, schema.columns, "given")
        return np.broadcast_to(known, (rows, len(schema.columns))) if len(known) == 1 else known.repeat(rows, 0)

    def _among_all(self, frame: pd.DataFrame, read: Sequence[table.Column]) -> Rows:
        """Return some columns of a frame among all of the model's, NaN elsewhere, (B, N_c)."""
        values = np.full((len(frame), len(self.columns)), np.nan)
        values[:, [self.columns.index(column.name) for column in read]] = table.frame_values(frame, read)
        return values

    def _values(self, frame: pd.DataFrame) -> Rows:
        return table.frame_values(frame, self.density.schema.columns)

    def _frame(self, values: Rows) -> pd.DataFrame:
        frame: pd.DataFrame = table.to_cells(values, self.density.schema).to_pandas()
        return frame


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Model:
    """Read a model file.

    Raises:
        UsageError: There is no such file.
        ModelFileError: It is damaged, or comes from a newer flowcli.
    """
    return Model(models.load(Path(path), device))


def _is_double(precision: str) -> bool:
    if precision not in ("float32", "float64"):
        raise UsageError(f"precision: {precision!r} is neither 'float32' nor 'float64'")
    return precision == "float64"


def _silent(_: str) -> None:
    """Say nothing."""
