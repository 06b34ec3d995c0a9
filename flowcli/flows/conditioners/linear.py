"""The linear layers of networks: parameters, and the affine maps made of them, which are what is computed with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowcli.flows.conditioners.block_affine import Affine, Step, staircase


class DenseLinear(nn.Linear):
    """A linear layer as it is."""

    def affine(self) -> Affine:
        """Return the map to compute with; without gradients."""
        return Affine(self.weight, self.bias[:, None], (Step(0, *self.weight.shape),))

    def weight_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's matrix."""
        return gradient

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's bias as (O,)."""
        return gradient


class MaskedLinear(nn.Linear):
    """A linear layer with a staircase of fixed zeros in its matrix.

    The outputs may come in planes, P of them for each of O / P units: the parameters go plane by plane, and the map
    unit by unit, so that its zeros form one staircase.

    Args:
        seen: How many of the inputs, counted from the first, each unit sees; never falling, (O / P,).
        inputs: Size of the input.
        planes: P.
    """

    mask: Tensor
    _exists: Tensor

    def __init__(self, seen: Sequence[int], inputs: int, planes: int = 1) -> None:
        super().__init__(inputs, planes * len(seen))
        self.planes = planes
        exists = torch.tensor(seen)[:, None] > torch.arange(inputs)
        self.register_buffer("mask", exists.repeat(planes, 1), persistent=False)
        self.register_buffer("_exists", exists.to(self.weight.dtype), persistent=False)
        self._steps = tuple(staircase([count for count in seen for _ in range(planes)], inputs))
        with torch.no_grad():  # as wide as those of a dense layer with the inputs that the mask leaves
            self.weight.mul_(torch.sqrt(inputs / self.mask.sum(1, keepdim=True).clamp_min(1)).to(self.weight.dtype))

    def affine(self) -> Affine:
        """Return the map to compute with, its zeros in place; without gradients."""
        if self.planes == 1:
            return Affine(torch.mul(self.weight, self._exists), self.bias[:, None], self._steps)
        by_unit = self.weight.view(self.planes, -1, self.in_features).transpose(0, 1)
        weight = by_unit.contiguous().mul_(self._exists[:, None])
        bias = self.bias.view(self.planes, -1).t().reshape(-1, 1)
        return Affine(weight.view(-1, self.in_features), bias, self._steps)

    def weight_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's matrix, which is written over."""
        if self.planes == 1:
            return gradient.mul_(self._exists)
        out = torch.empty_like(self.weight)
        by_unit = out.view(self.planes, -1, self.in_features).transpose(0, 1)
        by_unit.copy_(gradient.view(by_unit.shape).mul_(self._exists[:, None]))
        return out

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        """Return the parameter's gradient, from that of the map's bias as (O,)."""
        return gradient if self.planes == 1 else gradient.view(-1, self.planes).t().reshape(-1)
