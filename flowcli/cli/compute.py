"""Threads and devices."""

from __future__ import annotations

import os

from flowcli.errors import UsageError


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

    if threads is not None:
        torch.set_num_threads(threads)
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        # On Apple's GPUs nothing has been measured yet, so they are used on request alone.
        return "cuda" if has["cuda"] else "cpu"
    if not has[device]:
        raise UsageError(f"--device {device}: there is none on this machine; leave the option out to use the processor")
    return device
