"""Words for the user: single lines on standard error."""

from __future__ import annotations

import sys
from contextlib import suppress

from flowcli.text import one_line


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
