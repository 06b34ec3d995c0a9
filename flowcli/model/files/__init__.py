"""Model files and the state files of interrupted fits."""

from __future__ import annotations
