"""What all tests share."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from flowcli.cli.compute import processes

# Where pytest-xdist has a process for each core, each computes in one thread, and so do the commands that it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, and no deadline: a shared machine is slow at times.
settings.register_profile(
    "flowcli", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("flowcli")

# Whoever runs the tests in the background may have had them ignore signals (a shell, nohup); the commands that they
# start would inherit that, but not this.
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if signal.getsignal(number := getattr(signal, name, signal.SIGTERM)) is signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests, so that at the end no process waits long for another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: the cores whose time we have, which in a container may be fewer than the machine's."""
    return processes("cpu", None)
