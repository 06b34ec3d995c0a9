"""Words for the user: single lines on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress


def say(text: str) -> None:
    """Write one line. A closed standard error is no reason to lose a fit, so that is let pass."""
    if sys.stderr is None:  # print would take standard output instead, where data goes
        return
    with suppress(OSError, ValueError):
        print(f"flowcli: {one_line(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Say something that is no error."""
    say(f"note: {text}")


def silent(text: str) -> None:
    """Say nothing."""


def one_line(text: str) -> str:
    """The text with everything that a terminal might obey written out, and without line breaks."""
    return literal(" ".join(text.splitlines()))


def literal(text: str) -> str:
    """The text with everything that a terminal might obey written out, line breaks too."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest name there is, or nothing."""
    import difflib

    found = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {found[0]!r}?" if found else ""
