"""How a table file is written."""

from __future__ import annotations

from dataclasses import dataclass

from flowcli.errors import UsageError


@dataclass(frozen=True)
class ReadOptions:
    r"""How a table file is written.

    Attributes:
        separator: What stands between two cells: one ASCII character; the two characters ``\t`` mean a tab.
        decimal: The decimal mark, a point or a comma.
        header: Whether the first line holds the names; if not, the columns are called c1, c2, and so on.
        max_bytes: The most bytes that a compressed file may unpack to; ``None`` sets no limit.
        missing: The words for a missing cell, beside the empty one, in any kind of file; ``None`` for those that the
            model has which the table is read for, or else the usual ones.

    Raises:
        UsageError: A separator, mark or limit that makes no sense.
    """

    separator: str = ","
    decimal: str = "."
    header: bool = True
    max_bytes: int | None = 64 * 2**30
    missing: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        mark = self.delimiter
        if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"\r\n\0.+-':
            raise UsageError(
                f"--sep {self.separator!r}: the separator must be one character, such as ',' or ';' or '\\t'"
            )
        if self.decimal not in {".", ","}:
            raise UsageError(f"--decimal {self.decimal!r}: the decimal mark is '.' or ','")
        if mark == self.decimal:
            raise UsageError(f"--sep and --decimal are both {mark!r}: give another --sep")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise UsageError(f"--max-bytes {self.max_bytes}: must be at least 1")

    @property
    def delimiter(self) -> str:
        """The separator as the one character that stands in the file."""
        return "\t" if self.separator == "\\t" else self.separator
