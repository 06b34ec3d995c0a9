"""Words in messages: names that were mistyped, characters that a terminal might obey, and long lists of names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the name that is most like another, whatever the case of its letters, or ``None`` if none is."""
    known = list(names)
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    found = found or [each for each in known if each.strip().lower() == name.strip().lower()][:1]
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest name there is, or nothing."""
    found = nearest(name, names)
    return "" if found is None else f"; did you mean {quoted(found)}?"


def quoted(text: str, width: int = 40) -> str:
    """Return a cell or a name on one line, in quotes, cut when it is long."""
    return repr(text if len(text) <= width else text[: width - 3] + "...")


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Return names in quotes for a message of one line: some of them, then how many more there are."""
    return and_more([quoted(name) for name in names], limit)


def counted(count: int, what: str) -> str:
    """Return such as ``1 row`` and ``2,000 rows``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def and_more(texts: Sequence[str], limit: int = 8, *, between: str = ", ") -> str:
    """Return texts with commas between them: some of them, then how many more there are."""
    shown = between.join(texts[:limit])
    return shown if len(texts) <= limit else f"{shown} and {len(texts) - limit} more"


def printable(text: str) -> str:
    """Return a name as it is, or in quotes and escaped where it would break a message of one line."""
    return text if text.isprintable() else repr(text)


def literal(text: str) -> str:
    """Return a text with every character escaped that a terminal might obey, line breaks too."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Return a text as a single line in which a terminal obeys nothing."""
    return literal(" ".join(text.splitlines()))
