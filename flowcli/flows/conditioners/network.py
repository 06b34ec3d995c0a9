"""What all networks share: one pass from inputs to outputs, units by rows, with the gradient written out.

The first layer's values v_0 pass through hidden layers v_s = W_s act(v_{s-1}) + b_s, plus v_{s-2} at each second one if
there are residual blocks ("pre-activation", He et al., 2016), and one more layer reads the last activations. All
values are (units, B): a product then writes whole rows, and what comes out is planes of B values each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowcli.flows.conditioners.activation import ACTIVATIONS, ActivationName
from flowcli.flows.conditioners.block_affine import Affine
from flowcli.flows.conditioners.column_blocks import BlockAffine, BlockLinear
from flowcli.flows.conditioners.dropout import kept
from flowcli.flows.conditioners.linear import DenseLinear, MaskedLinear
from flowcli.flows.context import Context

Linear = DenseLinear | MaskedLinear | BlockLinear
Map = Affine | BlockAffine
Layer = TypeVar("Layer")


class Active(NamedTuple):
    """What the gradient needs of an activation.

    Attributes:
        source: What its derivative is a function of.
        used: What the next layer read.
        kept: Which units were kept, if any were dropped.
    """

    source: Tensor
    used: Tensor
    kept: Tensor | None


class SavedActivations(NamedTuple):
    """What the gradient needs of a pass."""

    affines: list[Map]
    x: Tensor
    features: Tensor | None
    actives: list[Active]


class Network(nn.Module, ABC):
    """Linear layers with activations between them, and zero at the start.

    Args:
        first: The layer that reads the inputs.
        hidden: The layers between hidden units.
        last: The layer that writes the outputs.
        context: C, the number of conditioning variables, which every hidden unit sees.
        residual: Whether there are skip connections, over two hidden layers each.
        activation: The activation's name.
        dropout: Share of hidden units dropped while training: between the two layers of a residual block, and after
            every activation of a plain network.
    """

    def __init__(
        self,
        first: Linear,
        hidden: Sequence[Linear],
        last: Linear,
        *,
        context: int,
        residual: bool,
        activation: ActivationName,
        dropout: float,
    ) -> None:
        super().__init__()
        self.first = first
        self.context = nn.Linear(context, first.out_features, bias=False) if context else None
        self.trunk = nn.ModuleDict({"layers": nn.ModuleList(hidden)})
        self.last = last
        self.residual, self.dropout = residual, dropout
        self.activation = ACTIVATIONS[activation]
        self.linears: list[Linear] = [first, *hidden, last]  # first to last
        self._frozen: list[Map] | None = None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    @property
    def weights(self) -> list[Tensor | None]:
        """The context's weight, and those and the biases of all layers: the order of ``gradient``."""
        context = None if self.context is None else self.context.weight
        return [context, *(p for linear in self.linears for p in (linear.weight, linear.bias))]

    def affines(self) -> list[Map]:
        """Return the affine maps, first to last, of the parameters as they are, or as they were when frozen."""
        frozen, bias = self._frozen, self.last.bias
        if frozen is not None and (frozen[0].bias.dtype, frozen[0].bias.device) == (bias.dtype, bias.device):
            return frozen
        return [linear.affine() for linear in self.linears]

    @torch.no_grad()
    def freeze(self) -> None:
        """Make ready what every use needs, until the network is trained again or loads other weights."""
        self._frozen = [linear.affine() for linear in self.linears]

    def train(self, mode: bool = True) -> Network:
        """Switch dropout on or off; training ends what ``freeze`` began."""
        if mode:
            self._frozen = None
        return super().train(mode)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._frozen = None
        super()._load_from_state_dict(*arguments)

    @abstractmethod
    def planes(self, outputs: Tensor, count: int) -> Tensor:
        """Outputs (O, B), in the order of the last layer's map, as planes (count, O / count, B)."""

    @abstractmethod
    def units(self, planes: Tensor) -> Tensor:
        """Return the inverse of ``planes``; nothing is copied if the planes lie in memory as those of ``planes`` do."""

    def evaluate(self, x: Tensor, context: Context) -> Tensor:
        """Return the outputs (O, B), in the order of the last layer's map, of inputs (I, B)."""
        if torch.is_grad_enabled() and tracks(x, context.features, *self.weights):
            return cast("Tensor", _Pass.apply(self, x, context.features, *self.weights))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            return self._pass(x, context.features, self.affines(), None)

    def forward_saving(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, SavedActivations]:
        """Return the outputs (O, B) without gradients, and what ``gradient`` needs."""
        saved = SavedActivations(self.affines(), x, features, [])
        return self._pass(x, features, saved.affines, saved.actives), saved

    def gradient(
        self, saved: SavedActivations, gradient: Tensor, *, of_x: bool, of_given: bool
    ) -> tuple[Tensor | None, Tensor | None, list[Tensor | None]]:
        """Return the gradients of inputs and context, if wanted, and of ``weights``, from those of the outputs."""
        affines, x, features, actives = saved
        linears = self.linears
        of_weights: list[Tensor | None] = []
        skipped: Tensor | None = None  # the gradient that a skip connection carries to its block's beginning
        for number in range(len(affines) - 1, 0, -1):
            source, used, mask = actives[number - 1]
            of_weights[:0] = _of_parameters(linears[number], affines[number], gradient, used)
            gradient = affines[number].transposed(gradient)
            if mask is not None:
                gradient.mul_(mask)
            self.activation.gradient_(gradient, source)
            if self.residual and number % 2 == 1:
                if skipped is not None:
                    gradient.add_(skipped)
                skipped = gradient
        of_weights[:0] = _of_parameters(linears[0], affines[0], gradient, x)
        grad_x = affines[0].transposed(gradient) if of_x else None
        if self.context is None:
            return grad_x, None, [None, *of_weights]
        assert features is not None
        grad_features = torch.mm(gradient.t(), self.context.weight) if of_given else None
        return grad_x, grad_features, [torch.mm(gradient, features), *of_weights]

    def adds_stream(self, number: int) -> bool:
        """Return whether that hidden layer, counted from 1, ends a residual block."""
        return self.residual and number % 2 == 0

    def _pass(self, x: Tensor, features: Tensor | None, affines: list[Map], actives: list[Active] | None) -> Tensor:
        value = affines[0](x)
        if self.context is not None:
            assert features is not None
            value.addmm_(self.context.weight, features.t())
        stream, masks = value, self._masks(affines, value)
        for number, affine in enumerate(affines[1:], 1):
            keep = self.residual and value is stream
            value = affine(self._activated(value, masks.get(number), actives, keep=keep))
            if self.adds_stream(number) and number < len(affines) - 1:
                stream = value.add_(stream)
        return value

    def _masks(self, affines: list[Map], like: Tensor) -> dict[int, Tensor]:
        """Return which units are kept before each layer that has some dropped; all are drawn at once."""
        if not self.training or not self.dropout:
            return {}
        sizes = {
            number: affine.inputs
            for number, affine in enumerate(affines[1:], 1)
            if self.adds_stream(number) or not self.residual
        }
        masks = kept(like.new_empty(sum(sizes.values()), like.shape[1]), self.dropout)
        return dict(zip(sizes, torch.split(masks, list(sizes.values())), strict=True))

    def _activated(self, value: Tensor, mask: Tensor | None, actives: list[Active] | None, *, keep: bool) -> Tensor:
        """Return the activations that the next layer reads; ``keep`` says that the value itself is still needed."""
        activation = self.activation
        keep = keep or (actives is not None and activation.from_value)
        active = activation.apply(value) if keep else activation.apply_(value)
        used = active if mask is None else torch.mul(active, mask)
        if actives is not None:
            actives.append(Active(value if activation.from_value else active, used, mask))
        return used


def tracks(*tensors: Tensor | None) -> bool:
    """Return whether a gradient of any of these is wanted, where gradients are."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def hidden_pairs(hidden: Sequence[Layer], *, residual: bool, make: Callable[[Layer, Layer], Linear]) -> list[Linear]:
    """Return the hidden layers: two for each entry of ``hidden`` if residual, else one between neighbours."""
    pairs = [(one, one) for one in hidden for _ in range(2)] if residual else list(pairwise(hidden))
    return [make(before, after) for before, after in pairs]


def _of_parameters(linear: Linear, affine: Map, gradient: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of a layer's weight and bias."""
    return linear.weight_gradient(affine.outer(gradient, value)), linear.bias_gradient(gradient.sum(1))


class _Pass(torch.autograd.Function):
    """A pass by itself, for automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, network: Network, x: Tensor, features: Tensor | None, *weights: Tensor | None) -> Tensor:
        out, ctx.saved = network.forward_saving(x, features)
        ctx.network = network
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        _, of_x, of_given, *_ = ctx.needs_input_grad
        grad_x, grad_features, of_weights = ctx.network.gradient(ctx.saved, gradient, of_x=of_x, of_given=of_given)
        return None, grad_x, grad_features, *of_weights
