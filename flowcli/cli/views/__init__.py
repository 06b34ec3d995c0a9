"""Results as text on a terminal and as JSON."""

from __future__ import annotations
