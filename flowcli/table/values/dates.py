"""Dates and times that are written as texts: which format a column has, and its cells as numbers and back.

A format is written in the directives of ``strftime``: ``%Y-%m-%d``; ``%-d`` for a day without a leading zero, and,
which ``strftime`` does not have, ``%q`` for the quarter of a year and ``%3f`` for three digits of a second. In memory
a date is the number of days since 1970-01-01, a timestamp the seconds since then, a time of day the seconds since
midnight, a month or a quarter their number since January 1970.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Unit = Literal["quarter", "month", "day", "second", "second of the day"]

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SHORT_MONTHS = tuple(name[:3] for name in MONTHS)
DAY = 86_400  # seconds
WEEK, YEAR = 7, 12  # days, months
FIRST_YEAR, LAST_YEAR = 1, 9999
# Two digits are years from here on for a century, as POSIX has it.
PIVOT = 1969
PROBED = 64  # texts that a format is tried on before all are
DIGITS_OF_A_DAY = "%Y%m%d"
FIRST_DAY, LAST_DAY, FEWEST_DAYS = 1700_01_01, 2200_12_31, 4

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", DIGITS_OF_A_DAY,
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%m.%d.%Y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d.%m.%y",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%Y-%b-%d", "%Y %b %d",
)  # fmt: skip
_MONTHS = ("%Y-%m", "%Y/%m", "%Y %b", "%Y-%b", "%b %Y", "%b-%Y", "%B %Y", "%Y %B", "%b-%y", "%b %y", "%YM%m", "%Y M%m")
_QUARTERS = ("%Y Q%q", "%Y-Q%q", "%YQ%q", "%Y q%q", "%Yq%q", "Q%q %Y")
_TIMES = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
_JOINTS = (" ", "T", ", ")
# All letters that a date may have; some 900 formats need not be tried on what has others.
_LETTERS = {*MONTHS, *SHORT_MONTHS, *"TZMQq", "UTC", "GMT", "AM", "PM", "am", "pm", "Am", "Pm", "aM", "pM"}
_ZONE = re.compile(r" ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d)$")

_PATTERNS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>\d\d)",
    "%-m": r"(?P<m>[1-9]|1[0-2])",
    "%d": r"(?P<d>\d\d)",
    "%-d": r"(?P<d>[1-9]|[12]\d|3[01])",
    "%b": f"(?P<b>{'|'.join(SHORT_MONTHS)})",
    "%B": f"(?P<B>{'|'.join(MONTHS)})",
    "%q": r"(?P<q>[1-4])",
    "%H": r"(?P<H>[01]\d|2[0-3])",
    "%-H": r"(?P<H>\d|1\d|2[0-3])",
    "%I": r"(?P<I>0[1-9]|1[0-2])",
    "%-I": r"(?P<I>[1-9]|1[0-2])",
    "%M": r"(?P<M>[0-5]\d)",
    "%S": r"(?P<S>[0-5]\d)",
    **{f"%{digits}f": rf"(?P<f>\d{{{digits}}})" for digits in range(1, 10)},
    "%p": r"(?P<p>[AaPp][Mm])",
}
_DIRECTIVE = re.compile(r"%(?:-?[A-Za-z]|[1-9]f)")
_FRACTION = re.compile(r":\d\d\.(\d{1,9})")


@dataclass(frozen=True)
class DateFormat:
    """How dates or times are written.

    Attributes:
        text: The format, such as ``%d/%m/%Y %H:%M``.
    """

    text: str

    @cached_property
    def unit(self) -> Unit:
        """What one is in memory."""
        directives = {directive.replace("-", "") for directive in _DIRECTIVE.findall(self.text)}
        if directives & {"%H", "%I"}:
            return "second" if "%d" in directives else "second of the day"
        return "day" if "%d" in directives else "quarter" if "%q" in directives else "month"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts, position = [], 0
        for match in _DIRECTIVE.finditer(self.text):
            parts += [re.escape(self.text[position : match.start()]), _PATTERNS[match.group()]]
            position = match.end()
        return re.compile("".join([*parts, re.escape(self.text[position:])]))

    def number(self, text: str) -> float | None:
        """Return a text in this format as a number of ``unit``; ``None`` where it is none, or no possible date."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        seconds = _seconds(found)
        if self.unit == "second of the day":
            return seconds
        year = int(found["Y"]) if "Y" in found else PIVOT + (int(found["y"]) - PIVOT) % 100
        if not year:
            return None
        if "q" in found:
            return (year - 1970) * 4.0 + int(found["q"]) - 1
        month = _month(found)
        if not 1 <= month <= 12:
            return None
        months = (year - 1970) * 12 + month - 1
        if "d" not in found:
            return float(months)
        first, after = _days_until(months), _days_until(months + 1)
        day = first + int(found["d"]) - 1
        if not first <= day < after:
            return None
        return float(day) if self.unit == "day" else round(day * DAY + seconds, self._digits)

    def numbers(self, texts: Sequence[str | None]) -> Numbers:
        """Return texts as numbers, (n,), NaN where one is ``None`` or none in this format."""
        known: dict[str | None, float] = {None: np.nan}
        values = np.empty(len(texts))
        for index, text in enumerate(texts):
            value = known.get(text)
            if value is None:
                assert text is not None
                number = self.number(text)
                value = known[text] = np.nan if number is None else number
            values[index] = value
        return values

    def texts(self, numbers: Numbers) -> list[str | None]:
        """Return numbers (n,), rounded to the least that the format shows, as texts; ``None`` where one is NaN."""
        distinct, indices = np.unique(self.rounded(numbers), return_inverse=True)
        written = [None if value != value else self._text(value) for value in distinct.tolist()]
        return [written[index] for index in indices.tolist()]

    def rounded(self, numbers: Numbers) -> Numbers:
        """Return numbers (n,) as they are once written: whole, and from the year 1 to the year 9999."""
        least, most = self.limits
        grain = self.grain
        whole = np.floor(numbers / grain + 0.5) * grain if grain >= 1 else np.round(numbers, self._digits)
        if self.unit == "second of the day":
            return np.asarray(whole % DAY)
        return np.asarray(np.clip(whole, least, most))

    @property
    def limits(self) -> tuple[float, float]:
        """The first and the last number that can be written."""
        first, last = (PIVOT, PIVOT + 99) if "%y" in self.text else (FIRST_YEAR, LAST_YEAR)
        match self.unit:
            case "second of the day":
                return 0.0, DAY - self.grain
            case "quarter":
                return (first - 1970) * 4.0, (last - 1970) * 4.0 + 3
            case "month":
                return (first - 1970) * 12.0, (last - 1970) * 12.0 + 11
        days = _days_until((first - 1970) * 12), _days_until((last + 1 - 1970) * 12) - 1
        if self.unit == "day":
            return float(days[0]), float(days[1])
        return float(days[0] * DAY), float((days[1] + 1) * DAY - self.grain)

    @cached_property
    def grain(self) -> float:
        """The least difference that the format shows, in ``unit``."""
        if "second" not in self.unit:
            return 1.0
        return float(f"1e-{self._digits}") if self._digits else 1.0 if "%S" in self.text else 60.0

    @cached_property
    def _digits(self) -> int:
        """The digits of a second after the point."""
        match = re.search("%([1-9])f", self.text)
        return int(match.group(1)) if match else 0

    def _text(self, number: float) -> str:
        """Return one number, already rounded, as a text."""
        parts: dict[str, str] = {}
        seconds = number
        if self.unit == "quarter":
            year, quarter = 1970 + int(number // 4), int(number % 4) + 1
            parts |= {"%q": str(quarter), "%Y": f"{year:04d}"}
        elif self.unit != "second of the day":
            days = number if self.unit == "day" else number // DAY
            if self.unit == "month":
                year, month, day = 1970 + int(number // 12), int(number % 12) + 1, 1
            else:
                whole = np.datetime64(int(days), "D").astype(object)
                year, month, day = whole.year, whole.month, whole.day
            seconds = number - days * DAY if self.unit == "second" else 0.0
            parts |= {
                "%Y": f"{year:04d}",
                "%y": f"{year % 100:02d}",
                "%m": f"{month:02d}",
                "%-m": str(month),
                "%d": f"{day:02d}",
                "%-d": str(day),
                "%b": SHORT_MONTHS[month - 1],
                "%B": MONTHS[month - 1],
            }
        if "second" in self.unit:
            whole_seconds = int(seconds)
            hour, minute, second = whole_seconds // 3600, whole_seconds // 60 % 60, whole_seconds % 60
            fraction = round((seconds - whole_seconds) * 10**self._digits)
            parts |= {
                "%H": f"{hour:02d}",
                "%-H": str(hour),
                "%I": f"{(hour - 1) % 12 + 1:02d}",
                "%-I": str((hour - 1) % 12 + 1),
                "%p": "AM" if hour < 12 else "PM",
                "%M": f"{minute:02d}",
                "%S": f"{second:02d}",
                f"%{self._digits}f": f"{fraction:0{self._digits}d}",
            }
        return _DIRECTIVE.sub(lambda match: parts[match.group()], self.text)


def may_be_days(numbers: Numbers) -> bool:
    """Return whether numbers (N,) are of the size of days that are written in eight digits, as 20240229 is."""
    present = numbers[~np.isnan(numbers)]
    return bool(((present >= FIRST_DAY) & (present <= LAST_DAY)).all())


def are_days(numbers: Numbers) -> bool:
    """Return whether whole numbers (N,) are days that are written in eight digits, and too many to be so by chance.

    Of the numbers of that size one in 28 is a day.
    """
    present = np.unique(numbers[~np.isnan(numbers)])
    if len(present) < FEWEST_DAYS or not may_be_days(present):
        return False
    form = DateFormat(DIGITS_OF_A_DAY)
    return all(form.number(f"{number:.0f}") is not None for number in present.tolist())


def find_date_format(texts: Sequence[str], wanted: str | None = None) -> tuple[DateFormat | None, bool]:
    """Find the format of a column of dates or times.

    Args:
        texts: The column's texts, each once.
        wanted: The format that the user gave; no other one is tried where all texts have it.

    Returns:
        The format that all texts have, ``None`` where there is none or more than one; and whether there are more.
    """
    if not texts:
        return None, False
    if wanted is not None and _fits(DateFormat(wanted), texts):
        return DateFormat(wanted), False
    letters = set(re.findall("[A-Za-z]+", texts[0]))
    if not any(character.isdigit() for character in texts[0]) or letters - _LETTERS:
        return None, False
    probed = texts[:: max(1, len(texts) // PROBED)]
    likely = [form for form in _formats(_zone(texts[0]), _fraction_digits(texts[0])) if _fits(form, probed)]
    fitting = [form for form in likely if _fits(form, texts)]
    # A format without leading zeros may read texts with them, too, and one that lets some go those that let none.
    orders: dict[str, list[DateFormat]] = {}
    for form in fitting:
        orders.setdefault(form.text.replace("%-", "%"), []).append(form)
    if len(orders) != 1:
        return None, len(orders) > 1
    unpadded = max(fitting, key=lambda form: form.text.count("%-"))
    return next((form for form in fitting if "%-" not in form.text), unpadded), False


def _fits(form: DateFormat, texts: Sequence[str]) -> bool:
    return all(form.number(text) is not None for text in texts)


def _zone(text: str) -> str:
    """Return the time zone that a text ends with, to be copied."""
    match = _ZONE.search(text)
    return match.group() if match and ":" in text[: match.start()] else ""


def _fraction_digits(text: str) -> int:
    """Return how many digits of a second a text shows after the point."""
    match = _FRACTION.search(text)
    return len(match.group(1)) if match else 0


@lru_cache(maxsize=8)
def _formats(zone: str, digits: int) -> tuple[DateFormat, ...]:
    """Return the formats that are tried, the usual ones first."""
    return tuple(DateFormat(text) for text in dict.fromkeys(_texts(zone, digits)))


def _texts(zone: str, digits: int) -> Iterator[str]:
    if not (zone or digits):
        for dates in (_DATES, _MONTHS, _QUARTERS):
            for date in dates:
                yield from _paddings(date)
    clocks = (f"%H:%M:%S.%{digits}f",) if digits else _TIMES
    times = [unpadded for time in clocks for unpadded in (time, time.replace("%H", "%-H").replace("%I", "%-I"))]
    for date, joint, time in product(_DATES, _JOINTS, times):
        yield from (f"{padding}{joint}{time}{zone}" for padding in _paddings(date))
    yield from (f"{time}{zone}" for time in times)


def _paddings(date: str) -> list[str]:
    """Return a format with leading zeros and without; without only where something stands between the numbers."""
    if "%m%d" in date:
        return [date]
    month = date.replace("%m", "%-m")
    return [date, month, date.replace("%d", "%-d"), month.replace("%d", "%-d")]


def _month(found: dict[str, str]) -> int:
    if "m" in found:
        return int(found["m"])
    return SHORT_MONTHS.index((found.get("b") or found["B"])[:3]) + 1


def _seconds(found: dict[str, str]) -> float:
    """Return the seconds since midnight."""
    hour = int(found.get("H") or 0)
    if "I" in found:
        hour = int(found["I"]) % 12 + 12 * (found["p"].lower() == "pm")
    fraction = float(f"0.{found['f']}") if "f" in found else 0.0
    return hour * 3600.0 + int(found.get("M") or 0) * 60 + int(found.get("S") or 0) + fraction


@lru_cache(maxsize=4096)
def _days_until(months: int) -> int:
    """Return the days from 1970-01-01 to the first of a month, which is counted since January 1970."""
    return int(np.datetime64(months, "M").astype("datetime64[D]").astype(np.int64))
