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

from flowcli.density.cells import DRAWS
from flowcli.density.encoding import Encoding
from flowcli.density.held_out import HeldOut
from flowcli.density.queries import Queries
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


class Density(ABC):
    """What a model file holds, ready to score rows and to draw them.

    Attributes:
        encoding: How rows are encoded; of several flows by the first.
        summary: What is known of the training: rows, held-out nats, history, seed.
        held_out: How likely the held-out rows were, if that is known.
    """

    encoding: Encoding
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
            rest: What ``remainders`` leaves of rows, (B, N_c).
            spread: Where in its cell each rounded number shall lie, as a share, (B, N_c); NaN leaves it where it is.
        """

    @abstractmethod
    def draw(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw as many rows as are given; see ``sample``.

        Args:
            given: Rows (B, N_c) with the values of the columns that the density is conditioned on.
            generator: Of random numbers.
        """

    @cached_property
    def queries(self) -> Queries:
        """What it says of some of the columns, for which it takes some draws to get ready."""
        return Queries(self)

    def log_prob(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Rows:
        """Log-density of each row, in nats per row, in the units of the table; see ``scores``."""
        return self.scores(values, double=double, draws=draws, seed=seed).log_prob

    def sample(self, rows: int, *, seed: int, given: Rows | None = None, complete: bool = False) -> Rows:
        """Draw rows (rows, N_c), rounded as the table wrote them.

        A smaller number of rows with the same seed is a beginning of this one.

        Args:
            rows: How many.
            seed: Of all random numbers.
            given: For each row the values of the columns that the density is conditioned on, (rows, N_c), and of
                others that it shall have, whole totals with all of their parts; NaN in those that are to be drawn.
            complete: Fill the cells that are missing, as they are in rows where none is; see ``Queries.draw``.
        """
        blocks = list(self.sample_blocks(rows, seed=seed, given=given, complete=complete))
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.schema.columns)))

    def sample_blocks(
        self, rows: int, *, seed: int, given: Rows | None = None, complete: bool = False
    ) -> Iterator[Rows]:
        """Draw rows block by block, each (b, N_c); see ``sample``.

        Raises:
            NumericsError: A row came out that is not finite, or that cannot be inverted; or too few candidates for
                what it shall have beside what is given are likely.
        """
        for values, wanted in self._whole_blocks(rows, seed, given, complete):
            yield values[:wanted]

    def scored_blocks(
        self, rows: int, *, seed: int, given: Rows | None = None, complete: bool = False
    ) -> Iterator[tuple[Rows, Rows]]:
        """Like ``sample_blocks``, each block with the log-densities (b,) of its rows."""
        for values, wanted in self._whole_blocks(rows, seed, given, complete):
            yield values[:wanted], self.log_prob(values)[:wanted]

    def _whole_blocks(self, rows: int, seed: int, given: Rows | None, complete: bool) -> Iterator[tuple[Rows, int]]:
        """Blocks of one size, so that no number depends on how many rows are wanted; and how many of each are."""
        for block, start in enumerate(range(0, rows, DRAWN_ROWS)):
            yield self.block(block, seed=seed, given=given, complete=complete), min(DRAWN_ROWS, rows - start)

    def block(self, number: int, *, seed: int, given: Rows | None = None, complete: bool = False) -> Rows:
        """Draw one block of ``DRAWN_ROWS`` rows: they depend on its number and the seed alone, and on what is given."""
        state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
        known = torch.full((DRAWN_ROWS, len(self.schema.columns)), torch.nan, dtype=torch.float64)
        if given is not None:
            part = given[number * DRAWN_ROWS : (number + 1) * DRAWN_ROWS]
            known[: len(part)] = torch.as_tensor(part)
            known[len(part) :] = known[:1]  # drawn, and not given out
        fixed, conditions = ~known.isnan().numpy(), [column.given for column in self.schema.columns]
        if (fixed & ~np.array(conditions)).any():
            return self.queries.draw(known.numpy(), fixed, seed=[seed, number, 2], complete=complete).relied_on()
        drawn = self.draw(known, torch.Generator().manual_seed(int(state >> np.uint64(1))))
        if not complete:
            return drawn
        there = ~np.isnan(drawn) | conditions
        return self.queries.draw(drawn, there, seed=[seed, number, 1], complete=True).relied_on()
