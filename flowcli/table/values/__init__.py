"""Cells of a table as numbers and texts, and back."""

from __future__ import annotations
