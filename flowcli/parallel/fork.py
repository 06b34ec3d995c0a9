"""Processes forked from this one: they do one piece of work, and end however that ends."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# These are the parent's to obey; its children end with it.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ()
_LONGEST_MESSAGE = 1000  # characters


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals that ask for an end wait, so that a new process is on somebody's list before they come.

    To block them in this thread is not enough where a library has others: the system hands a signal to any thread that
    takes it, and Python then calls the handler in the main one. So they are noted meanwhile, and raised again after.
    """
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        if threading.current_thread() is threading.main_thread():  # no other thread calls a handler
            for number in _SIGNALS:
                if callable(signal.getsignal(number)):
                    handlers[number] = signal.signal(number, lambda signalled, _: came.append(signalled))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for signalled in came:
            signal.raise_signal(signalled)


def fork(work: Callable[[], None]) -> int:
    """Start a process that does this work and never comes back; return its number.

    It ignores what asks this one to end, and writes nothing of what is in the buffers of files, which is not its own.

    Raises:
        OSError: The system has no room for one more.
    """
    # Nothing may interrupt the child before it is one: it would go on as if it were this process.
    with undisturbed():
        with warnings.catch_warnings():
            # Of the threads of libraries, which wait for work; a child computes in the one thread that it has.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            process = os.fork()
        if not process:
            try:
                gc.freeze()  # what waits to be collected is not its own either
                work()
            finally:
                os._exit(1)
    return process


def end(processes: Collection[int]) -> None:
    """End processes, whatever they are doing."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for process in processes:
        exit_code(process)


def exit_code(process: int) -> int | None:
    """Wait for the end of a process; ``None`` where somebody else has asked how it ended."""
    with suppress(ChildProcessError):
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return None


def packed(error: BaseException, most: int) -> bytes:
    """Return an error as no more than so many bytes for ``pickle``, or one that says the same."""
    with suppress(Exception):
        found = pickle.dumps(error)
        if len(found) <= most and isinstance(pickle.loads(found), BaseException):
            return found
    return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"[: min(_LONGEST_MESSAGE, most // 8)]))
