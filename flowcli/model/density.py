"""A density over the rows of a table, whatever it is made of: what scores rows and draws them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.conditional.conditionals import Conditionals
from flowcli.conditional.importance import Randomness
from flowcli.encoding.encoder import Encoder
from flowcli.encoding.rounding import DRAWS
from flowcli.errors import UsageError
from flowcli.model.held_out import HeldOut
from flowcli.table import Schema

Rows = NDArray[np.float64]

# Rows drawn at once. More than are scored at once where columns are many: drawing goes column by column, in narrow
# products that are the quicker the longer they are.
DRAWN_ROWS = 2048


@dataclass(frozen=True)
class Scores:
    """How likely rows are, in nats.

    Attributes:
        log_prob: The log-density of each row, (B,); minus infinity for what cannot be.
        error: Its standard error, (B,), where rounded numbers make it an estimate; else zero.
    """

    log_prob: Rows
    error: Rows


@dataclass(frozen=True)
class SampleRequest:
    """What drawn rows shall be like.

    Attributes:
        seed: Of all random numbers.
        given: Where the density is conditioned on columns, their values for each row, (rows, N_c); what else stands
            there is not looked at.
        fixed: For each row the values of other columns that it shall have, (rows, N_c), of totals with all of their
            parts; NaN in those that are to be drawn.
        complete: Whether cells that are missing are filled, as they are in rows where none is; see
            ``Conditionals.draw``.
    """

    seed: int
    given: Rows | None = None
    fixed: Rows | None = None
    complete: bool = False


class Density(ABC):
    """What a model file holds, ready to score rows and to draw them.

    Attributes:
        encoding: How rows are encoded; of several flows by the first.
        summary: What is known of the training: rows, held-out nats, history, seed.
        held_out: How likely the held-out rows were, if that is known.
    """

    encoding: Encoder
    summary: dict[str, Any]
    held_out: HeldOut | None

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The columns."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where flows are computed; what comes before them, which needs float64, always is on the processor."""

    @property
    @abstractmethod
    def rounded(self) -> bool:
        """Whether log-densities are estimates, because there are columns of which cells have a mass."""

    @property
    @abstractmethod
    def block_rows(self) -> int:
        """How many rows are scored at once: what fits a processor's cache, and the same whatever the caller asks."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers were fitted."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Density:
        """The same density with its flows on another device."""

    @abstractmethod
    def scores(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Scores:
        """Log-density of each row, with its standard error.

        A rounded number counts with the mass of its cell, divided by the grid's step. The mass is a mean over points
        in the cell, the same for all rows.

        Args:
            values: Rows (B, N_c) in the schema's order.
            double: Compute flows in float64 too.
            draws: Points in each cell.
            seed: Of the points.

        Returns:
            Finite log-densities or minus infinity, (B,), with their errors.
        """

    @abstractmethod
    def log_prob_at(self, rest: Tensor, spread: Tensor) -> Tensor:
        """Log-density (B,) at one point of each cell, where ``scores`` takes a mean over several.

        Args:
            rest: What ``residuals`` leaves of rows, (B, N_c).
            spread: Where in its cell each rounded number shall lie, as a share, (B, N_c); NaN leaves it where it is.
        """

    @abstractmethod
    def draw(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw as many rows as are given; see ``sample``.

        Args:
            given: Rows (B, N_c) with the values of the columns that the density is conditioned on.
            generator: Of random numbers.
        """

    @property
    def levels(self) -> HeldOut:
        """How likely the held-out rows were.

        Raises:
            UsageError: The model was fitted before that was kept.
        """
        if self.held_out is None:
            raise UsageError("the model does not know how likely its held-out rows were; fit it again to have that")
        return self.held_out

    @cached_property
    def queries(self) -> Conditionals:
        """What it says of some of the columns, for which it takes some draws to get ready."""
        return Conditionals(self)

    def log_prob(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Rows:
        """Log-density of each row, in nats per row, in the units of the table; see ``scores``."""
        return self.scores(values, double=double, draws=draws, seed=seed).log_prob

    def sample(
        self,
        rows: int,
        *,
        seed: int,
        given: Rows | None = None,
        fixed: Rows | None = None,
        complete: bool = False,
    ) -> Rows:
        """Draw rows (rows, N_c), rounded as the table wrote them.

        A smaller number of rows with the same seed is a beginning of this one.

        Args:
            rows: How many.
            seed: As of ``SampleRequest``, like all that follows.
            given: For each row what the density is conditioned on.
            fixed: For each row what other columns shall hold.
            complete: Whether missing cells are filled.
        """
        blocks = list(self.sample_blocks(rows, SampleRequest(seed, given, fixed, complete)))
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.schema.columns)))

    def sample_blocks(self, rows: int, wanted: SampleRequest) -> Iterator[Rows]:
        """Draw rows block by block, each (b, N_c); see ``sample``.

        Raises:
            NumericsError: A row came out that is not finite, or that cannot be inverted; or too few candidates are
                likely beside what is fixed.
        """
        # Blocks of one size, so that no number depends on how many rows are wanted.
        for number, start in enumerate(range(0, rows, DRAWN_ROWS)):
            values = self.block(number, wanted)
            yield values[: min(DRAWN_ROWS, rows - start)]

    def scored_blocks(self, rows: int, wanted: SampleRequest) -> Iterator[tuple[Rows, Rows]]:
        """Like ``sample_blocks``, each block with the log-densities (b,) of its rows."""
        for number, start in enumerate(range(0, rows, DRAWN_ROWS)):
            values = self.block(number, wanted)
            count = min(DRAWN_ROWS, rows - start)
            yield values[:count], self.log_prob(values)[:count]

    def block(self, number: int, wanted: SampleRequest) -> Rows:
        """Draw one block of ``DRAWN_ROWS`` rows: they depend on its number and the seed alone, and on what is given."""
        seed, fixed, complete = wanted.seed, wanted.fixed, wanted.complete
        known = self._of_block(number, wanted.given)
        conditions = np.array([column.given for column in self.schema.columns])
        if fixed is not None:
            part = fixed[number * DRAWN_ROWS : (number + 1) * DRAWN_ROWS]
            shall = np.where(conditions, known[: len(part)], part)
            there = ~np.isnan(shall) | conditions
            known[: len(part)] = self.queries.draw(
                shall, there, Randomness((seed, number, 2)), complete=complete
            ).relied_on()
            return known
        state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
        drawn = self.draw(torch.from_numpy(known), torch.Generator().manual_seed(int(state >> np.uint64(1))))
        if not complete:
            return drawn
        there = ~np.isnan(drawn) | conditions
        return self.queries.draw(drawn, there, Randomness((seed, number, 1)), complete=True).relied_on()

    def _of_block(self, number: int, rows: Rows | None) -> Rows:
        """Those of some rows that are of this block, (DRAWN_ROWS, N_c), NaN without any."""
        if rows is None:
            return np.full((DRAWN_ROWS, len(self.schema.columns)), np.nan)
        part = rows[number * DRAWN_ROWS : (number + 1) * DRAWN_ROWS]
        # The last block is drawn whole, and the rest of it is not given out.
        return np.concatenate([part, np.repeat(part[:1], DRAWN_ROWS - len(part), axis=0)])
