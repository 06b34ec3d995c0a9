"""What all tests share."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

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
