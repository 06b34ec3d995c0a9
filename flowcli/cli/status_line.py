"""What a command is doing just now: one line on a terminal, which goes again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType

from flowcli.cli.views.width import WIDTH, shortened
from flowcli.text import one_line


class StatusLine:
    """Shows each step in the place of the one before, on a terminal that can rewrite a line; elsewhere nothing.

    Args:
        quiet: Whether to show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._shows = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._shows = self._shows and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")

    def show(self, step: str) -> None:
        """Show a step."""
        self._write(shortened(f"flowcli: {one_line(step)} ...", self._room()))

    def _room(self) -> int:
        """Return the columns of a line; the last one is left free, where some terminals begin a new line."""
        with suppress(OSError, ValueError):
            return max(os.get_terminal_size(sys.stderr.fileno()).columns, 2) - 1
        return WIDTH - 1

    def _write(self, text: str) -> None:
        if self._shows:
            # The terminal may have gone, which is no reason to end.
            with suppress(OSError, ValueError):
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
