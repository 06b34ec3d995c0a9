"""Codes as numbers that a network can read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from flowcli.flows.mixed.digits import digits_of


class OneHot(nn.Module):
    """Codes as one-hot digits, and as the numbers that outcomes stand for, so that neighbours are known as such.

    Args:
        outcomes: How many outcomes each code has, (V,).
        numbers: For each code the numbers that its outcomes stand for, (outcomes,), or ``None``. Those of a code that
            needs two digits are passed over.
    """

    numbers: Tensor
    _offsets: Tensor
    _divisors: Tensor
    _moduli: Tensor
    _owners: Tensor

    def __init__(self, outcomes: Sequence[int], numbers: Sequence[Tensor | None]) -> None:
        super().__init__()
        self.digits = digits_of(outcomes)
        self.edges = [0, *accumulate(digit.size for digit in self.digits)]  # of the digits among the one-hot values
        tables: list[Tensor] = []
        self.numbered: list[int] = []  # the digits that stand for numbers
        for index, digit in enumerate(self.digits):
            table = numbers[digit.code]
            if table is not None and digit.size == outcomes[digit.code]:
                begin, end = self.edges[index : index + 2]
                self.numbered.append(index)
                tables.append(torch.zeros(self.edges[-1]).index_copy_(0, torch.arange(begin, end), table.float()))
        for name, values in (
            ("_offsets", self.edges[:-1]),
            ("_divisors", [digit.divisor for digit in self.digits]),
            ("_moduli", [digit.size for digit in self.digits]),
            ("_owners", [digit.code for digit in self.digits]),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
        stacked = torch.stack(tables) if tables else torch.zeros(0, self.edges[-1])
        self.register_buffer("numbers", stacked, persistent=False)

    @property
    def features(self) -> int:
        """How many numbers ``described`` gives."""
        return self.edges[-1] + len(self.numbered)

    @property
    def widths(self) -> list[int]:
        """How many numbers say what each digit is."""
        return [digit.size + (index in self.numbered) for index, digit in enumerate(self.digits)]

    def forward(self, codes: Tensor) -> Tensor:
        """Return the digits of codes (B, V), one-hot, one below the other, (sum of sizes, B)."""
        whole = codes.t().index_select(0, self._owners)
        left = torch.div(whole, self._divisors[:, None], rounding_mode="floor")
        digits = torch.remainder(left, self._moduli[:, None])
        hot = self.numbers.new_zeros(self.edges[-1], len(codes))
        return hot.scatter_(0, digits + self._offsets[:, None], 1.0)

    def described(self, hot: Tensor) -> Tensor:
        """One-hot digits (sum of sizes, B), with the numbers that they stand for below them, (features, B)."""
        return torch.cat([hot, self.numbers @ hot]) if self.numbered else hot
