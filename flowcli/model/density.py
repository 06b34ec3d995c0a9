"""A density over the rows of a table, whatever it is made of: what scores rows and draws them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.encoding.encoder import Encoder
from flowcli.encoding.rounding import DRAWS
from flowcli.errors import UsageError
from flowcli.model.held_out import HeldOut
from flowcli.parallel.block_pool import BlockPool, Work
from flowcli.random import Stream, derived_seed
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
        encoder: How rows are encoded; of several flows by the first.
        summary: What is known of the training: rows, held-out nats, history, seed.
        held_out: How likely the held-out rows were, if that is known.
    """

    encoder: Encoder
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
        """Return a copy of this density whose flows are on another device."""

    @abstractmethod
    def scores(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Scores:
        """Return log-density of each row, with its standard error.

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
    def log_prob_at(self, residuals: Tensor, shares: Tensor) -> Tensor:
        """Return the log-density (B,) at one point of each rounding interval; ``scores`` takes a mean over several.

        Args:
            residuals: Residual rows, (B, N_c).
            shares: Where in its interval each rounded number lies, as a share, (B, N_c); NaN leaves it where it is.
        """

    @abstractmethod
    def draw(self, given: Tensor, generator: torch.Generator) -> Rows:
        """Draw one row for each row of ``given``; its conditioning columns are copied, all others are drawn.

        Args:
            given: Rows (B, N_c) with the values of the columns that the density is conditioned on.
            generator: Of random numbers.
        """

    @property
    def reference(self) -> HeldOut:
        """The distribution of the held-out rows' log-densities, which percentiles refer to.

        Raises:
            UsageError: The model was fitted before that was kept.
        """
        if self.held_out is None:
            raise UsageError("the model does not know how likely its held-out rows were; fit it again to have that")
        return self.held_out

    def log_prob(self, values: Rows, *, double: bool = False, draws: int = DRAWS, seed: int = 0) -> Rows:
        """Return the log-density of each row, in nats, in the units of the table; see ``scores``."""
        return self.scores(values, double=double, draws=draws, seed=seed).log_prob

    def holds(self, values: Rows) -> NDArray[np.bool_]:
        """Return which values of rows (B, N_c) their columns can hold, (B, N_c); any other has density zero."""
        return np.asarray(self.encoder.holds(self.encoder.relations.residuals(torch.from_numpy(values))).numpy())

    def pool(self, processes: int) -> BlockPool:
        """Return the pool of processes in which blocks of this density's rows are computed."""
        return BlockPool(processes, on_cpu=self.device.type == "cpu")

    def pooled_log_prob(self, values: Rows, pool: BlockPool, *, seed: int = 0) -> Rows:
        """Return the log-density of each row, (B,), computed in a pool of processes; see ``log_prob``."""
        work = Work(
            lambda _, block: self.log_prob(block, seed=seed)[:, None], self.block_rows, len(self.schema.columns), 1
        )
        ((_, log_prob),) = pool.map([(None, values)], work)
        return log_prob[:, 0]

    def pooled_sample(self, rows: int, pool: BlockPool, *, seed: int, given: Rows | None = None) -> Iterator[Rows]:
        """Draw the rows of ``sample`` block by block, each (b, N_c), computed in a pool of processes."""
        columns = len(self.schema.columns)
        yield from pool.numbered(
            rows, Work(lambda number, _: self.sample_block(number, seed, given), DRAWN_ROWS, 0, columns)
        )

    def sample(self, rows: int, *, seed: int, given: Rows | None = None) -> Rows:
        """Draw rows (rows, N_c), rounded as the table wrote them.

        Fewer rows with the same seed are the first of these.

        Args:
            rows: How many.
            seed: Seeds all random numbers.
            given: For each row the values of the columns that the density is conditioned on, (rows, N_c).

        Raises:
            NumericsError: A row came out that is not finite, or that cannot be inverted.
        """
        # Blocks of one size, so that no number depends on how many rows are wanted.
        blocks = [self.sample_block(number, seed, given) for number in range(-(-rows // DRAWN_ROWS))]
        return np.concatenate(blocks)[:rows] if blocks else np.empty((0, len(self.schema.columns)))

    def sample_block(self, number: int, seed: int, given: Rows | None = None) -> Rows:
        """Draw the block of ``DRAWN_ROWS`` rows with this number, which depends on number, seed and given alone.

        Args:
            number: Which block, from 0.
            seed: Seeds all random numbers.
            given: The values of conditioning columns for the rows of all blocks, (rows, N_c). Where the last block has
                fewer rows, the rest of it repeats its first one.
        """
        generator = torch.Generator().manual_seed(derived_seed(seed, Stream.SAMPLE, number))
        return self.draw(torch.from_numpy(self.rows_of_block(number, given)), generator)

    def rows_of_block(self, number: int, rows: Rows | None) -> Rows:
        """Return those of some rows that belong to a block, filled up to (DRAWN_ROWS, N_c); NaN without any rows."""
        if rows is None:
            return np.full((DRAWN_ROWS, len(self.schema.columns)), np.nan)
        block = rows[number * DRAWN_ROWS : (number + 1) * DRAWN_ROWS]
        return np.concatenate([block, np.repeat(block[:1], DRAWN_ROWS - len(block), axis=0)])
