"""Drawing rows that meet requirements: fixed columns, and no missing cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from flowcli.conditional.conditionals import Conditionals
from flowcli.conditional.importance import Randomness
from flowcli.model.density import DRAWN_ROWS, Density, Rows
from flowcli.parallel.block_pool import BlockPool, Work
from flowcli.random import Stream
from flowcli.table.values.words import is_missing


@dataclass(frozen=True)
class SampleRequest:
    """What drawn rows should be like.

    Attributes:
        seed: Seeds all random numbers.
        given: The values of the columns that the density is conditioned on, for each row, (rows, N_c); other columns
            are ignored.
        fixed: The values of other columns for each row, (rows, N_c), NaN in those to be drawn; a total needs all of
            its parts.
        complete: Whether missing cells are filled by draws from the rows in which none is missing.
    """

    seed: int
    given: Rows | None = None
    fixed: Rows | None = None
    complete: bool = False


class Sampler:
    """Draws blocks of rows from a density.

    Args:
        density: The density.
        conditionals: Gives its conditionals; called only where a request needs them, because they take some draws to
            prepare.
    """

    def __init__(self, density: Density, conditionals: Callable[[], Conditionals]) -> None:
        self._density, self._conditionals = density, conditionals
        self._is_given = np.array([column.given for column in density.schema.columns])

    def warm_up(self, request: SampleRequest) -> None:
        """Compute what all blocks share, before several processes draw them."""
        if request.fixed is not None or request.complete:
            self._conditionals()

    def block(self, number: int, request: SampleRequest) -> Rows:
        """Draw one block of rows, (DRAWN_ROWS, N_c), which depends on its number and the request alone.

        Raises:
            NumericsError: A row is not finite or cannot be inverted, or too few candidates are likely beside what is
                fixed.
        """
        if request.fixed is not None:
            return self._around_fixed(number, request)
        rows = self._density.sample_block(number, request.seed, request.given)
        if not request.complete:
            return rows
        known = ~is_missing(rows) | self._is_given
        random = Randomness(request.seed, Stream.COMPLETE, (number,))
        return self._conditionals().draw(rows, known, random, complete=True).reliable()

    def blocks(self, rows: int, request: SampleRequest, pool: BlockPool) -> Iterator[Rows]:
        """Draw rows block by block, each (b, N_c); see ``block``."""
        self.warm_up(request)
        work = Work(lambda number, _: self.block(number, request), DRAWN_ROWS, 0, len(self._is_given))
        yield from pool.numbered(rows, work)

    def scored_blocks(self, rows: int, request: SampleRequest, pool: BlockPool) -> Iterator[tuple[Rows, Rows]]:
        """Draw rows block by block, each (b, N_c) with the log-densities (b,) of its rows."""
        self.warm_up(request)
        columns = len(self._is_given)

        def compute(number: int, _: Rows) -> Rows:
            values = self.block(number, request)
            return np.column_stack([values, self._density.log_prob(values)])

        for block in pool.numbered(rows, Work(compute, DRAWN_ROWS, 0, columns + 1)):
            yield block[:, :columns], block[:, columns]

    def _around_fixed(self, number: int, request: SampleRequest) -> Rows:
        """Draw the columns that are not fixed, given those that are."""
        assert request.fixed is not None
        rows = self._density.rows_of_block(number, request.given)
        fixed = request.fixed[number * DRAWN_ROWS : (number + 1) * DRAWN_ROWS]
        values = np.where(self._is_given, rows[: len(fixed)], fixed)
        known = ~is_missing(values) | self._is_given
        random = Randomness(request.seed, Stream.AROUND_FIXED, (number,))
        drawn = self._conditionals().draw(values, known, random, complete=request.complete)
        rows[: len(fixed)] = drawn.reliable()
        return rows
