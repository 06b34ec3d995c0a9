"""Which format the texts of a column have, if they stand for dates, times or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flowcli.table.inference.lattice import Written
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.dates import find_date_format
from flowcli.table.values.number_format import NumberFormat, find_number_format


def distinct(texts: pa.ChunkedArray) -> list[str]:
    """Return the texts of a column that are not missing, each once."""
    return [text for text in pc.unique(texts).to_pylist() if text is not None]


def find_format(texts: Sequence[str], decimal: str, date_format: str | None, thousands: str | None) -> str | None:
    """Return the format that all texts of a column have, of dates or of numbers; ``None`` where there is none.

    Args:
        texts: The column's texts, each once.
        decimal: The decimal mark of numbers.
        date_format: The format of dates that the user gave.
        thousands: What separates thousands, where the user said so.
    """
    date, _ = find_date_format(texts, date_format)
    if date is not None:
        return date.text
    number = find_number_format(texts, decimal, thousands)
    return None if number is None else number.text


def written_in(form: str, texts: Sequence[str]) -> Written:
    """Return how the numbers are written that texts in a format stand for."""
    if is_date(form):
        return Written(integer=True, decimals=0, format=form)
    decimals = NumberFormat(form).decimals(texts)
    return Written(integer=not decimals, decimals=decimals, format=form)
