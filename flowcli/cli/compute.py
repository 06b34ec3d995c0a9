"""Threads and devices."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from flowcli.errors import UsageError

QUOTA = Path("/sys/fs/cgroup/cpu.max")

# Numbers of glibc's mallopt, and the memory that is kept for the next block instead of being given back after each.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST_KEPT = 64 * 2**20, 32 * 2**20


def limit_threads(threads: int | None) -> None:
    """Limit every library that computes; to be called before any of them is imported, when each reads this."""
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)


def set_up(device: str, threads: int | None) -> str:
    """Set torch's number of threads; return the device to use.

    Raises:
        UsageError: The device is not there.
    """
    import torch

    _keep_memory()
    torch.set_num_threads(processes("cpu", threads))
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        # On Apple's GPUs nothing has been measured yet, so they are used on request alone.
        return "cuda" if has["cuda"] else "cpu"
    if not has[device]:
        raise UsageError(f"--device {device}: there is none on this machine; leave the option out to use the processor")
    return device


def processes(device: str, threads: int | None) -> int:
    """Return how many processes compute: one for each core that we may use, a single one on other devices."""
    if device != "cpu":
        return 1
    if threads is not None:
        return threads
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return int(wish) if wish.isdecimal() and int(wish) else _cores()


def _cores() -> int:
    """Return the processor cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _quota() or allowed)


def _quota() -> int | None:
    """Return the number of cores whose time a container has; it may see more of them."""
    with suppress(OSError, ValueError):
        quota, period = map(int, QUOTA.read_text().split())
        return -(-quota // period) if quota > 0 and period > 0 else None
    return None


def _keep_memory() -> None:
    """Let the C library keep what is freed: taking it back from the system, block after block, costs a fifth."""
    import ctypes

    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
