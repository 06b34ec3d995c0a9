"""Opening what a table is read from: a file, a compressed file, or standard input, as a stream of bytes."""

from __future__ import annotations

import io
import os
import re
import select
import stat
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flowcli.errors import DataError, ResourceError, UsageError
from flowcli.parallel.waiting import Waiting
from flowcli.table.read_options import ReadOptions
from flowcli.text import printable

CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}

# What one read from a pipe may bring at most.
_PIPE_BYTES = 2**20

# What a file starts with when it is not the plain text that its name promises.
_MAGIC = (
    (b"\x1f\x8b", "is gzip-compressed: give it a name that ends in .gz, or unpack it with gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "is zstd-compressed: give it a name that ends in .zst, or unpack it with zstd -dc"),
    (b"BZh", "is bzip2-compressed: give it a name that ends in .bz2, or unpack it with bzip2 -dc"),
    (b"PAR1", "is a Parquet file: give it as a plain file whose name ends in .parquet"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook, not CSV: unpack it, or save the sheet as CSV"),
    (b"\xff\xfe", "is UTF-16, not UTF-8: convert it with iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "is UTF-16, not UTF-8: convert it with iconv -f UTF-16 -t UTF-8"),
)


class ByteStream:
    """Bytes of a text file from start to end, unpacked, checked to be what the name says.

    Args:
        raw: Where the bytes come from.
        source: The name for messages.
        limit: The most bytes that may come; ``None`` for no limit.
        packed: Whether the bytes are unpacked on the way, so that a fault may be damage in the archive.
    """

    def __init__(self, raw: IO[bytes], source: str, limit: int | None, packed: bool) -> None:
        self._raw = raw
        self._source = source
        self._limit = limit
        self._packed = packed
        self._count = 0
        self._pipe = None if packed else _pipe(raw)

    def read(self, size: int) -> Generator[Waiting, None, bytes]:
        """Read exactly ``size`` bytes, fewer only at the end.

        Yields:
            Where it is going to wait for who writes into a pipe.

        Returns:
            The bytes.

        Raises:
            DataError: A damaged archive, one that unpacks to too much, or bytes that cannot be a table.
            ResourceError: The system could not read.
        """
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            if self._pipe is not None and not _readable(self._pipe, 0):
                yield Waiting(self._pipe)
                _readable(self._pipe, None)  # a pipe that does not block would seem to have ended
            part = self._read_some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        data = b"".join(parts)
        if self._count == 0:
            for magic, problem in _MAGIC:
                if data.startswith(magic):
                    raise DataError(problem, source=printable(self._source))
        self._count += len(data)
        if self._limit is not None and self._count > self._limit:
            raise DataError(
                f"unpacks to more than {self._limit} bytes; --max-bytes sets the limit", source=printable(self._source)
            )
        return data

    def _read_some(self, size: int) -> bytes:
        try:
            if self._pipe is not None and isinstance(self._raw, io.BufferedReader):
                return self._raw.read1(min(size, _PIPE_BYTES))  # what is there, and nothing left in a buffer
            return bytes(self._raw.read(size))
        except OSError as error:
            if self._packed and error.errno is None:
                raise DataError(
                    f"the compressed file is damaged or cut short ({_one_line(error)}); fetch or write it again",
                    source=printable(self._source),
                ) from error
            raise ResourceError(
                f"{printable(self._source)}: cannot be read: {error.strerror or _one_line(error)}"
            ) from error


def _pipe(raw: IO[bytes]) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal, where reading may have to wait; ``None`` of all else."""
    if not (isinstance(raw, io.BufferedReader) and hasattr(select, "poll")):
        return None
    try:
        return None if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else raw.fileno()
    except OSError:  # not a file of the system's
        return None


def _readable(descriptor: int, timeout: int | None) -> bool:
    """Return whether there is something to read, or the end, within so many milliseconds; ``None`` waits for it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout))


def is_parquet(source: str) -> bool:
    """Return whether a name promises a Parquet file."""
    return source.lower().endswith((".parquet", ".pq"))


@contextmanager
def open_file(source: str) -> Iterator[IO[bytes]]:
    """Open a local file for reading.

    Raises:
        UsageError: A URL, a folder, or nothing of that name.
        ResourceError: It is there but cannot be read.
    """
    name = printable(source)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        raise UsageError(f"{name} is a URL, and nothing is ever fetched: download it, or pipe it in and give -")
    if not source or "\0" in source:
        raise UsageError(f"{name or repr(source)} is not the name of a file")
    if os.path.isdir(source):
        raise UsageError(f"{name} is a folder; give a file")
    try:
        file = open(source, "rb")  # noqa: SIM115 - the errors of opening and of reading are told apart
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{name}: there is no such file") from None
    except OSError as error:
        raise ResourceError(f"{name}: cannot be read: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def open_bytes(source: str, options: ReadOptions) -> Iterator[ByteStream]:
    """Open a text file, a compressed one (``.gz``, ``.zst``, ``.bz2``), or standard input (``-``).

    Raises:
        UsageError: A URL, a folder, nothing of that name, or standard input that is a terminal.
        ResourceError: It is there but cannot be read.
    """
    if source == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise UsageError("standard input is closed; give a file, or pipe rows in")
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; give a file, or pipe rows in: ... | flowcli ... -")
        yield ByteStream(sys.stdin.buffer, source, None, packed=False)
        return
    with open_file(source) as file:
        codec = CODECS.get(Path(source).suffix.lower())
        if codec is None:
            yield ByteStream(file, source, None, packed=False)
        else:
            with _unpacked(file, codec) as unpacked:
                yield ByteStream(unpacked, source, options.max_bytes, packed=True)


@contextmanager
def _unpacked(file: IO[bytes], codec: str) -> Iterator[IO[bytes]]:
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec)
    try:
        yield stream
    finally:
        stream.close()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
