"""Which columns of a table are meant, by name, and what the user said about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flowcli.errors import DataError, UsageError
from flowcli.table.values.number_format import GROUPS
from flowcli.text import did_you_mean, listed, quoted


def positions(header: Sequence[str], names: Sequence[str], source: str, notice: Callable[[str], None]) -> list[int]:
    """Find the columns that a model needs in a file's header.

    Returns:
        The position of each name, (D,).

    Raises:
        DataError: Columns that the file does not have.
    """
    index = {name: position for position, name in enumerate(header)}
    lacking = [name for name in names if name not in index]
    if lacking:
        near = did_you_mean(lacking[0], [name for name in header if name not in names])
        are_no = "are no columns" if len(lacking) > 1 else "is no column"
        hint = near or f"; the file has {listed(header)}"
        raise DataError(f"there {are_no} {listed(lacking)}{hint}", source=source)
    needed = set(names)
    extra = [name for name in header if name not in needed]
    if extra:
        where = "standard input" if source == "-" else source
        many = "1 column that is" if len(extra) == 1 else f"{len(extra)} columns that are"
        notice(f"{where}: ignoring {many} not needed: {listed(extra, 5)}")
    return [index[name] for name in names]


def selected(header: Sequence[str], columns: Sequence[str] | None, exclude: Sequence[str]) -> list[str]:
    """Apply ``--columns`` and ``--exclude``.

    Returns:
        The names that are left, in the order of the file.

    Raises:
        UsageError: A name that the file does not have, or nothing left.
    """
    for flag, names in (("--columns", columns or ()), ("--exclude", exclude)):
        for name in names:
            if name not in header:
                hint = did_you_mean(name, header) or f"; the columns are {listed(header)}"
                raise UsageError(f"{flag}: there is no column {quoted(name)}{hint}")
    left = [name for name in header if (columns is None or name in columns) and name not in exclude]
    if not left:
        raise UsageError("--columns and --exclude leave no column")
    return left


@dataclass(frozen=True)
class ColumnRequest:
    """What the user said about columns.

    Attributes:
        columns: The columns to fit; ``None`` for all.
        exclude: The columns to leave out.
        kinds: The kinds of some, by name.
        given: Those that the density is to be conditioned on.
        weights: The one with the weight of each row.
        date_format: How dates are written, in the directives of ``strftime``, where that is not clear.
        thousands: What separates thousands, where that may as well be a decimal mark: all numbers are like ``1,234``.

    Raises:
        UsageError: Nothing separates thousands like that.
    """

    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    kinds: Mapping[str, str] | None = None
    given: Sequence[str] = ()
    weights: str | None = None
    date_format: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        if self.thousands is not None and self.thousands not in GROUPS:
            raise UsageError(f"--thousands {self.thousands!r}: thousands are separated by {listed(GROUPS[:4])}")

    @property
    def spoken_for(self) -> set[str]:
        """The columns that the user named."""
        return {*(self.columns or ()), *(self.kinds or {}), *self.given}

    def names(self, header: Sequence[str]) -> list[str]:
        """Return the columns to read, the weights' among them."""
        names = selected(header, self.columns, self.exclude)
        if self.weights is None:
            return names
        if self.weights not in header:
            hint = did_you_mean(self.weights, header)
            raise UsageError(f"--weights: there is no column {quoted(self.weights)}{hint}")
        if self.weights in self.given:
            raise UsageError(f"--weights: column {quoted(self.weights)} is given already")
        return names if self.weights in names else [name for name in header if name in {*names, self.weights}]

    def is_category(self, name: str) -> bool:
        """Return whether the user wants a column's cells as they are written."""
        return (self.kinds or {}).get(name, "").strip() == "category"
