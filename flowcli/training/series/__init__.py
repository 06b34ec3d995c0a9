"""Fits that belong together: a single one, an ensemble of seeds, successive halving."""

from __future__ import annotations
