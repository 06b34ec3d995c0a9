"""What a column is: its kind, the support of its values, and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import UsageError

Kind = Literal["real", "positive", "bounded", "circular", "discrete", "category", "boolean", "constant"]

KIND_SYNTAX = "real, positive, bounded:LOW,HIGH, circular:PERIOD, rounded:STEP, discrete, or category"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    In memory a table is numbers: a missing cell is NaN, and a text is its place among the ``levels``. Where
    ``subtracted_columns`` names other columns, everything but ``name``, ``decimals`` and ``integer`` describes what is
    left of the value once they are taken away.

    Attributes:
        name: The name in the file's header.
        kind: ``real`` (the whole line), ``positive`` (all above ``lower``), ``bounded`` (the open interval from
            ``lower`` to ``upper``), ``circular`` (``lower`` and ``upper`` are one point), ``discrete`` (one of
            ``values``), ``category`` and ``boolean`` (one of ``levels``) or ``constant`` (always ``value``).
        lower: The lower end; of a positive column, zero unless it is given; of a discrete one, the least that a value
            that was not seen can be.
        upper: The upper end of a bounded or circular column.
        linear_below: Where the logarithm of a positive column turns into a straight line, so that zero and less are
            very unlikely but not impossible; ``None`` where the user said that the column is positive.
        straight_above: Of a positive column of counts, the width above ``lower`` over which its map to the line bends;
            some times that above it, the map is as good as straight.
        value: The value of a constant column.
        step: The step of the lattice that the values lie on, when they were rounded; ``None`` when they were not.
        origin: The number of that lattice that is nearest to zero.
        decimals: How many digits to write after the point; ``None`` writes as many as the number needs.
        integer: Whether the values are written without a point.
        levels: The texts of a column of text, sorted; a constant one has a single one.
        values: The numbers of a discrete column that have a probability each, rising.
        has_unseen_values: Whether a discrete column may hold further numbers of its grid.
        atoms: Numbers of a real, positive or bounded column that have a probability of their own.
        atoms_per_step: Whether atoms on a lattice count as their probability over its step, as in files of format 4.
        words: Texts that may stand instead of a number, each with a probability of its own.
        format: How numbers are written, where that is more than their digits: a date's ``%Y-%m-%d``, or ``$#,#``.
        missing: Whether cells may be missing.
        seasonal_period: Of dates without missing cells, into how many outcomes their density is divided: 7 for the days
            of the week, 12 for the months or 4 for the quarters of a year, 84 for the days of the week in each of the
            months; ``None`` where it is not.
        missing_words: The words for a missing cell, beside the empty one, which all columns of a table have in common;
            ``None`` for the usual ones.
        subtracted_columns: The columns, without missing cells, whose multiples are taken from the value first.
        least: The least number that a column of a sum can be itself; ``None`` where its kind, or what is left of it,
            says all that is known.
        most: The largest such number.
        off_lattice: With which probability a number with no more digits than the others lies between those of the
            lattice; zero where that cannot be.
        given: Whether the density is conditioned on this column.
    """

    name: str
    kind: Kind = "real"
    lower: float | None = None
    upper: float | None = None
    linear_below: float | None = None
    straight_above: float | None = None
    value: float | None = None
    step: float | None = None
    origin: float = 0.0
    decimals: int | None = None
    integer: bool = False
    levels: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    has_unseen_values: bool = False
    atoms: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    format: str | None = None
    atoms_per_step: bool = False
    missing: bool = False
    seasonal_period: int | None = None
    missing_words: tuple[str, ...] | None = None
    subtracted_columns: tuple[tuple[str, float], ...] = ()
    least: float | None = None
    most: float | None = None
    off_lattice: float = 0.0
    given: bool = False

    @property
    def support(self) -> tuple[float, float]:
        """The open interval that the values lie in."""
        if self.kind == "positive" and self.linear_below is None:
            return self.lower or 0.0, math.inf
        if self.kind in ("bounded", "circular"):
            assert self.lower is not None
            assert self.upper is not None
            return self.lower, self.upper
        return -math.inf, math.inf

    @property
    def has_gaps(self) -> bool:
        """Whether a cell may be no number, or no text: it is missing, or a word."""
        return self.missing or bool(self.words)

    @property
    def log_mass_unit(self) -> float:
        """The logarithm of what the probability of one of the column's own values is divided by."""
        if not self.step or self.text or (self.continuous and not self.atoms_per_step):
            return 0.0
        return math.log(self.step)

    @property
    def at_least(self) -> str | None:
        """The column that this one is never below, where the difference of the two is what is described."""
        described = self.continuous or (self.kind == "discrete" and self.lower is not None)
        return self.subtracted_columns[0][0] if self.subtracted_columns and described else None

    @property
    def continuous(self) -> bool:
        """Whether the column has a density, and not probabilities alone."""
        return self.kind in ("real", "positive", "bounded", "circular")

    @property
    def tolerance(self) -> float:
        """How far a number may lie from one of the column's lattice, and be that: what printing has moved it."""
        if self.step is None or self.text:
            return 0.0
        whole = 1e-6 * self.step
        if self.decimals is None or self.subtracted_columns:
            return whole
        printed = float(f"1e-{self.decimals}")
        exact = all(abs(part / printed - round(part / printed)) < 1e-6 for part in (self.step, self.origin))
        return whole if exact else max(whole, min(printed, self.step / 4))

    @property
    def takes_more_digits(self) -> bool:
        """Whether a number between those of the lattice is one too, rounded less: the lattice is no more than digits.

        So it is with tenths, hundredths and the like of a quantity that has a density; there are no halves of a count.
        """
        if self.step is None or not self.continuous or (self.subtracted_columns and self.at_least is None):
            return False
        return self.step < 1 and self.step == float(f"1e{round(math.log10(self.step))}")

    def nearest(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the multiples of the step, counted from the origin, that are nearest to numbers (...), (...)."""
        assert self.step is not None
        return np.asarray(self.origin + np.round((numbers - self.origin) / self.step) * self.step)

    @property
    def text(self) -> bool:
        """Whether the cells are texts."""
        return bool(self.levels)


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in the order of the file that the model was fitted to."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return [column.name for column in self.columns]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the columns as plain JSON values, without the attributes that are not set."""
        defaults = {field.name: field.default for field in fields(Column) if field.name != "kind"}
        return [
            {k: _plain(v) for k, v in asdict(c).items() if k not in defaults or v != defaults[k]} for c in self.columns
        ]

    @classmethod
    def from_json(cls, columns: Iterable[dict[str, Any]]) -> Schema:
        """Return the inverse of ``to_json``."""
        sequences = {field.name for field in fields(Column) if field.default == ()} | {"missing_words"}
        return cls(
            tuple(Column(**{k: _frozen(v) if k in sequences else v for k, v in column.items()}) for column in columns)
        )


def parse_kind(text: str) -> Column:
    """Read a kind as a user writes it: ``real``, ``positive``, ``bounded:0,1``, ``circular:360``, ``category``.

    Returns:
        A nameless column of that kind. A circle of which only the period is given begins at zero; ``rounded:0.5`` is
        a real column with that step, and ``rounded`` one whose step is to be found.

    Raises:
        UsageError: The text is no kind.
    """
    text = text.strip()
    word, _, remaining = text.partition(":")
    match word:
        case "real" | "positive" | "discrete" | "category" if not remaining and word == text:
            return Column("", word)
        case "rounded" if word == text:
            return Column("", "real")
        case "rounded":
            (step,) = _numbers(text, remaining, (1,), "rounded:0.5")
            if not step > 0:
                raise UsageError(f"{text!r}: a step is above zero")
            return Column("", "real", step=step)
        case "bounded" if remaining:
            lower, upper = _numbers(text, remaining, (2,), "bounded:0,1")
        case "circular" if remaining:
            *start, end = _numbers(text, remaining, (1, 2), "circular:360, or circular:-180,180")
            lower, upper = (start[0], end) if start else (0.0, end)
        case _:
            raise UsageError(f"{text!r} is not a kind of column; the kinds are {KIND_SYNTAX}")
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise UsageError(f"{text!r}: the lower bound must be below the upper one, and both finite")
    return Column("", word, lower=lower, upper=upper)


def _numbers(text: str, remaining: str, counts: tuple[int, ...], example: str) -> list[float]:
    """Return the numbers after the colon."""
    parts = re.split(r"\s*,\s*", remaining.strip())
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        raise UsageError(f"{text!r}: the numbers after the colon are not what belongs there; write {example}")
    return numbers


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    """Return the inverse of ``_plain``."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
