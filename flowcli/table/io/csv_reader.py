"""CSV, a few megabytes at a time: pyarrow where all is well, and cell by cell where something is wrong.

The stream is cut into chunks of whole records here and not by pyarrow, so that the bytes of a fault are still at hand
when it shows, from a pipe as well, and the line named is the line in the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from flowcli.errors import DataError
from flowcli.parallel.waiting import Waiting
from flowcli.table.io.csv_scan import Record, count_lines, last_end, layout, records
from flowcli.table.io.source import ByteStream
from flowcli.table.read_options import ReadOptions
from flowcli.table.values.numbers import as_float64 as finite_values
from flowcli.table.values.numbers import convert_text, explain, is_missing, number, read_numbers
from flowcli.text import printable, quoted

CHUNK_BYTES = 4 * 2**20
# One record as long as this is a quote that was never closed, and reading on would only fill the memory.
MAX_RECORD_BYTES = 64 * 2**20
_ARROW_BLOCK_BYTES = 2**19
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Fault:
    """A place in the file that cannot be used.

    Attributes:
        kind: ``shape`` (a record with too many or too few cells), ``missing`` or ``bad`` (a cell).
        row: The row in the chunk, from 0.
        line: The line in the file on which the record starts.
        column: The position among the columns asked for; ``None`` for a whole record.
        cell: The cell as it stands in the file.
        problem: What is wrong and what to do.
    """

    kind: Literal["shape", "missing", "bad"]
    row: int
    line: int
    column: int | None
    cell: str
    problem: str


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, read.

    Attributes:
        values: The columns asked for as numbers, (rows, D); NaN for cells that are missing, or no numbers.
        bad: Which of these cells are neither numbers nor missing, (rows, D); ``None`` where all are.
        texts: The columns to be kept, as text.
        lines: The line in the file of each row, (rows,); ``None`` when row i is simply on ``first_line + i``.
        first_line: The line of the first row.
        first_row: The index of the first row in the file, from 0.
        faults: Records of the wrong length, in the order of the file.
        data: The bytes of the chunk.
    """

    values: NDArray[np.float64]
    bad: NDArray[np.bool_] | None
    texts: pa.Table
    lines: NDArray[np.int64] | None
    first_line: int
    first_row: int
    faults: list[Fault]
    data: bytes

    def line(self, row: int) -> int:
        """Return the line in the file of a row of this chunk."""
        return self.first_line + row if self.lines is None else int(self.lines[row])


class CsvReader:
    """A CSV text as chunks of rows.

    Args:
        stream: The bytes, from the start.
        source: The name for messages.
        options: How the file is written.

    Raises:
        DataError: The text is empty, is not UTF-8, or its header cannot be used.
    """

    def __init__(self, stream: ByteStream, source: str, options: ReadOptions) -> None:
        self._stream = stream
        self._name = printable(source)
        self._options = options
        self._separator = options.delimiter.encode()
        self._texts = self._whole_records()
        first = next((text for text in self._texts if not isinstance(text, Waiting)), b"")
        if not first:
            raise DataError("is empty: there is no header and no row", source=self._name)
        head = next(records(first, self._separator))
        self._refuse_other_separator(first, head)
        cells = [cell.decode() for cell in head.cells]
        self._unread = first
        self._first_line = 1
        if options.header:
            self._unread = first[head.end :]
            self._first_line += count_lines(first[: head.end])
            self._check_header(cells)
        else:
            cells = [f"c{i + 1}" for i in range(len(cells))]
        self.header: list[str] = cells

    def refuse_numeric_header(self) -> None:
        """Refuse a header that is probably the first row.

        Raises:
            DataError: All names are numbers.
        """
        words = [number(name, self._options.decimal) is not None for name in self.header]
        if (
            self._options.header
            and any(words)
            and all(word or is_missing(name) for word, name in zip(words, self.header, strict=True))
        ):
            raise DataError(
                "the first line is all numbers: give --no-header if it is a row, or put letters into the names",
                source=self._name,
                line=1,
            )

    def chunks(self, positions: Sequence[int], kept: Sequence[int]) -> Iterator[Chunk]:
        """Read the rows, once.

        Args:
            positions: The positions of the columns to convert to numbers.
            kept: The positions of the columns to keep as text.

        Raises:
            DataError: Bytes that are not UTF-8, or a quote that is never closed.
        """
        return (chunk for chunk in self.arriving(positions, kept) if not isinstance(chunk, Waiting))

    def arriving(self, positions: Sequence[int], kept: Sequence[int]) -> Iterator[Chunk | Waiting]:
        """Like ``chunks``, and a ``Waiting`` wherever the next one has not been written into a pipe yet."""
        line, row = self._first_line, 0
        first, self._unread = self._unread, b""
        for data in chain([first] if first else [], self._texts):
            if isinstance(data, Waiting):
                yield data
                continue
            chunk = self._convert(data, list(positions), list(kept), line, row)
            yield chunk
            line += count_lines(data) if b'"' in data else len(chunk.values)
            row += len(chunk.values)

    def fault(self, chunk: Chunk, row: int, position: int, index: int) -> Fault:
        """Return what is wrong with a cell that is no number, by its column's position and index among those read."""
        record = next(islice(records(chunk.data, self._separator), row, None))
        cell = record.cells[position].decode()
        missing = is_missing(cell)
        problem = "" if missing else explain(cell, self._options)
        return Fault("missing" if missing else "bad", row, chunk.line(row), index, cell, problem)

    def text(self, chunk: Chunk, position: int) -> pa.ChunkedArray:
        """Return a column of a chunk as text, though it was not kept."""
        if chunk.data.startswith(_BOM) or chunk.lines is not None:
            cells = [record.cells[position].decode() for record in records(chunk.data, self._separator)]
            return pa.chunked_array([pa.array(cells, pa.string())])
        return self._parse(chunk.data, {position: pa.string()}).column(0)

    def _whole_records(self) -> Iterator[bytes | Waiting]:
        """Cut the stream between records, and check that it is UTF-8 text."""
        remaining = yield from self._stream.read(CHUNK_BYTES)
        ended = len(remaining) < CHUNK_BYTES
        remaining = remaining.removeprefix(_BOM)
        line = 1
        while remaining:
            fault = _encoding_fault(remaining, ended)
            if fault is not None:
                position, problem = fault
                # The rows before it come first, so that the first fault of the file is the one that is told.
                before, _ = last_end(remaining[:position], self._separator)
                if before:
                    yield remaining[:before]
                raise DataError(problem, source=self._name, line=line + count_lines(remaining[:position]))
            # A CR at the end may be half of a CRLF.
            closed = remaining if ended or not remaining.endswith(b"\r") else remaining[:-1]
            whole, open_quote = last_end(closed, self._separator)
            if ended and open_quote is None:
                whole = len(remaining)
            if whole:
                yield remaining[:whole]
                line += count_lines(remaining[:whole])
                remaining = remaining[whole:]
            if (ended and remaining) or len(remaining) > MAX_RECORD_BYTES:
                if open_quote is None:
                    raise DataError(f"a row longer than {MAX_RECORD_BYTES} bytes", source=self._name, line=line)
                raise DataError(
                    "a quote opens on this line and is never closed",
                    source=self._name,
                    line=line + count_lines(remaining[: open_quote - whole]),
                )
            if not ended:
                more = yield from self._stream.read(CHUNK_BYTES)
                ended = len(more) < CHUNK_BYTES
                remaining += more

    def _check_header(self, cells: list[str]) -> None:
        if cells == [""]:
            raise DataError("the first line is blank; it must hold the names of the columns", source=self._name, line=1)
        for position, cell in enumerate(cells):
            if not cell.strip():
                remedy = "name it"
                if position == 0:
                    remedy += " (a row index? then write the file without it)"
                elif position == len(cells) - 1:
                    remedy += ", or remove the separator at the end of the line"
                raise DataError(f"column {position + 1} has no name; {remedy}", source=self._name, line=1)
        seen: dict[str, int] = {}
        for position, cell in enumerate(cells):
            if cell in seen:
                raise DataError(
                    f"columns {seen[cell] + 1} and {position + 1} have the same name {quoted(cell)}; rename one",
                    source=self._name,
                    line=1,
                )
            seen[cell] = position

    def _refuse_other_separator(self, data: bytes, head: Record) -> None:
        """Say so when the file has one column only because it is written with another separator."""
        if len(head.cells) != 1 or head.cells == [b""]:
            return
        line = data[head.start : head.end].strip(b"\r\n")
        second = next(records(data[head.end : head.end + 2**16], self._separator), None)
        row = line if second is None else data[head.end + second.start : head.end + second.end].strip(b"\r\n")
        for mark, flag in (
            (b";", "--sep ';'"),
            (b"\t", "--sep '\\t'"),
            (b"|", "--sep '|'"),
            (b",", "--sep ,"),
            (b" ", "--sep ' '"),
        ):
            count = line.count(mark)
            if (
                mark == self._separator
                or mark == self._options.decimal.encode()
                or not count
                or row.count(mark) != count
            ):
                continue
            if mark == b" " and not all(number(cell.decode(errors="replace")) is not None for cell in row.split(mark)):
                continue
            if mark != b"," and self._options.decimal == "." and re.search(rb"\d,\d", row) and b"." not in row:
                flag += " --decimal ,"
            words = {b";": "semicolons", b"\t": "tabs", b",": "commas", b" ": "spaces"}.get(mark, repr(mark.decode()))
            raise DataError(f"the columns seem to be separated by {words}; give {flag}", source=self._name, line=1)

    def _convert(self, data: bytes, positions: list[int], kept: list[int], line: int, row: int) -> Chunk:
        quick = None if data.startswith(_BOM) else self._convert_quickly(data, positions, kept)
        if quick is None:
            return self._convert_by_cells(data, positions, kept, line, row)
        values, bad, table = quick
        lines = None
        if b'"' in data and count_lines(data) + (not data.endswith((b"\n", b"\r"))) != len(values):
            before = layout(data, self._separator).lines[: len(values) - 1]
            lines = np.concatenate([[line], line + before])
        return Chunk(values, bad, table, lines, line, row, [], data)

    def _convert_quickly(
        self, data: bytes, positions: list[int], kept: list[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, pa.Table] | None:
        """Numbers, what is none, and texts; ``None`` where a record has, or may have, the wrong length."""
        if _may_have_a_blank_line(data):  # pyarrow would take it for a row of missing cells
            return None
        names = [self.header[i] for i in kept]
        table = None
        if not set(positions) <= set(kept):  # what nobody wants to see as text is read as numbers, if it can be
            try:
                table = self._parse(data, dict.fromkeys(positions, pa.float64()) | dict.fromkeys(kept, pa.string()))
            except pa.ArrowInvalid:
                table = None
            if table is not None:
                values = self._numbers(table, positions, set(kept))
                if values is not None:
                    return values, None, table.select([str(i) for i in kept]).rename_columns(names)
        try:
            table = self._parse(data, dict.fromkeys([*positions, *kept], pa.string()))
        except pa.ArrowInvalid:
            return None
        values, bad = np.empty((table.num_rows, len(positions))), None
        for index, position in enumerate(positions):
            values[:, index], wrong = read_numbers(table.column(str(position)), self._options.decimal)
            if wrong is not None:
                bad = np.zeros(values.shape, dtype=np.bool_) if bad is None else bad
                bad[:, index] = wrong
        return values, bad, table.select([str(i) for i in kept]).rename_columns(names)

    def _numbers(self, table: pa.Table, positions: list[int], kept: set[int]) -> NDArray[np.float64] | None:
        """Return the columns as numbers; ``None`` where a cell is missing or none."""
        values = np.empty((table.num_rows, len(positions)))
        for index, position in enumerate(positions):
            column = table.column(str(position))
            numbers = convert_text(column, self._options.decimal) if position in kept else finite_values(column)
            if numbers is None:
                return None
            values[:, index] = numbers
        return values

    def _parse(self, data: bytes, types: Mapping[int, pa.DataType]) -> pa.Table:
        names = [str(i) for i in range(len(self.header))]
        quoted = b'"' in data
        for block in (_ARROW_BLOCK_BYTES, len(data) + 1):
            try:
                return pyarrow.csv.read_csv(
                    pa.BufferReader(data),
                    read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=block),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=self._options.delimiter, ignore_empty_lines=False, newlines_in_values=quoted
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        include_columns=[names[i] for i in types],
                        column_types={names[i]: kind for i, kind in types.items()},
                        null_values=[""],
                        strings_can_be_null=False,
                        decimal_point=self._options.decimal,
                    ),
                )
            except pa.ArrowInvalid:
                # A record longer than a block is refused like a fault; one block for all tells them apart.
                if block > len(data):
                    raise
        raise AssertionError

    def _convert_by_cells(self, data: bytes, positions: list[int], kept: list[int], line: int, row: int) -> Chunk:
        width = len(self.header)
        faults: list[Fault] = []
        rows: list[list[float]] = []
        wrong: list[list[bool]] = []
        texts: list[list[str]] = []
        lines: list[int] = []
        for index, record in enumerate(records(data, self._separator, line)):
            cells = [cell.decode() for cell in record.cells]
            if cells == [""] or len(cells) != width:
                faults.append(Fault("shape", index, record.line, None, "", self._explain_shape(cells)))
                cells = [""] * width
            found = [number(cells[position], self._options.decimal) for position in positions]
            values = [math.nan if value is None or not math.isfinite(value) else value for value in found]
            rows.append(values)
            wrong.append([v != v and not is_missing(cells[p]) for v, p in zip(values, positions, strict=True)])
            texts.append([cells[i] for i in kept])
            lines.append(record.line)
        columns = list(zip(*texts, strict=True)) or [()] * len(kept)
        table = pa.table([pa.array(c, pa.string()) for c in columns], names=[self.header[i] for i in kept])
        array = np.array(rows, dtype=np.float64).reshape(len(rows), len(positions))
        bad = np.array(wrong, dtype=np.bool_).reshape(array.shape)
        return Chunk(array, bad if bad.any() else None, table, np.array(lines, dtype=np.int64), line, row, faults, data)

    def _explain_shape(self, cells: list[str]) -> str:
        width = len(self.header)
        holder = "header" if self._options.header else "first row"
        if cells == [""]:
            return "the line is blank; remove it, or fill the row in"
        found = f"{len(cells)} cell{'s' * (len(cells) != 1)} where the {holder} has {width}"
        if len(cells) == width + 1 and not cells[-1]:
            return f"{found}: the line ends with a separator; remove it"
        if len(cells) == 2 * width and self._options.delimiter == "," and all(c.strip("+-").isdigit() for c in cells):
            return f"{found}; if the decimal mark is a comma, write another separator and give --sep and --decimal ,"
        if any("\n" in cell or "\r" in cell for cell in cells):
            return f"{found}; a quote that opens in this row is probably never closed"
        return f"{found}; correct the row"


def _may_have_a_blank_line(data: bytes) -> bool:
    """Return whether a line of a text is blank, in quotes or not."""
    return data[:1] in (b"\n", b"\r") or any(pair in data for pair in (b"\n\n", b"\r\r", b"\n\r"))


def _encoding_fault(data: bytes, ended: bool) -> tuple[int, str] | None:
    """Return the offset of the first byte that is not UTF-8 text, and what to say about it."""
    position = data.find(b"\0")
    problem = (
        "there is a NUL byte, so this is not UTF-8 text; if it is UTF-16, convert it with iconv -f UTF-16 -t UTF-8"
    )
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            # A character that is cut by the end of what was read so far is seen whole in the next round.
            cut = not ended and error.end == len(data) and error.reason == "unexpected end of data"
            if not cut and (position < 0 or error.start < position):
                position = error.start
                problem = (
                    f"byte 0x{data[position]:02x} is not UTF-8; if the file is Latin-1 or Windows-1252, convert it "
                    "with iconv -f WINDOWS-1252 -t UTF-8"
                )
    return None if position < 0 else (position, problem)
