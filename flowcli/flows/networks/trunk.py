"""The hidden layers that dense and masked networks share, plain or residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeVar

from torch import Tensor, nn

ActivationName = Literal["relu", "silu", "tanh"]
ACTIVATIONS: dict[ActivationName, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}

Layer = TypeVar("Layer")


class Trunk(nn.Module):
    """Hidden layers after the first: v_s = W_s act(v_{s-1}) + b_s, plus v_{s-2} at each second one if residual.

    Residual blocks are activated before their layers ("pre-activation", He et al., 2016), two layers a block, with
    dropout between the two; a plain trunk drops after every activation.

    Args:
        layers: The linear layers.
        residual: Whether there are skip connections.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training.
    """

    def __init__(
        self, layers: Sequence[nn.Module], *, residual: bool, activation: ActivationName, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.residual = residual
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, value: Tensor) -> Tensor:
        """From the first layer's values (B, H) to the last layer's activations (B, H')."""
        stream = value
        for number, layer in enumerate(self.layers, 1):
            active = self.activation(value)
            if self.adds_stream(number) or not self.residual:
                active = self.dropout(active)
            value = layer(active)
            if self.adds_stream(number):
                value = stream = value + stream
        active = self.activation(value)
        out: Tensor = active if self.residual else self.dropout(active)
        return out

    def adds_stream(self, number: int) -> bool:
        """Whether that layer, counted from 1, ends a residual block."""
        return self.residual and number % 2 == 0


def layer_pairs(
    hidden: Sequence[Layer], *, residual: bool, make: Callable[[Layer, Layer], nn.Module]
) -> list[nn.Module]:
    """The layers of a trunk: two for each entry of ``hidden`` if residual, else one between neighbours."""
    pairs = [(one, one) for one in hidden for _ in range(2)] if residual else list(pairwise(hidden))
    return [make(before, after) for before, after in pairs]
