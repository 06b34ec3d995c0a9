"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(threads: int) -> dict[str, Any]:
    """The processor, its cores, the threads, and what runs on them."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def in_words(machine: dict[str, Any]) -> str:
    """The same as a phrase."""
    return (
        f"{machine['processor']}, {many(machine['cores'], 'core')}, {many(machine['threads'], 'thread')},"
        f" {machine['system']}, Python {machine['python']}"
    )


def versions(packages: list[str]) -> dict[str, str]:
    """Versions of the packages that are there."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package).split("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return found


def limit_threads(threads: int) -> None:
    """Give every library that may be loaded later so many threads; to be called before any of them is."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):  # the last one is for jax
        os.environ[name] = str(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def many(count: int, thing: str) -> str:
    """So many things, in words."""
    return f"{count} {thing}{'s' * (count != 1)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown processor"
