"""flowcli's speed beside other libraries of normalizing flows: ``python -m benchmarks.speed``."""

from __future__ import annotations
