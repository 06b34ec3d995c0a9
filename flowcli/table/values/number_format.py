"""Numbers with something around their digits: ``$1,234.50``, ``12%``, ``1 234``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_SIGNS = r"[$€£¥₹%]|US\$|USD|EUR|GBP|CHF|kr"
GROUPS = (",", ".", "'", " ", "\u00a0", "\u202f")
# What stands before the digits, and what after them.
_CELL = re.compile(rf"-?(?P<before>(?:(?:{_SIGNS}) ?)?)-?\d(?:[^A-Za-z%$€£¥₹]*\d)?(?P<after>(?: ?(?:{_SIGNS}))?)")
_COMMA = ",0"  # after the last ``#`` of a format whose decimal mark is a comma
PROBED = 64  # texts that a format is tried on before all are
# Numbers with a comma and three digits after it, beside some without: fewer may have a decimal comma.
FEWEST_GROUPED = 3


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written, but for their digits.

    Attributes:
        text: What stands before and after the number, which is ``#``, or ``#,#`` with what separates thousands; with a
            decimal comma ``#,0`` or ``#.#,0``.
    """

    text: str

    @classmethod
    def of(cls, before: str, group: str, decimal: str, after: str) -> NumberFormat:
        """Return the format with these parts: before the number, between thousands, the decimal mark, and after it."""
        return cls(f"{before}#{f'{group}#' if group else ''}{_COMMA if decimal == ',' else ''}{after}")

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """What stands before the number, what separates its thousands, and what stands after it."""
        before, _, remaining = self.text.partition("#")
        group, inner, after = remaining.partition("#")
        group, after = (group, after) if inner else ("", remaining)
        return before, group, after.removeprefix(_COMMA)

    @cached_property
    def decimal(self) -> str:
        """The decimal mark."""
        return "," if self.text.rpartition("#")[2].startswith(_COMMA) else "."

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        before, group, after = map(re.escape, self._parts)
        whole = rf"\d{{1,3}}(?:{group}\d{{3}})*|\d+" if group else r"\d+"
        mark = re.escape(self.decimal)
        return re.compile(rf"(-?){before}(-?)({whole})((?:{mark}\d*)?){after}", re.ASCII)

    def number(self, text: str) -> float | None:
        """Return the number that a text stands for; ``None`` where it is not in this format."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        sign, inner_sign, whole, fraction = match.groups()
        digits = whole.replace(self._parts[1], "") if self._parts[1] else whole
        value = float(digits + fraction.replace(self.decimal, "."))
        return -value if (sign or inner_sign) else value

    def numbers(self, texts: Sequence[str | None]) -> Numbers:
        """Return texts as numbers, (n,), NaN where one is ``None`` or none in this format."""
        found = (None if text is None else self.number(text) for text in texts)
        return np.array([np.nan if value is None else value for value in found])

    def texts(self, numbers: Numbers, decimals: int | None) -> list[str | None]:
        """Return numbers (n,) as texts with so many digits after the point, or as many as needed; ``None`` for NaN."""
        return [None if value != value else self._text(value, decimals) for value in numbers.tolist()]

    def shows_thousands(self, text: str) -> bool:
        """Return whether a text can have its separator for nothing but thousands."""
        return text.count(self._parts[1]) > 1 or self.decimal in text

    def decimals(self, texts: Sequence[str]) -> int:
        """Return the most digits that a text shows after the decimal mark."""
        shown = (self._pattern.fullmatch(text) for text in texts)
        return max((max(0, len(match.group(4)) - 1) for match in shown if match), default=0)

    def _text(self, value: float, decimals: int | None) -> str:
        before, group, after = self._parts
        size = abs(value)
        digits = f"{size:,.{decimals}f}" if decimals is not None else f"{size:,}"
        digits = digits.translate({ord(","): group, ord("."): self.decimal})
        return f"{'-' if value < 0 else ''}{before}{digits}{after}"


def find_number_format(texts: Sequence[str], decimal: str, thousands: str | None = None) -> NumberFormat | None:
    """Find what all numbers of a column have around their digits.

    Args:
        texts: The column's texts, each once.
        decimal: The decimal mark.
        thousands: What separates thousands, where the user said so.

    Returns:
        The format that all texts have; ``None`` where there is none, where the texts are plain numbers, and where what
        separates thousands may as well be another decimal mark.
    """
    match = _CELL.fullmatch(texts[0]) if texts else None
    if match is None:
        return None
    before, after = match.group("before", "after")
    for group in ("", *(mark for mark in GROUPS if mark != decimal)):
        form = NumberFormat.of(before, group, decimal, after)
        if all(form.number(text) is not None for part in (texts[::step] for step in _steps(texts)) for text in part):
            if not group:
                return form if before or after else None
            with_group = [text for text in texts if group in text]
            if any(text.lstrip("-").startswith(f"0{group}") for text in with_group):
                return None
            enough = FEWEST_GROUPED <= len(with_group) < len(texts)
            clear = before or after or group not in ",." or enough or group == thousands
            return form if clear or any(map(form.shows_thousands, with_group)) else None
    return None


def _steps(texts: Sequence[str]) -> tuple[int, ...]:
    """Return by which steps texts are gone through: some of them first."""
    return (max(1, len(texts) // PROBED), 1)
