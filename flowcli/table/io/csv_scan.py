"""Where the records and cells of a CSV text lie: exactly, whatever is quoted.

pyarrow parses the rows; what it does not say is kept here: at which line a record starts, and where a text can be cut.
The rules are pyarrow's: a quote opens a cell only as its first character, two quotes inside are one, and what follows
the closing quote belongs to the cell; CR, LF and CRLF all end a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BOM = b"\xef\xbb\xbf"
_LF, _CR, _QUOTE = 10, 13, 34


@dataclass(frozen=True)
class Record:
    """One record of a CSV text.

    Attributes:
        line: The line that it starts on.
        start: The offset of its first byte.
        end: The offset after its line ending.
        cells: Its cells, without quotes.
    """

    line: int
    start: int
    end: int
    cells: list[bytes]


@dataclass(frozen=True)
class Layout:
    """Where the records of a CSV text end.

    Attributes:
        ends: For each record that has a line ending, the offset after it, (records,).
        lines: How many lines of the text end at or before each of ``ends``, (records,).
        open_quote: The offset of a quote that is not closed; ``None`` when all are.
    """

    ends: NDArray[np.int64]
    lines: NDArray[np.int64]
    open_quote: int | None


@lru_cache(maxsize=8)
def _cell_pattern(separator: bytes) -> re.Pattern[bytes]:
    mark = re.escape(separator)
    quoted = rb'"([^"]*(?:""[^"]*)*)(?:("(?!"))|\Z)'
    return re.compile(rb"(?:" + quoted + rb")?([^" + mark + rb"\r\n]*)(" + mark + rb"|\r\n|\n|\r|\Z)")


def count_lines(data: bytes) -> int:
    """Return how many line endings (CR, LF or CRLF) a text has."""
    # bytes.count is made for rare bytes; in a table, numpy is several times faster.
    lines = int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == _LF))
    if b"\r" in data:
        lines += data.count(b"\r") - data.count(b"\r\n")
    return lines


def records(data: bytes, separator: bytes, first_line: int = 1) -> Iterator[Record]:
    """Split a text that starts at a record into its records, in Python and slowly: for headers and for faults."""
    match_cell = _cell_pattern(separator).match
    position, line = 0, first_line
    while position < len(data):
        start, start_line, cells = position, line, []
        ended = False
        while not ended:
            match = match_cell(data, position)
            assert match is not None
            quoted, _, remaining, end = match.groups()
            if quoted is None:
                cells.append(remaining)
            else:
                cells.append(quoted.replace(b'""', b'"') + remaining)
                line += count_lines(quoted)
            position = match.end()
            ended = end != separator
            line += ended and bool(end)
        yield Record(start_line, start, position, cells)


def layout(data: bytes, separator: bytes) -> Layout:
    """Find where the records end in a text that starts at a record."""
    array = np.frombuffer(data, dtype=np.uint8)
    newline = array == _LF
    if b"\r" in data:
        carriage = np.flatnonzero(array == _CR)
        followed = carriage + 1 < len(array)
        alone = np.ones(len(carriage), dtype=bool)
        alone[followed] = array[carriage[followed] + 1] != _LF
        newline[carriage[alone]] = True
    ends = np.flatnonzero(newline) + 1
    lines = np.arange(1, len(ends) + 1)
    if b'"' not in data:
        return Layout(ends, lines, None)
    quotes = np.flatnonzero(array == _QUOTE)
    opening = quotes[::2]
    before = array[np.maximum(opening - 1, 0)]
    # Counting quotes is enough as long as each odd one can open a cell; a stray one inside a cell makes it guesswork.
    if np.all((opening == 0) | (before == ord(separator)) | (before == _LF) | (before == _CR) | (before == _QUOTE)):
        outside = np.searchsorted(quotes, ends) % 2 == 0
        return Layout(ends[outside], lines[outside], int(quotes[-1]) if len(quotes) % 2 else None)
    return _layout_by_cells(data, separator)


def last_end(data: bytes, separator: bytes) -> tuple[int, int | None]:
    """Return where a text that starts at a record can be cut.

    Returns:
        The offset after the last record that has a line ending (0 if none has), and that of a quote that is not closed.
    """
    if b'"' not in data:
        return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1, None
    plan = layout(data, separator)
    return int(plan.ends[-1]) if len(plan.ends) else 0, plan.open_quote


def _layout_by_cells(data: bytes, separator: bytes) -> Layout:
    ends: list[int] = []
    lines: list[int] = []
    open_quote = None
    line = 0
    for match in _cell_pattern(separator).finditer(data):
        quoted, closed, _, end = match.groups()
        if quoted is not None:
            line += count_lines(quoted)
            if closed is None:
                open_quote = match.start()
        if end and end != separator:
            line += 1
            ends.append(match.end())
            lines.append(line)
    return Layout(np.array(ends, dtype=np.int64), np.array(lines, dtype=np.int64), open_quote)
