"""Texts among numbers: words that have a meaning of their own, a column of text, or slips of the pen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

# Words among numbers are few, and most of them come again.
MOST_WORDS = 20
REPEATED_SHARE = 0.5
# So many different texts, in so large a share of the rows, are no slips: the column is one of text.
FEWEST_TEXTS, SHARE_OF_TEXTS = 2, 0.01
# Where texts are the majority, the others are numbers, and not further codes, if they are so many different ones.
FEWEST_NUMBERS = 20


def what_texts_are(
    counts: Mapping[str, int], cells: int, different_numbers: int
) -> Literal["words", "column of text", "slips"]:
    """Return what the cells of a column that are no numbers are.

    Args:
        counts: How many rows have each of these texts.
        cells: How many cells are not missing, these included.
        different_numbers: How many different numbers the other cells are.
    """
    total = sum(counts.values())
    again = sum(count for count in counts.values() if count > 1)
    few = len(counts) <= MOST_WORDS and again >= REPEATED_SHARE * total
    if 2 * total > cells:
        return "words" if few and different_numbers >= FEWEST_NUMBERS else "column of text"
    if few and total > 1:
        return "words"
    if len(counts) >= FEWEST_TEXTS and total >= SHARE_OF_TEXTS * cells:
        return "column of text"
    return "slips"
