"""From a table and a config to a fit at its start: checks, split, architecture, starting point."""

from __future__ import annotations
