"""Formats of cells that stand for numbers: of dates and times, and of numbers with something around their digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flowcli.table.values.dates import DateFormat
from flowcli.table.values.number_format import NumberFormat

Numbers = NDArray[np.float64]


def is_date(form: str) -> bool:
    """Return whether a format is that of dates or times."""
    return "#" not in form


def unit_of(form: str) -> str | None:
    """Return what one is in memory in a format of dates or times, such as ``day``; ``None`` in one of numbers."""
    return _date(form).unit.removesuffix(" of the day") if is_date(form) else None


def numbers_of(texts: Sequence[str | None], form: str) -> Numbers:
    """Return texts as the numbers that they stand for, (n,), NaN where one is ``None`` or not in the format."""
    return _date(form).numbers(texts) if is_date(form) else _number(form).numbers(texts)


def texts_of(numbers: Numbers, form: str, decimals: int | None) -> list[str | None]:
    """Return numbers (n,) as texts, those that are no dates with so many digits; ``None`` where one is NaN."""
    return _date(form).texts(numbers) if is_date(form) else _number(form).texts(numbers, decimals)


def number_text(number: float, form: str | None) -> str:
    """Return one number for a message, as the cells of its column have it."""
    text = None if form is None else texts_of(np.array([number]), form, None)[0]
    return f"{number:.15g}" if text is None else text


def rounded_dates(numbers: Numbers, form: str) -> Numbers:
    """Return dates or times (n,) as they are once written in a format."""
    return _date(form).rounded(numbers)


@lru_cache(maxsize=64)
def _date(form: str) -> DateFormat:
    return DateFormat(form)


@lru_cache(maxsize=64)
def _number(form: str) -> NumberFormat:
    return NumberFormat(form)
