"""One family of errors, each with its exit code.

An error is raised where the knowledge is, with the value that was wrong and what to do about it. The command line
prints it as one line and ends with its code; from Python it is an ordinary exception.
"""

from __future__ import annotations


class FlowcliError(Exception):
    """Anything that flowcli refuses, with a message of one line."""

    exit_code = 70


class UsageError(FlowcliError):
    """A command or an argument that makes no sense."""

    exit_code = 2


class ConfigError(FlowcliError):
    """A config that cannot be read, or that asks for something impossible."""

    exit_code = 2


class DataError(FlowcliError):
    """Rows that cannot be used.

    Args:
        message: What is wrong, and what to do.
        source: The file's name as the user typed it (``-`` for standard input).
        line: The line in the file, counted from 1.
        column: The column's name.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, source: str | None = None, line: int | None = None, column: str | None = None
    ) -> None:
        location = "" if source is None else ("standard input" if source == "-" else source)
        if line is not None:
            location += f":{line}" if location else f"line {line}"
        if column is not None:
            location += f", column {column!r}" if location else f"column {column!r}"
        super().__init__(f"{location}: {message}" if location else message)
        self.message = message
        self.source = source
        self.line = line
        self.column = column


class ModelFileError(FlowcliError):
    """A model file that is damaged, contradicts itself, or comes from a newer flowcli."""

    exit_code = 4


class NumericsError(FlowcliError):
    """Numbers that went wrong: a fit that diverged, a sample that cannot be inverted."""

    exit_code = 5


class ResourceError(FlowcliError):
    """A file that cannot be read or written, or memory that ran out."""

    exit_code = 6


class LockedError(FlowcliError):
    """A model that another run is writing at this moment."""

    exit_code = 7
