"""Measurements of a density on rows, and of its draws beside rows."""

from __future__ import annotations
