"""Linear layers of many small networks side by side: one block a column, and nothing between the blocks."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Source(NamedTuple):
    """What the first layer reads.

    Attributes:
        parents: The inputs of each block, (D, I).
        observed: One for each of them that is read, zero for those that fill the block up, (D, I).
    """

    parents: Tensor
    observed: Tensor


class BlockAffine(NamedTuple):
    """W_i v_i + b_i for each block i of values.

    Attributes:
        weight: The blocks W, (D, O, I).
        bias: b of all blocks, one after the other, (D O, 1).
        source: Where the values of the blocks stand, if they do not stand block by block.
    """

    weight: Tensor
    bias: Tensor
    source: Source | None = None

    @property
    def inputs(self) -> int:
        """How many numbers the blocks read."""
        return self.weight.shape[0] * self.weight.shape[2]

    def __call__(self, value: Tensor) -> Tensor:
        """Return the outputs (D O, B) of values (D I, B), or of columns (D, B) where these are chosen from."""
        bias = self.bias.view(*self.weight.shape[:2], 1)
        return torch.baddbmm(bias, self.weight, self._blocks(value)).flatten(0, 1)

    def transposed(self, grad: Tensor) -> Tensor:
        """Return the gradient of the values, from that of the outputs (D O, B)."""
        blocks, outputs, _ = self.weight.shape
        by_block = torch.bmm(self.weight.transpose(1, 2), grad.view(blocks, outputs, grad.shape[1])).flatten(0, 1)
        if self.source is None:
            return by_block
        out = grad.new_zeros(blocks, grad.shape[1])
        return out.index_add_(0, self.source.parents.view(-1), by_block)

    def outer(self, grad: Tensor, value: Tensor) -> Tensor:
        """Return the gradient of the blocks as (D O, I), from those of the outputs (D O, B) and the values."""
        blocks, outputs, _ = self.weight.shape
        out = torch.bmm(grad.view(blocks, outputs, grad.shape[1]), self._blocks(value).transpose(1, 2))
        if self.source is not None:
            out.mul_(self.source.observed[:, None])
        return out.flatten(0, 1)

    def _blocks(self, value: Tensor) -> Tensor:
        """Return what each block reads, (D, I, B)."""
        blocks, _, inputs = self.weight.shape
        if self.source is not None:
            value = value.index_select(0, self.source.parents.view(-1))
        return value.view(blocks, inputs, value.shape[1])


class BlockLinear(nn.Module):
    """The parameters of D linear layers side by side.

    Args:
        blocks: D.
        inputs: I of each.
        outputs: O of each.
    """

    def __init__(self, blocks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.blocks, self.out_features = blocks, blocks * outputs
        self.weight = nn.Parameter(torch.empty(blocks * outputs, inputs))
        self.bias = nn.Parameter(torch.empty(blocks * outputs))
        with torch.no_grad():  # as nn.Linear does
            for parameter in (self.weight, self.bias):
                parameter.uniform_(-1, 1).div_(math.sqrt(inputs))

    def affine(self) -> BlockAffine:
        """Return the map to compute with; without gradients."""
        return BlockAffine(self.weight.view(self.blocks, -1, self.weight.shape[1]), self.bias[:, None])

    def weight_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's matrices."""
        return gradient

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's bias as (D O,)."""
        return gradient


class ChosenLinear(BlockLinear):
    """A linear layer whose block i reads some of the columns before column i: all of them while these are few.

    Attributes:
        parents: Which ones, (D, I); those before it at the start. What fills a row up is a column that has no weight.

    Args:
        columns: D.
        most: I, how many columns a block reads at most.
        outputs: O of each block.
    """

    parents: Tensor
    present: Tensor

    def __init__(self, columns: int, most: int, outputs: int) -> None:
        super().__init__(columns, most, outputs)
        before = torch.arange(columns)[:, None] - 1 - torch.arange(most)
        self.register_buffer("parents", before.clamp_min(0))
        self.register_buffer("present", (before >= 0).to(self.weight.dtype), persistent=False)
        with torch.no_grad():  # as wide as those of a layer with the inputs that there are
            share = torch.sqrt(most / self.present.sum(1).clamp_min(1))
            self.weight.mul_(share.repeat_interleave(outputs)[:, None])

    def affine(self) -> BlockAffine:
        """Return the map to compute with, zero for what fills up; without gradients."""
        weight = self.weight.view(self.blocks, -1, self.weight.shape[1]) * self.present[:, None]
        return BlockAffine(weight, self.bias[:, None], Source(self.parents, self.present))

    def choose(self, strength: Tensor) -> None:
        """Let each block read the columns that say most, by the strengths (D, D) of which row i is column i's."""
        for column in range(1, self.blocks):
            count = min(column, self.parents.shape[1])
            self.parents[column, :count] = strength[column, :column].topk(count).indices.sort().values

    def sees_later_columns(self) -> bool:
        """Return whether a block reads its own column, a later one or none of the table: that gives no density."""
        own = torch.arange(self.blocks, device=self.parents.device)[:, None]
        return bool(((self.parents < 0) | (self.parents >= own.clamp_min(1))).any())
