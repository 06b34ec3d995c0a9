"""How a CSV text is written, and what its columns are called, which its first line says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from flowcli.errors import DataError
from flowcli.table.io.csv_scan import Record, records
from flowcli.table.read_options import ReadOptions
from flowcli.table.values.missing import MissingCells, missing_cells
from flowcli.table.values.numbers import number
from flowcli.text import quoted

_ARROW_BLOCK_BYTES = 2**19


@dataclass(frozen=True)
class CsvFormat:
    """How one CSV text is written.

    Attributes:
        name: The source, for messages.
        header: The names of the columns.
        options: What the user said of it.
    """

    name: str
    header: list[str]
    options: ReadOptions

    @property
    def separator(self) -> bytes:
        """What stands between two cells."""
        return self.options.delimiter.encode()

    @property
    def missing(self) -> MissingCells:
        """What tells missing cells from others."""
        return missing_cells(self.options.missing, self.options.decimal)

    def parse(self, data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
        """Parse some columns of whole records by pyarrow, at its speed.

        Args:
            data: The records.
            types: What the columns are read as, by name.

        Raises:
            pa.ArrowInvalid: A record of the wrong length, or a cell that is none of its type.
        """
        has_quotes = b'"' in data
        for block in (_ARROW_BLOCK_BYTES, len(data) + 1):
            try:
                return pyarrow.csv.read_csv(
                    pa.BufferReader(data),
                    read_options=pyarrow.csv.ReadOptions(column_names=self.header, block_size=block),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=self.options.delimiter, ignore_empty_lines=False, newlines_in_values=has_quotes
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        include_columns=list(types),
                        column_types=types,
                        null_values=[""],
                        strings_can_be_null=False,
                        decimal_point=self.options.decimal,
                    ),
                )
            except pa.ArrowInvalid:
                # A record longer than a block is refused like a fault; one block for all tells them apart.
                if block > len(data):
                    raise
        raise AssertionError

    def refuse_numeric_header(self) -> None:
        """Refuse a header that is probably the first row.

        Raises:
            DataError: All names are numbers.
        """
        numbers = {name for name in self.header if number(name, self.options.decimal) is not None}
        others = [name for name in self.header if name not in numbers]
        if self.options.header and numbers and all(map(self.missing.is_missing, others)):
            problem = "the first line is all numbers: give --no-header if it is a row, or put letters into the names"
            raise DataError(problem, source=self.name, line=1)


def read_header(data: bytes, name: str, options: ReadOptions) -> tuple[CsvFormat, int]:
    """Read the names of the columns from the start of a text.

    Returns:
        How the text is written, and the offset in it of the first row.

    Raises:
        DataError: The columns have another separator, no names, or two have the same.
    """
    separator = options.delimiter.encode()
    head = next(records(data, separator))
    _refuse_other_separator(data, head, name, options)
    cells = [cell.decode() for cell in head.cells]
    if not options.header:
        return CsvFormat(name, [f"c{i + 1}" for i in range(len(cells))], options), 0
    return CsvFormat(name, _named(cells, name), options), head.end


def _named(cells: list[str], source: str) -> list[str]:
    """Return the names of the columns; one without a name is called by its place, as pandas does.

    Raises:
        DataError: There are none, or two columns have the same.
    """
    if not any(cell.strip() for cell in cells):
        raise DataError("the first line is blank; it must hold the names of the columns", source=source, line=1)
    seen: dict[str, int] = {}
    for position, cell in enumerate(cells):
        if cell in seen and cell.strip():
            problem = f"columns {seen[cell] + 1} and {position + 1} have the same name {quoted(cell)}; rename one"
            raise DataError(problem, source=source, line=1)
        seen[cell] = position
    names = []
    for position, cell in enumerate(cells):
        name = cell if cell.strip() else f"Unnamed: {position}"
        while not cell.strip() and name in seen:
            name += "_"
        names.append(name)
    return names


def _refuse_other_separator(data: bytes, head: Record, source: str, options: ReadOptions) -> None:
    """Say so when the file has one column only because it is written with another separator."""
    if len(head.cells) != 1 or head.cells == [b""]:
        return
    separator = options.delimiter.encode()
    line = data[head.start : head.end].strip(b"\r\n")
    second = next(records(data[head.end : head.end + 2**16], separator), None)
    row = line if second is None else data[head.end + second.start : head.end + second.end].strip(b"\r\n")
    for mark, flag in (
        (b";", "--sep ';'"),
        (b"\t", "--sep '\\t'"),
        (b"|", "--sep '|'"),
        (b",", "--sep ,"),
        (b" ", "--sep ' '"),
    ):
        count = line.count(mark)
        if mark in (separator, options.decimal.encode()) or not count or row.count(mark) != count:
            continue
        if mark == b" " and not all(number(cell.decode(errors="replace")) is not None for cell in row.split(mark)):
            continue
        if mark != b"," and options.decimal == "." and re.search(rb"\d,\d", row) and b"." not in row:
            flag += " --decimal ,"
        words = {b";": "semicolons", b"\t": "tabs", b",": "commas", b" ": "spaces"}.get(mark, repr(mark.decode()))
        raise DataError(f"the columns seem to be separated by {words}; give {flag}", source=source, line=1)
