"""Processes forked from this one: blocks of rows computed side by side, and a fit's steps in lockstep."""

from __future__ import annotations
