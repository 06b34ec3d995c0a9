"""Densities of rows that mix categories, angles and real numbers."""

from __future__ import annotations
