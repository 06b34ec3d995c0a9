"""Blocks of a file, for tests that do not need its header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowcli.table import Block, open_table


def read_blocks(*table: Any, **options: Any) -> Iterator[Block]:
    """Yield the blocks of a table; see ``open_table``."""
    with open_table(*table, **options) as reader:
        yield from reader
