"""What a column is: its kind, the support of its values, and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flowcli.errors import UsageError

Kind = Literal["real", "positive", "bounded", "constant"]

KIND_SYNTAX = "real, positive, or bounded:LOW,HIGH"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: The name in the file's header.
        kind: ``real`` (the whole line), ``positive`` (the open half-line), ``bounded`` (the open interval from
            ``lower`` to ``upper``) or ``constant`` (always ``value``).
        lower: The lower end of a bounded column.
        upper: The upper end of a bounded column.
        value: The value of a constant column.
        step: The grid that the values lie on, when they were rounded; ``None`` when they were not.
        decimals: How many digits to write after the point; ``None`` writes as many as the number needs.
        integer: Whether the values are written without a point.
    """

    name: str
    kind: Kind = "real"
    lower: float | None = None
    upper: float | None = None
    value: float | None = None
    step: float | None = None
    decimals: int | None = None
    integer: bool = False

    @property
    def support(self) -> tuple[float, float]:
        """The open interval that the values lie in."""
        if self.kind == "positive":
            return 0.0, math.inf
        if self.kind == "bounded":
            assert self.lower is not None
            assert self.upper is not None
            return self.lower, self.upper
        return -math.inf, math.inf


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in the order of the file that the model was fitted to."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return [column.name for column in self.columns]

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as plain JSON values, without the attributes that are not set."""
        return [{k: v for k, v in asdict(c).items() if v is not None and v is not False} for c in self.columns]

    @classmethod
    def from_json(cls, columns: Iterable[dict[str, Any]]) -> Schema:
        """The inverse of ``to_json``."""
        return cls(tuple(Column(**column) for column in columns))


def parse_kind(text: str) -> Column:
    """Read a kind as a user writes it: ``real``, ``positive``, ``bounded:0,1``.

    Returns:
        A nameless column of that kind.

    Raises:
        UsageError: The text is no kind.
    """
    text = text.strip()
    if text == "real":
        return Column("", "real")
    if text == "positive":
        return Column("", "positive")
    if bounds := re.fullmatch(r"bounded:([^,]+),([^,]+)", text):
        try:
            lower, upper = float(bounds[1]), float(bounds[2])
        except ValueError:
            raise UsageError(f"{text!r}: the bounds are not two numbers; write bounded:0,1") from None
        if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
            raise UsageError(f"{text!r}: the lower bound must be below the upper one, and both finite")
        return Column("", "bounded", lower=lower, upper=upper)
    raise UsageError(f"{text!r} is not a kind of column; the kinds are {KIND_SYNTAX}")
