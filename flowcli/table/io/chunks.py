"""What every kind of table is read as: chunks of rows, which whoever knows the columns makes sense of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.parallel.waiting import Waiting
from flowcli.table.values.missing import MissingCells

# What is said of a cell that is empty in a column that had none.
MISSING = "is missing, and none was in the rows that were fitted to: drop the row, or fill the cell in"


@dataclass(frozen=True)
class Malformed:
    """A record with too many or too few cells, which no row may have.

    Attributes:
        row: Its row in the chunk, from 0.
        error: What is wrong with it, and where.
    """

    row: int
    error: DataError


@dataclass(frozen=True)
class Chunk(ABC):
    """Some consecutive rows, read.

    Attributes:
        values: The columns asked for as numbers, (rows, D): NaN for cells that are missing or no numbers, and
            throughout a column that is read as text, until its reader fills it in.
        bad: Which of these cells are neither finite numbers nor missing, (rows, D); ``None`` where none is.
        cells: The columns to be kept, under their names: as text from a text file, else with their types.
        source: What the table is called in messages.
        first_row: The index of the first row in the table, from 0.
        malformed: The first record of the wrong length; ``None`` where all have the right one.
        first_line: The line in the file of the first row; ``None`` where rows have no lines.
        lines: The line of each row, (rows,); ``None`` when row i is simply on ``first_line + i``.
    """

    values: NDArray[np.float64]
    bad: NDArray[np.bool_] | None
    cells: pa.Table
    source: str
    first_row: int
    malformed: Malformed | None
    first_line: int | None
    lines: NDArray[np.int64] | None

    def line(self, row: int) -> int | None:
        """Return the line in the file of a row of this chunk; ``None`` where rows have no lines."""
        if self.first_line is None:
            return None
        return self.first_line + row if self.lines is None else int(self.lines[row])

    @abstractmethod
    def column(self, position: int) -> pa.ChunkedArray:
        """Return the cells of a column that was asked for, kept or not, by its position in the header."""

    @abstractmethod
    def error(self, row: int, position: int, problem: str | None = None) -> DataError:
        """Return the error for a cell.

        Args:
            row: Its row in the chunk.
            position: The position of its column in the header.
            problem: What is wrong, to follow a subject: ``is missing``; ``None`` finds out why the cell is bad.
        """

    def first_error(
        self,
        wrong: NDArray[np.bool_] | None,
        positions: Sequence[int],
        problem: Callable[[int, int], str] | None = None,
    ) -> DataError | None:
        """Return the error for what is wrong first, a malformed record or a cell; ``None`` where nothing is.

        Args:
            wrong: The cells that cannot be used, (rows, D); ``None`` where all can.
            positions: The columns of ``values`` in the header, (D,).
            problem: Called with the row and the column of a cell that is not bad, says what is wrong with it; see
                ``error``.
        """
        row = None if wrong is None or not wrong.any() else int(np.argmax(wrong.any(axis=1)))
        if self.malformed is not None and (row is None or self.malformed.row <= row):
            return self.malformed.error
        if wrong is None or row is None:
            return None
        index = int(np.argmax(wrong[row]))
        is_bad = self.bad is not None and self.bad[row, index]
        said = None if is_bad or problem is None else problem(row, index)
        return self.error(row, positions[index], said)

    def where(self, row: int) -> str:
        """Return where a row of this chunk stands, as the start of a notice."""
        source, line = "standard input" if self.source == "-" else self.source, self.line(row)
        return f"{source}, row {self.first_row + row + 1}" if line is None else f"{source}:{line}"


class TableSource(Protocol):
    """A table that can be read once, from a file, a pipe or memory.

    Attributes:
        name: What it is called in messages.
        header: The names of its columns.
        missing: Tells which of its cells are missing.
        typed: Whether its columns have types; if not, each cell is a text that may be a number.
    """

    name: str
    header: list[str]
    missing: MissingCells
    typed: bool

    def types(self, positions: Sequence[int]) -> pa.Schema:
        """Return the types of the cells of some columns."""

    def chunks(self, numbers: Sequence[int | None], kept: Sequence[int]) -> Iterator[Chunk | Waiting]:
        """Read the rows, and say with a ``Waiting`` where the next ones have not been written into a pipe yet.

        Args:
            numbers: For each column of ``Chunk.values`` the position of the column of numbers in it; ``None`` for one
                that is read as text.
            kept: The positions of the columns of ``Chunk.cells``.

        Raises:
            DataError: The text or file is damaged, or a column's type is no number.
        """
