"""Masked networks: the parameters of column i depend on the columns before i alone.

Each hidden unit has a *degree*: a unit of degree d sees columns 0 .. d-1. Units are sorted by degree, so every mask is
a staircase, and what column i - 1 unlocks is one slice of each hidden layer; the stepper builds on that. Paper: MADE
(Germain et al., 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.networks.trunk import ActivationName, Trunk, layer_pairs


class MaskedLinear(nn.Linear):
    """A linear layer with fixed zeros in its matrix.

    Args:
        mask: Which weights exist, (outputs, inputs), boolean.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        outputs, inputs = mask.shape
        super().__init__(inputs, outputs)
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():  # as wide as those of a dense layer with the inputs that the mask leaves
            self.weight.mul_(torch.sqrt(inputs / mask.sum(1, keepdim=True).clamp_min(1)).to(self.weight.dtype))

    def masked_weight(self) -> Tensor:
        """The matrix with its zeros, (outputs, inputs)."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Return x W' + b."""
        return linear(x, self.masked_weight(), self.bias)


class MaskedNetwork(nn.Module):
    """A network (B, D) -> planar parameters (P, B, D), zero at the start, in which column i sees those before it.

    Args:
        columns: D.
        parameters: P, the parameters per column.
        hidden: Widths of the hidden layers; of the residual blocks, all equal, if ``residual``.
        residual: Whether blocks with skip connections are used.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training.
        context: C, the number of conditioning variables, which every column sees.
    """

    def __init__(
        self,
        columns: int,
        parameters: int,
        hidden: Sequence[int],
        *,
        residual: bool,
        activation: ActivationName,
        dropout: float,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.columns, self.planes = columns, parameters
        self.degrees = [unit_degrees(width, columns, context) for width in hidden]
        column = torch.arange(columns)
        self.first = MaskedLinear(self.degrees[0][:, None] > column)
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None
        layers = layer_pairs(self.degrees, residual=residual, make=_between)
        self.trunk = Trunk(layers, residual=residual, activation=activation, dropout=dropout)
        self.last = MaskedLinear((column[:, None] >= self.degrees[-1]).repeat(parameters, 1))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the parameters of every column, (P, B, D)."""
        value = self.first(x)
        if self.context is not None:
            value = value + self.context(context.given)
        out: Tensor = self.last(self.trunk(value))
        return out.view(len(x), self.planes, self.columns).transpose(0, 1)


def unit_degrees(width: int, columns: int, context: int) -> Tensor:
    """Degrees of a layer's units, sorted and evenly spread, (width,).

    The lowest degree is 1 (one column seen), or 0 where the context, or nothing but a bias, is all there is to see.
    """
    lowest = 0 if context or columns == 1 else 1
    return lowest + torch.arange(width) * (columns - lowest) // width


def _between(before: Tensor, after: Tensor) -> MaskedLinear:
    """A masked layer between units of these degrees."""
    return MaskedLinear(after[:, None] >= before)
