"""Sums of exponentials of which many underflow, and results written where they belong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

BITS = 1 / math.log(2)  # in a nat


def exp2_(bits: Tensor) -> Tensor:
    """2 to the power of numbers up to zero, in their place; zero where that is negligible beside one.

    Where ``exp`` underflows, MKL takes a hundred times as long as elsewhere; ``exp2`` does not, unless the result is
    smaller than the smallest normal number. Products with such numbers are slow, too.
    """
    least = math.log2(torch.finfo(bits.dtype).tiny) / 2
    return torch.exp2(torch.threshold_(bits, least, 16 * least), out=bits)


def write(out: Tensor, operation: Callable[..., Tensor], *args: Any, **options: Any) -> Tensor:
    """Have an operation write to ``out``, which may have gaps; a compiler does not take such an ``out`` as it is."""
    if torch.compiler.is_compiling():
        return out.copy_(operation(*args, **options))
    return operation(*args, out=out, **options)
