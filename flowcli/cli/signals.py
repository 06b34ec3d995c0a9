"""Signals that ask a command to end."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import NoReturn, TypeVar

_T = TypeVar("_T")
_came: list[int] = []


def asking_to_end() -> list[signal.Signals]:
    """Return the signals to obey: not those the command was started to ignore, such as a hangup under ``nohup``."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def obey() -> None:
    """Let these signals end the command by an exception, so that files are closed and unfinished ones removed."""
    for number in asking_to_end():
        signal.signal(number, _end)


def until_asked_to_end(blocks: Iterable[_T]) -> Iterator[_T]:
    """Yield each block in turn, as long as no signal has come.

    The exception of a signal is raised wherever Python is just then, and now and then that is in a callback of Python's
    own whose exceptions are dropped. Here it is raised again.
    """
    for block in blocks:
        if _came:
            _raise(_came[0])
        yield block


def came() -> list[int]:
    """Return the signals that have come."""
    return [*_came]


def _end(number: int, frame: FrameType | None) -> NoReturn:
    _came.append(number)
    _raise(number)


def _raise(number: int) -> NoReturn:
    """Return the exception that becomes the exit code which shells expect."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
