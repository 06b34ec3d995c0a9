"""Files that end whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from flowcli.errors import ResourceError, UsageError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when the block ends well, and leaves no trace when it does not.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then renamed. A link stays a
    link: what it points to is replaced. The permissions of a file that was there are kept.

    Raises:
        ResourceError: The folder or the file cannot be written, or the disk is full. Exceptions of the block itself
            pass as they are.
    """
    name = str(path)
    path = Path(os.path.realpath(path))
    with file_errors(name):
        before = path.stat() if path.exists() else None
        if before is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
        file = open(temporary, "xb")  # noqa: SIM115 - closed below, where the errors of closing are told
    try:
        try:
            yield file
            with file_errors(name):
                file.flush()
                if before is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                os.fsync(file.fileno())
        finally:
            with file_errors(name):
                file.close()
        with file_errors(name):
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def file_errors(name: str) -> Iterator[None]:
    """Turn the system's errors into one line about the file of that name; a closed pipe passes as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ResourceError(f"{name}: cannot be written: {error.strerror or error}") from error
    except ValueError as error:
        raise ResourceError(f"{name}: cannot be written: it is closed") from error


def replacing_is_possible(path: Path) -> None:
    """Find out now what ``replacing`` would find out after a long computation.

    Raises:
        UsageError: There is no such folder.
        ResourceError: Nothing can be written there.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {target.parent}")
    probe = target.parent / f".{target.name}.{secrets.token_hex(8)}.tmp"
    with file_errors(str(path)):
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with open(probe, "xb"):
            pass
        probe.unlink()


def sweep(path: Path) -> None:
    """Remove temporary files that earlier runs, killed while they wrote ``path``, have left."""
    path = Path(os.path.realpath(path))
    for stray in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            stray.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
