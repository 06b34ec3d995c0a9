"""Two runs must not write one model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowcli.errors import LockedError, ResourceError


@contextmanager
def locked(model: Path) -> Iterator[None]:
    """Hold the lock on a model file while it is fitted; the system drops it when the process ends, however it ends.

    Raises:
        LockedError: Another run holds it.
        ResourceError: The folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks; files are still replaced whole
        yield
        return
    path = model.with_name(f"{model.name}.lock")
    while True:
        try:
            file = path.open("w")
        except OSError as error:
            raise ResourceError(f"{model}: cannot be written: {error.strerror}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(
                    f"{model}: another run is fitting this model; wait for it, or choose another -o"
                ) from None
            # The holder before us may have removed the file between our opening and locking it.
            if not _is_open_as(path, file.fileno()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_open_as(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
