"""CSV as chunks of whole records, a few megabytes each.

The stream is cut here and not by pyarrow, so that the bytes of a fault are still at hand when it shows, from a pipe as
well, and the line named is the line in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import pyarrow as pa

from flowcli.errors import DataError
from flowcli.parallel.waiting import Waiting
from flowcli.table.io.csv_chunk import CsvChunk, CsvConverter
from flowcli.table.io.csv_format import read_header
from flowcli.table.io.csv_scan import BOM, count_lines, last_end
from flowcli.table.io.source import ByteStream
from flowcli.table.read_options import ReadOptions
from flowcli.text import printable

CHUNK_BYTES = 4 * 2**20
# One record as long as this is a quote that was never closed, and reading on would only fill the memory.
MAX_RECORD_BYTES = 64 * 2**20


class CsvReader:
    """A CSV text as chunks of rows; a ``TableSource``.

    Args:
        stream: The bytes, from the start.
        source: The name for messages.
        options: How the file is written.

    Raises:
        DataError: The text is empty, is not UTF-8, or its header cannot be used.
    """

    typed = False

    def __init__(self, stream: ByteStream, source: str, options: ReadOptions) -> None:
        self.name = printable(source)
        self._texts = _whole_records(stream, options.delimiter.encode(), self.name)
        first = next((text for text in self._texts if not isinstance(text, Waiting)), b"")
        if not first:
            raise DataError("is empty: there is no header and no row", source=self.name)
        self.form, start = read_header(first, self.name, options)
        self.header, self.missing = self.form.header, self.form.missing
        self._unread = first[start:]
        self._first_line = 1 + count_lines(first[:start])

    def types(self, positions: Sequence[int]) -> pa.Schema:
        """Return the types of some columns, which are all texts."""
        return pa.schema([(self.header[position], pa.string()) for position in positions])

    def chunks(self, numbers: Sequence[int | None], kept: Sequence[int]) -> Iterator[CsvChunk | Waiting]:
        """Read the rows, once; see ``TableSource.chunks``.

        Raises:
            DataError: Bytes that are not UTF-8, or a quote that is never closed.
        """
        converter = CsvConverter(self.form, numbers, kept)
        line, row = self._first_line, 0
        first, self._unread = self._unread, b""
        for data in chain([first] if first else [], self._texts):
            if isinstance(data, Waiting):
                yield data
                continue
            chunk = converter.convert(data, line, row)
            yield chunk
            line += count_lines(data) if b'"' in data else len(chunk.values)
            row += len(chunk.values)


def _whole_records(stream: ByteStream, separator: bytes, name: str) -> Iterator[bytes | Waiting]:
    """Cut a stream between records, and check that it is UTF-8 text.

    Yields:
        The next records, and a ``Waiting`` wherever they have not been written into a pipe yet.

    Raises:
        DataError: Bytes that are not UTF-8, or a quote that is never closed.
    """
    remaining = yield from stream.read(CHUNK_BYTES)
    ended = len(remaining) < CHUNK_BYTES
    remaining = remaining.removeprefix(BOM)
    line = 1
    while remaining:
        fault = _encoding_fault(remaining, ended)
        if fault is not None:
            position, problem = fault
            # The rows before it come first, so that the first fault of the file is the one that is told.
            before, _ = last_end(remaining[:position], separator)
            if before:
                yield remaining[:before]
            raise DataError(problem, source=name, line=line + count_lines(remaining[:position]))
        # A CR at the end may be half of a CRLF.
        closed = remaining if ended or not remaining.endswith(b"\r") else remaining[:-1]
        whole, open_quote = last_end(closed, separator)
        if ended and open_quote is None:
            whole = len(remaining)
        whole = _without_blank_lines(remaining[:whole])
        if ended and not remaining[whole:].strip(b"\r\n"):  # blank lines at the end are no rows
            if whole:
                yield remaining[:whole]
            return
        if whole:
            yield remaining[:whole]
            line += count_lines(remaining[:whole])
            remaining = remaining[whole:]
        if (ended and remaining) or len(remaining) > MAX_RECORD_BYTES:
            if open_quote is None:
                raise DataError(f"a row longer than {MAX_RECORD_BYTES} bytes", source=name, line=line)
            raise DataError(
                "a quote opens on this line and is never closed",
                source=name,
                line=line + count_lines(remaining[: open_quote - whole]),
            )
        if not ended:
            more = yield from stream.read(CHUNK_BYTES)
            ended = len(more) < CHUNK_BYTES
            remaining += more


def _without_blank_lines(records: bytes) -> int:
    """Return where the last of some records ends that is no blank line, its own line end included."""
    text = len(records.rstrip(b"\r\n"))
    if not text:
        return 0
    return text + (2 if records[text : text + 2] == b"\r\n" else len(records[text : text + 1]))


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
