"""Exponentials in bits, of which many underflow."""

from __future__ import annotations

import math

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
