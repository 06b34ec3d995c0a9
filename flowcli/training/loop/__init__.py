"""The training loop: steps, optimizer, stopping, snapshots."""

from __future__ import annotations
