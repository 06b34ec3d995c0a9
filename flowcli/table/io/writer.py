"""Writing tables: to standard output as they come, to a file whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol, TypeVar

import pyarrow as pa

from flowcli.atomic import file_errors, replacing
from flowcli.errors import DataError, ResourceError, UsageError
from flowcli.table.io.csv_text import header_line, row_lines
from flowcli.table.io.source import CODECS, is_parquet
from flowcli.text import printable


class Writer(Protocol):
    """Takes a table, part by part."""

    def write(self, table: pa.Table) -> None:
        """Write the next rows.

        Raises:
            BrokenPipeError: Who reads has gone.
            ResourceError: The disk is full, or cannot be written to.
            DataError: The columns are not those of the rows before, or have no text.
        """


@contextmanager
def open_writer(
    output: str, *, schema: pa.Schema | None = None, separator: str = ",", overwrite: bool = True
) -> Iterator[Writer]:
    """Open a table for writing.

    A name that ends in ``.parquet`` gives Parquet, all else CSV; ``.gz``, ``.zst`` and ``.bz2`` are compressed. A file
    appears when the block ends, and not at all when it ends with an exception: until then the one that was there stays.

    Args:
        output: A path, or ``-`` for standard output.
        schema: The columns, so that a table of no rows has its header too.
        separator: What stands between two cells of CSV.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        UsageError: A folder, a name in a folder that is not there, or a file that may not be replaced.
        ResourceError: The file cannot be written.
        BrokenPipeError: Who reads has gone.
    """
    opened = _standard_output() if output == "-" else _new_file(output, overwrite)
    plain = output == "-"
    codec = None if plain else CODECS.get(Path(output).suffix.lower())
    if codec is not None and is_parquet(output[: output.rindex(".")]):
        raise UsageError(f"{printable(output)}: Parquet is compressed already; give a name that ends in .parquet")
    with opened as file:
        if not plain and is_parquet(output):
            with _closing(_ParquetWriter(file, schema)) as writer:
                yield writer
        elif codec is not None:
            with _closing(pa.CompressedOutputStream(pa.PythonFile(file, mode="w"), codec)) as packed:
                yield _CsvWriter(packed, schema, separator)
        else:
            yield _CsvWriter(file, schema, separator)
        file.flush()


class _Closable(Protocol):
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)


@contextmanager
def _closing(stream: _C) -> Iterator[_C]:
    try:
        yield stream
    except BaseException:
        # The exception on its way out has more to say than one from a stream that could not be finished.
        with suppress(Exception):
            stream.close()
        raise
    stream.close()


class _CsvWriter:
    def __init__(self, file: _Output | pa.NativeFile, schema: pa.Schema | None, separator: str) -> None:
        self._file = file
        self._separator = separator
        self._names: list[str] | None = None
        if schema is not None:
            self._start(schema.names)

    def write(self, table: pa.Table) -> None:
        if self._names is None:
            self._start(table.schema.names)
        if table.schema.names != self._names:
            raise DataError("the columns differ from those of the rows before")
        for lines in row_lines(table, self._separator):
            self._file.write(lines)
        # Who reads from a pipe sees each block when it is there; a file gains nothing by it.
        if isinstance(self._file, _Output):
            self._file.flush()

    def _start(self, names: list[str]) -> None:
        self._names = list(names)
        self._file.write(header_line(names, self._separator))


class _ParquetWriter:
    def __init__(self, file: _Output, schema: pa.Schema | None) -> None:
        self._file = file
        self._schema = schema
        self._writer: pa.parquet.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        writer = self._started(table.schema)
        try:
            writer.write_table(table.cast(writer.schema))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise DataError(f"these rows do not fit the columns of the rows before ({text})") from error

    def close(self) -> None:
        self._started(pa.schema([])).close()

    def _started(self, schema: pa.Schema) -> pa.parquet.ParquetWriter:
        if self._writer is None:
            import pyarrow.parquet

            self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema or schema)
        return self._writer


class _Output:
    """A file that says in one line what the system has against it, wherever it is written from."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        with file_errors(self._name):
            return self._file.write(data)

    def flush(self) -> None:
        with file_errors(self._name):
            self._file.flush()

    def close(self) -> None:
        self.closed = True


@contextmanager
def _standard_output() -> Iterator[_Output]:
    if sys.stdout is None:
        raise ResourceError("standard output: cannot be written: it is closed")
    yield _Output(sys.stdout.buffer, "standard output")


@contextmanager
def _new_file(output: str, overwrite: bool) -> Iterator[_Output]:
    name = printable(output)
    if not output or "\0" in output:
        raise UsageError(f"{name or repr(output)} is not the name of a file")
    # A link stays a link: what it points to is replaced.
    path = Path(os.path.realpath(output))
    with file_errors(name):
        try:
            before = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            before = None
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise UsageError(f"{name} is a folder; give the name of a file")
    if before is not None and not stat.S_ISREG(before.st_mode):
        # A device or a named pipe is written to, not replaced.
        with file_errors(name):
            device = open(path, "wb")  # noqa: SIM115 - closed below, where the errors of closing are told
        try:
            yield _Output(device, name)
        finally:
            with file_errors(name):
                device.close()
        return
    if before is not None and not overwrite:
        raise UsageError(f"{name} is there already; --force replaces it")
    if not path.parent.is_dir():
        raise UsageError(f"{name}: there is no folder {printable(str(path.parent))}")
    # The name as the user gave it, for the messages.
    with replacing(Path(output)) as file:
        yield _Output(file, name)
