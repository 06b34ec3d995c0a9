"""Reading tables from files and pipes block by block, and writing them."""

from __future__ import annotations
