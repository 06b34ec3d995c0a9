"""Which cells count as missing: empty ones, and those with a word for it."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowcli.errors import UsageError

PADDING = " \t"
# Chosen, not pyarrow's default, which also takes '#N/A', 'n/a' and others: a word that is not here is reported.
USUAL = ("NA", "N/A", "NaN", "nan", "null", "NULL")
NO_WORD = "none"
# The letters of a cell that is probably meant as missing; one without letters and digits, such as ``?``, is, too.
_LETTERS = {"", "na", "nan", "nd", "nil", "none", "null", "missing", "unknown", "notavailable", "undefined", "blank"}


class MissingCells:
    """Tells missing cells from others; blanks around a cell do not count.

    Args:
        words: The words for a missing cell, beside the empty one; ``None`` for the usual ones.
        decimal: The decimal mark of words that are numbers.

    Attributes:
        words: The same, ``None`` where these are the usual ones.
        numbers: The numbers among them, each of which is missing however it is written.
        moments: The dates and timestamps among them, in ISO 8601, as microseconds since 1970-01-01.
    """

    def __init__(self, words: tuple[str, ...] | None = None, decimal: str = ".") -> None:
        self.words = words
        self._texts = {"", *(USUAL if words is None else words)}
        self.numbers = tuple(n for word in sorted(self._texts) if (n := _number(word, decimal)) is not None)
        self.moments = tuple(m for word in sorted(self._texts) if (m := _moment(word)) is not None)

    def is_missing(self, cell: str) -> bool:
        """Return whether a cell is empty or one of the words."""
        return cell.strip(PADDING) in self._texts

    def among(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return which texts without blanks around them, (n,), are missing, (n,)."""
        return pc.is_in(texts, value_set=pa.array(sorted(self._texts)))

    def take_out(self, cells: NDArray[np.float64]) -> None:
        """Put NaN in the places of numbers that stand for a missing cell, (n,), in place."""
        for number in self.numbers:
            cells[cells == number] = np.nan


@lru_cache(maxsize=64)
def missing_cells(words: tuple[str, ...] | None, decimal: str = ".") -> MissingCells:
    """Return what tells missing cells from others, which is made once for each list of words."""
    return MissingCells(words, decimal)


def missing_words(given: Sequence[str | float]) -> tuple[str, ...]:
    """Return the words for a missing cell, of a list that a user gave.

    Args:
        given: Words, or numbers, that stand for a missing cell like the usual ones do; after ``none`` they do alone.

    Raises:
        UsageError: It is no list, or names no word at all.
    """
    if isinstance(given, str):
        raise UsageError(f"missing: {given!r} is one word; give a list of words")
    words = [str(word).strip(PADDING) for word in given]
    if not any(words):
        raise UsageError(f"--missing: name a word, or {NO_WORD}; an empty cell is missing without a word")
    usual, words = ((), words[1:]) if words[0] == NO_WORD else (USUAL, words)
    return tuple(dict.fromkeys(word for word in (*usual, *words) if word))


def are_possible(words: tuple[str, ...] | None) -> bool:
    """Return whether words are such as ``missing_words`` returns."""
    if words is None:
        return True
    texts = isinstance(words, tuple) and all(isinstance(word, str) and word == word.strip(PADDING) for word in words)
    return texts and all(words) and len(set(words)) == len(words)


def missing_flag(words: tuple[str, ...] | None, more: Sequence[str]) -> str:
    """Return the flag by which more words than now stand for a missing cell, ready to be pasted.

    Args:
        words: Those that do now; ``None`` for the usual ones.
        more: The others.
    """
    if words is None or words[: len(USUAL)] == USUAL:
        given = [*(words or USUAL)[len(USUAL) :], *more]
        given = ["NA", *given] if given[0] == NO_WORD else given
    else:
        given = [NO_WORD, *words, *more]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(given)
    text = line.getvalue()
    shown = shlex.quote(text) if text.isprintable() else repr(text)
    return f"--missing={shown}" if text.startswith("-") else f"--missing {shown}"


def is_mark(cell: str) -> bool:
    """Return whether a cell that is no number is probably meant as missing: ``?``, ``--``, ``n.a.``."""
    text = cell.strip(PADDING)
    letters = "".join(filter(str.isalpha, text)).lower()
    return bool(text) and text.isprintable() and letters in _LETTERS and not any(map(str.isdigit, text))


def _moment(word: str) -> int | None:
    """Return the microseconds from 1970-01-01 to a date or timestamp, if a word is one."""
    try:
        moment = datetime.fromisoformat(word) if word[4:5] == word[7:8] == "-" else None
    except ValueError:
        return None
    return None if moment is None or moment.tzinfo else (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _number(word: str, decimal: str) -> float | None:
    """Return the number that a word is, if it is one."""
    try:
        number = float(word.replace(decimal, "."))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in word else None
