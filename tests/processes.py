"""Processes, as Linux shows them."""

from __future__ import annotations

import time
from pathlib import Path


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not asked for yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(process: int) -> list[int]:
    """The children of a process that run."""
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for child in map(int, found) if alive(child)]


def gone(processes: list[int], seconds: float = 10.0) -> bool:
    """Whether all these processes end within so long."""
    return until(lambda: not any(map(alive, processes)), seconds)


def until(condition, seconds: float = 60.0) -> bool:
    """Wait for something; whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
