"""What dense and masked networks share: one pass from inputs to outputs, units by rows, with the gradient written out.

The first layer's values v_0 pass through hidden layers v_s = W_s act(v_{s-1}) + b_s, plus v_{s-2} at each second one if
there are residual blocks ("pre-activation", He et al., 2016), and one more layer reads the last activations. All
values are (units, B): a product then writes whole rows, and what comes out is planes of B values each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowcli.flows.context import Context
from flowcli.flows.networks.activation import ACTIVATIONS, ActivationName
from flowcli.flows.networks.affine import Affine
from flowcli.flows.networks.dropout import kept
from flowcli.flows.networks.linear import DenseLinear, MaskedLinear

Linear = DenseLinear | MaskedLinear
Layer = TypeVar("Layer")


class Network(nn.Module):
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
        self._affines: list[Affine] | None = None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    @property
    def linears(self) -> list[Linear]:
        """All layers, first to last."""
        return [self.first, *cast("Sequence[Linear]", self.trunk["layers"]), self.last]

    def affines(self) -> list[Affine]:
        """What to compute with, first to last: made of the parameters as they are, or as they were when frozen."""
        if self._affines is not None and self._affines[0].bias.dtype == self.first.bias.dtype:
            return self._affines
        return [linear.affine() for linear in self.linears]

    def freeze(self) -> None:
        """Make ready what every use needs, until the network is trained again; parameters must not change meanwhile."""
        self._affines = [linear.affine() for linear in self.linears]

    def train(self, mode: bool = True) -> Network:
        """Switch dropout on or off; training ends what ``freeze`` began."""
        if mode:
            self._affines = None
        return super().train(mode)

    def evaluate(self, x: Tensor, context: Context) -> Tensor:
        """Return the outputs (O, B), in the order of the last layer's map, of inputs (I, B)."""
        parameters = [p for linear in self.linears for p in (linear.weight, linear.bias)]
        weight = None if self.context is None else self.context.weight
        tracked = (x, context.given, weight, *parameters)
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tracked):
            return cast("Tensor", _Pass.apply(self, *tracked))
        return _forward(self, self.affines(), x, context.given, weight, None)

    def adds_stream(self, number: int) -> bool:
        """Whether that hidden layer, counted from 1, ends a residual block."""
        return self.residual and number % 2 == 0

    def drops(self, number: int) -> bool:
        """Whether units are dropped before that layer, counted from 1."""
        return self.training and self.dropout > 0 and (self.adds_stream(number) or not self.residual)


def hidden_pairs(
    hidden: Sequence[Layer], *, residual: bool, make: Callable[[Layer, Layer], Linear]
) -> list[Linear]:
    """The hidden layers: two for each entry of ``hidden`` if residual, else one between neighbours."""
    pairs = [(one, one) for one in hidden for _ in range(2)] if residual else list(pairwise(hidden))
    return [make(before, after) for before, after in pairs]


class _Active(NamedTuple):
    """What the gradient needs of an activation.

    Attributes:
        source: What its derivative is a function of.
        used: What the next layer read.
        kept: Which units were kept, if any were dropped.
    """

    source: Tensor
    used: Tensor
    kept: Tensor | None


def _forward(
    network: Network,
    affines: Sequence[Affine],
    x: Tensor,
    given: Tensor | None,
    weight: Tensor | None,
    tape: list[_Active] | None,
) -> Tensor:
    """From inputs to outputs; the tape, if there is one, takes what the gradient needs."""
    value = affines[0](x)
    if weight is not None:
        assert given is not None
        value.addmm_(weight.detach(), given.detach().t())
    stream = value
    for number, affine in enumerate(affines[1:], 1):
        active = _activate(network, number, value, tape, keep=network.residual and value is stream)
        value = affine(active)
        if network.adds_stream(number) and number < len(affines) - 1:
            stream = value.add_(stream)
    return value


def _activate(network: Network, number: int, value: Tensor, tape: list[_Active] | None, *, keep: bool) -> Tensor:
    """The activations that layer ``number`` reads; ``keep`` says that the value itself is still needed."""
    activation = network.activation
    keep = keep or (tape is not None and activation.from_value)
    active = activation.apply(value) if keep else activation.apply_(value)
    mask = kept(active, network.dropout) if network.drops(number) else None
    used = active if mask is None else active * mask
    if tape is not None:
        tape.append(_Active(value if activation.from_value else active, used, mask))
    return used


class _Pass(torch.autograd.Function):
    """One pass with its gradient."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, network: Network, x: Tensor, given: Tensor | None, weight: Tensor | None, *parameters: Tensor
    ) -> Tensor:
        affines, tape = network.affines(), list[_Active]()
        out = _forward(network, affines, x, given, weight, tape)
        ctx.network, ctx.steps = network, [affine.steps for affine in affines]
        kept_masks = [active.kept for active in tape]
        flat = [t for affine in affines for t in affine[:2]] + [t for active in tape for t in active[:2]]
        ctx.save_for_backward(x, given, weight, *flat, *kept_masks)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        network: Network = ctx.network
        x, given, weight, *saved = ctx.saved_tensors
        count = len(ctx.steps)
        affines = [Affine(saved[2 * i], saved[2 * i + 1], ctx.steps[i]) for i in range(count)]
        saved = saved[2 * count :]
        tape = [_Active(saved[2 * i], saved[2 * i + 1], saved[2 * (count - 1) + i]) for i in range(count - 1)]
        gradients: list[Tensor] = []
        skipped: Tensor | None = None  # the gradient that a skip connection carries to the block's beginning
        for number in range(count - 1, 0, -1):
            affine, active = affines[number], tape[number - 1]
            gradients[:0] = _of_parameters(network.linears[number], affine, gradient, active.used)
            of_active = affine.transposed(gradient)
            if active.kept is not None:
                of_active.mul_(active.kept)
            of_value = network.activation.gradient_(of_active, active.source)
            if network.residual and number % 2 == 1 and skipped is not None:
                of_value.add_(skipped)
            if network.residual and number % 2 == 1:
                skipped = of_value
            gradient = of_value
        gradients[:0] = _of_parameters(network.linears[0], affines[0], gradient, x)
        of_x = affines[0].transposed(gradient) if ctx.needs_input_grad[1] else None
        of_given = of_weight = None
        if weight is not None:
            of_given = (weight.t() @ gradient).t() if ctx.needs_input_grad[2] else None
            of_weight = gradient @ given
        return None, of_x, of_given, of_weight, *gradients


def _of_parameters(linear: Linear, affine: Affine, gradient: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of a layer's weight and bias."""
    return linear.weight_gradient(affine.outer(gradient, value)), linear.bias_gradient(gradient.sum(1))
