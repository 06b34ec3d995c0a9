"""What the cells of a column show, chunk by chunk: whether they are numbers or texts, and how they are written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.table.inference.lattice import MAX_DECIMALS, Written
from flowcli.table.values.missing import PADDING
from flowcli.table.values.numbers import is_number, is_text, plain_type

_SAMPLE = 1000


class TypedCells:
    """Cells of which the type tells what they are.

    Args:
        kind: The type.

    Attributes:
        is_text: Whether they are texts: booleans, dates and times are, too.
        is_integer: Whether they are whole numbers.
    """

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = plain_type(kind)
        self.is_text = not is_number(kind)
        self.is_integer = pa.types.is_integer(self.kind)

    def written(self, values: NDArray[np.float64]) -> Written:
        """Return how numbers (N,) are written: integers and decimals as their type says, others by their digits."""
        kind = self.kind
        if pa.types.is_integer(kind):
            return Written(integer=True, decimals=0)
        if pa.types.is_decimal(kind):
            return Written(integer=kind.scale <= 0, decimals=kind.scale if 0 <= kind.scale <= MAX_DECIMALS else None)
        float_type: type[np.floating] = np.float64
        if pa.types.is_float16(kind) or pa.types.is_float32(kind):
            float_type = np.float16 if pa.types.is_float16(kind) else np.float32
        decimals = 0
        present = values[~np.isnan(values)]
        for value in present[:: max(1, len(present) // _SAMPLE)]:
            digits = np.format_float_positional(float_type(value), unique=True, trim="-").partition(".")[2]
            decimals = max(decimals, len(digits))
        return Written(decimals=decimals if decimals <= MAX_DECIMALS else None, kind=float_type)


class WrittenCells:
    """Cells that are texts in the file: numbers, unless most of them are not even meant to be.

    Args:
        decimal: The decimal mark.
    """

    def __init__(self, decimal: str) -> None:
        self._decimal = decimal
        self.present = self._texts = self._decimals = 0
        self._integer, self._exponent = True, False
        self.has_leading_zeros = False

    @property
    def is_text(self) -> bool:
        """Whether most of the cells so far that are not missing are texts, or digits after a zero that means nothing.

        Nobody writes 00501 for the number 501.
        """
        return 2 * self._texts > self.present or self.has_leading_zeros

    @property
    def is_integer(self) -> bool:
        """Whether the numbers among the cells so far are written without a point."""
        return self._integer

    def add(self, values: NDArray[np.float64], bad: NDArray[np.bool_] | None, cells: pa.ChunkedArray) -> None:
        """Take the next rows.

        Args:
            values: The cells as numbers, NaN where they are missing or none, (rows,).
            bad: Which are neither numbers nor missing, (rows,); ``None`` where none is.
            cells: As they are written, (rows,).
        """
        absent = np.isnan(values)
        self.present += int(np.count_nonzero(~absent))
        if bad is not None:
            self.present += int(np.count_nonzero(bad))
            self._texts += self._count_texts(cells.filter(pa.array(bad)))
        self._inspect_digits(cells.filter(pa.array(~absent)) if absent.any() else cells)

    def written(self, values: NDArray[np.float64]) -> Written:
        """Return how the numbers are written, by the digits of all of them."""
        unclear = self._exponent or self._decimals > MAX_DECIMALS
        return Written(self._integer, None if unclear else self._decimals)

    def _count_texts(self, cells: pa.ChunkedArray) -> int:
        """Return how many bad cells are not even meant to be numbers."""
        counts = pc.value_counts(cells)
        pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
        return sum(count for cell, count in pairs if is_text(cell, self._decimal))

    def _inspect_digits(self, numbers: pa.ChunkedArray) -> None:
        """Find the digits after the point, and exponents, in cells that are numbers."""
        if self._exponent or self._decimals > MAX_DECIMALS or not len(numbers):
            return
        numbers = pc.ascii_trim(numbers, characters=PADDING)
        if not self.has_leading_zeros:
            self.has_leading_zeros = bool(pc.any(pc.match_substring_regex(numbers, "^[+-]?0[0-9]")).as_py())
        point = pc.find_substring(numbers, self._decimal)
        if pc.max(point).as_py() >= 0:
            self._integer = False
            digits = pc.subtract(pc.subtract(pc.binary_length(numbers), 1), point)
            digits = pc.max(pc.if_else(pc.greater_equal(point, 0), digits, 0)).as_py()
            self._decimals = max(self._decimals, digits)
        if pc.max(pc.find_substring(numbers, "e")).as_py() >= 0 or pc.max(pc.find_substring(numbers, "E")).as_py() >= 0:
            self._integer, self._exponent = False, True
