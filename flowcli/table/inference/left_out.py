"""Columns that say nothing of how rows are distributed: they number the rows, name them, or are empty."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.table.inference.lattice import Written
from flowcli.table.values.words import is_missing
from flowcli.text import and_more, quoted

Numbers = NDArray[np.float64]

MOST_LEVELS = 20_000
# Texts of which over half stand in no other row name the rows, and say nothing about them.
FEWEST_OF_NAMES, SHARE_OF_NAMES = 20, 0.5
FEWEST_OF_NUMBERS = 20
# What people and programs call a column with the number or the key of a row.
_NUMBER_OF_ROW = re.compile(
    r"|index|unnamed: ?\d+_*|__index_level_\d+__"
    r"|(row|obs|observation|record|case)?[ _.]?(names?|num|number|nr|no|id)",
    re.I,
)
_KEY = re.compile(r"(.*[ _.-])?(?i:id|key|uuid|guid)|.*[a-z](Id|ID)|(?i:hash)", re.S)


def columns_left_out(
    names: Sequence[str], values: Numbers, written: Sequence[Written], spoken_for: Collection[str]
) -> dict[int, str]:
    """Find the columns that are left out unless the user wants them.

    Args:
        names: The columns' names, (D,).
        values: The rows, (N, D).
        written: How each column is written, (D,).
        spoken_for: The columns that the user named.

    Returns:
        Why each of these columns is left out, by its index: that it ``names the rows``, say.
    """
    found: dict[int, str] = {}
    for index, (name, how) in enumerate(zip(names, written, strict=True)):
        cells = values[:, index]
        if is_missing(cells).all():
            found[index] = "is empty"
        elif name in spoken_for or how.format is not None or how.words:
            continue
        elif how.levels:
            if names_rows(cells) or len(how.levels) > MOST_LEVELS:
                found[index] = "names the rows"
        elif how.integer and numbers_rows(name, cells):
            found[index] = "numbers the rows"
    return found


def names_rows(codes: Numbers) -> bool:
    """Return whether most rows have a text (N,) of their own."""
    present = codes[~np.isnan(codes)].astype(np.int64)
    counts = np.bincount(present) if len(present) else np.zeros(0, dtype=np.int64)
    alone = int((counts == 1).sum())
    return int((counts > 0).sum()) > FEWEST_OF_NAMES and alone > SHARE_OF_NAMES * len(present)


def numbers_rows(name: str, cells: Numbers) -> bool:
    """Return whether integers (N,) are the numbers of the rows, or keys: in order from 0 or 1, or each in one row."""
    if len(cells) < FEWEST_OF_NUMBERS or np.isnan(cells).any():
        return False
    if cells[0] in (0.0, 1.0) and (np.diff(cells) == 1).all():
        return True
    is_key = any(pattern.fullmatch(name.strip()) for pattern in (_NUMBER_OF_ROW, _KEY))
    return is_key and len(np.unique(cells)) == len(cells)


def say_left_out(names: Sequence[str], reasons: Mapping[int, str]) -> str:
    """Return a line that says which columns are left out, and how to have them."""
    parts = [f"{quoted(names[index])} {reason}" for index, reason in reasons.items()]
    some = next((names[index] for index, reason in reasons.items() if reason != "is empty"), None)
    remedy = "" if some is None else f" (--columns, or --kind {shlex.quote(f'{some}=category')}, has it back)"
    return f"left out: {and_more(parts)}{remedy}"
