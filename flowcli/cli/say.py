"""Words for the user: single lines on standard error."""

from __future__ import annotations

import sys
from contextlib import suppress


def say(text: str) -> None:
    """Write one line. A closed standard error is no reason to lose a fit, so that is let pass."""
    with suppress(OSError, ValueError, AttributeError):
        print(f"flowcli: {one_line(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Say something that is no error."""
    say(f"note: {text}")


def silent(text: str) -> None:
    """Say nothing."""


def one_line(text: str) -> str:
    """The text with everything that a terminal might obey written out, and without line breaks."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.splitlines()))
