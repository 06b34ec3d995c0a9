"""Filling the missing cells of a table's blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowcli.conditional.conditionals import Conditionals
from flowcli.conditional.importance import ROWS, Randomness
from flowcli.model.density import Rows
from flowcli.parallel.block_pool import BlockPool, Work
from flowcli.parallel.waiting import Waiting
from flowcli.random import Stream
from flowcli.table import Block, Column, Schema, cell_texts, to_cells
from flowcli.table.values.words import is_missing


class Filled(NamedTuple):
    """A block whose missing cells were filled.

    Attributes:
        cells: All columns of the input, each row as many times as wanted.
        rows: How many rows the block has.
        failed: How many of them stayed as they were, because what is known of them is hardly possible.
    """

    cells: pa.Table
    rows: int
    failed: int


class Imputer:
    """Fills missing cells by draws given the other cells of their row (multiple imputation; Rubin, 1987).

    Args:
        conditionals: Of the density.
        times: How often each row is filled.
        seed: Seeds all random numbers.
    """

    def __init__(self, conditionals: Conditionals, times: int = 1, seed: int = 0) -> None:
        self._conditionals, self._times, self._seed = conditionals, times, seed
        self._schema = conditionals.schema

    @property
    def columns(self) -> list[Column]:
        """The columns to read: any modelled cell may be missing."""
        return [replace(column, missing=column.missing or not column.given) for column in self._schema.columns]

    def schema(self, cells: pa.Schema) -> pa.Schema:
        """Return the types of the filled columns, of input with these types."""
        nothing = np.empty((0, len(self._schema.columns)))
        return filled_cells(self._schema, nothing, nothing, cells.empty_table()).schema

    def draw(self, number: int, values: Rows) -> Rows:
        """Fill the rows (b, N_c) of a block, each several times side by side; the last column says which failed."""
        known = ~is_missing(values)
        streams = [Randomness(self._seed, Stream.IMPUTE, (time,), number) for time in range(self._times)]
        draws = [self._conditionals.draw(values, known, random, complete=True) for random in streams]
        failed = np.any([drawn.failed for drawn in draws], axis=0)[:, None]
        return np.concatenate([*(np.where(failed, values, drawn.values) for drawn in draws), failed], axis=1)

    def blocks(self, blocks: Iterable[Block | Waiting], pool: BlockPool) -> Iterator[Filled]:
        """Fill blocks of a table that carry their cells, in order."""
        width = len(self._schema.columns)
        work = Work(self.draw, ROWS, width, self._times * width + 1)
        chunks = (block if isinstance(block, Waiting) else (block, block.values) for block in blocks)
        for block, drawn in pool.map(chunks, work):
            assert block.cells is not None
            rows = np.repeat(np.arange(len(drawn)), self._times)
            values = drawn[:, :-1].reshape(-1, width)
            cells = filled_cells(self._schema, block.values[rows], values, block.cells.take(rows))
            yield Filled(cells, len(drawn), int(drawn[:, -1].sum()))


def filled_cells(schema: Schema, before: Rows, values: Rows, cells: pa.Table) -> pa.Table:
    """Return the input's cells (n rows) with values (n, N_c) in the places of those that were missing before."""
    unknown = np.zeros(values.shape, dtype=np.bool_)  # texts that the model does not know stay as they are
    for index, column in enumerate(schema.columns):
        if column.text:
            unknown[:, index] = values[:, index] < 0
    drawn = to_cells(np.where(unknown, np.nan, values), schema)
    for index, column in enumerate(schema.columns):
        position = cells.schema.names.index(column.name)
        field = cells.schema.field(position)
        gaps = pa.array(is_missing(before[:, index]) & ~is_missing(values[:, index]))
        new = drawn.column(index)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            new = cell_texts(pa.chunked_array([new]) if isinstance(new, pa.Array) else new, drawn.schema.field(index))
        cells = cells.set_column(position, field, pc.if_else(gaps, new.cast(field.type), cells.column(position)))
    return cells
