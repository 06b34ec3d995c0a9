"""Numbers written in digits: a softmax over thousands of levels as two over a few dozen each, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Beyond this a table of weights for every level costs more than it tells.
LARGEST = 512


@dataclass(frozen=True)
class Digit:
    """One digit of a code.

    Attributes:
        code: Which code it belongs to.
        divisor: What a whole one of it stands for.
        size: How many values it has.
        above: The place of the digit before it, if there is one; it is the last but one of all digits then.
        last: How many values it has where the digit above has its largest one.
    """

    code: int
    divisor: int
    size: int
    above: int | None
    last: int


def digits_of(outcomes: Sequence[int]) -> list[Digit]:
    """Return the digits of codes with so many outcomes each: one, or two where they are many."""
    digits: list[Digit] = []
    for code, count in enumerate(outcomes):
        if count <= LARGEST:
            digits.append(Digit(code, 1, count, None, count))
            continue
        size = math.isqrt(count - 1) + 1
        whole = -(-count // size)
        digits.append(Digit(code, size, whole, None, whole))
        digits.append(Digit(code, 1, size, len(digits) - 1, count - size * (whole - 1)))
    return digits
