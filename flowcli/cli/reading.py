"""From options to how a table is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowcli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flowcli.table import ReadOptions, Schema

    Rows = NDArray[np.float64]


def read_options(sep: str, decimal: str, no_header: bool, max_bytes: int | None, missing: str | None) -> ReadOptions:
    """Return the options of ``options.reading`` as one value."""
    from dataclasses import replace

    from flowcli.table import ReadOptions, missing_words

    words = None if missing is None else missing_words(split_names(missing, "--missing") or ())
    options = ReadOptions(separator=sep, decimal=decimal, header=not no_header, missing=words)
    return options if max_bytes is None else replace(options, max_bytes=max_bytes)


def need_input(source: str) -> None:
    """Refuse to wait for a person to type a table."""
    if source == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("no DATA: give a file, or pipe a table in: ... | flowcli ...")


def refuse_overwrite(source: str | None, output: str) -> None:
    """Refuse to write over what is being read."""
    from pathlib import Path

    if source is None or "-" in (source, output) or "\0" in source + output:
        return
    if Path(output).is_file() and Path(source).is_file() and Path(output).samefile(source):
        raise UsageError(f"{output}: input and output are the same file")


def split_names(text: str | None, option: str) -> list[str] | None:
    """Split an option at its commas; a name that has a comma itself stands in quotes.

    Raises:
        UsageError: A quote that never ends.
    """
    import csv

    if text is None:
        return None
    try:
        rows = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise UsageError(f"{option}: {error}") from error
    return [name for row in rows for name in row if name]


def whole_rows(source: str, schema: Schema, options: ReadOptions, notice: Callable[[str], None]) -> Rows:
    """Return all rows of a table, (N, N_c), with at least one; values that the model finds impossible are among them.

    Raises:
        UsageError: A source that makes no sense.
        DataError: Columns that are not there, cells that cannot be read, or no row at all.
    """
    from flowcli.errors import DataError
    from flowcli.table import open_table

    with open_table(source, schema.columns, options=options, notice=notice) as table:
        values = table.values()
    if not len(values):
        raise DataError("has a header but no rows", source=source)
    return values
