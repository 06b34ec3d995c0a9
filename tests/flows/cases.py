"""The one table of constructors that every contract test runs over. A new part needs one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from flowcli.flows import bases, bijections, layers
from flowcli.flows.bases import Base
from flowcli.flows.bijections import Bijection
from flowcli.flows.conditioners import DenseNetwork, MaskedNetwork, SparseNetwork
from flowcli.flows.transform import Transform

Module = TypeVar("Module", bound=torch.nn.Module)

BIJECTIONS: dict[str, Callable[[], Bijection]] = {
    "affine": bijections.Affine,
    "spline": lambda: bijections.Spline(bins=5, bound=3.0),
    "spline-two-bins": lambda: bijections.Spline(bins=2, bound=4.0),
    "mixture-cdf": lambda: bijections.MixtureCdf(components=4),
    "mixture-cdf-one": lambda: bijections.MixtureCdf(components=1),
}

# These live on the circle, not on the line.
CIRCULAR: dict[str, Callable[[], Bijection]] = {"circular-spline": lambda: bijections.CircularSpline(bins=5)}

NETS = {
    "plain": {"hidden": (24, 17), "residual": False, "activation": "tanh", "dropout": 0.1},
    "residual": {"hidden": (24, 24), "residual": True, "activation": "silu", "dropout": 0.1},
    "narrow": {"hidden": (2,), "residual": False, "activation": "silu", "dropout": 0.0},
}


def masked(columns: int, parameters: int, net: str, context: int) -> MaskedNetwork:
    return MaskedNetwork(columns, parameters, context=context, **NETS[net])


def sparse(columns: int, parameters: int, net: str, context: int, parents: int = 3) -> SparseNetwork:
    network = SparseNetwork(columns, parameters, parents, context=context, **NETS[net])
    network.select_parents(torch.randn(50, columns, generator=torch.Generator().manual_seed(1)))
    return network


def _autoregressive(bijection: str, net: str, *, reverse: bool = False) -> Callable[[int, int], Transform]:
    def make(columns: int, context: int) -> Transform:
        kind_of = BIJECTIONS[bijection]()
        return layers.Autoregressive(kind_of, masked(columns, kind_of.parameters, net, context), reverse=reverse)

    return make


def _coupling(bijection: str, net: str, parity: int) -> Callable[[int, int], Transform]:
    def make(columns: int, context: int) -> Transform:
        kind_of = BIJECTIONS[bijection]()
        active = [columns == 1 or i % 2 == parity for i in range(columns)]
        inputs = columns - sum(active) + context
        return layers.Coupling(active, kind_of, DenseNetwork(inputs, sum(active) * kind_of.parameters, **NETS[net]))

    return make


# name -> (columns, context) -> the layer at its start
TRANSFORMS: dict[str, Callable[[int, int], Transform]] = {
    "actnorm": lambda d, c: layers.ActNorm(d),
    "lu": lambda d, c: layers.LU(d),
    "rotation": lambda d, c: layers.Rotation(d),
    "elementwise-spline": lambda d, c: layers.Elementwise(d, BIJECTIONS["spline"]()),
    "elementwise-mixture-cdf": lambda d, c: layers.Elementwise(d, BIJECTIONS["mixture-cdf"]()),
    "autoregressive-affine-plain": _autoregressive("affine", "plain"),
    "autoregressive-spline-residual": _autoregressive("spline", "residual"),
    "autoregressive-spline-reverse": _autoregressive("spline", "plain", reverse=True),
    "autoregressive-mixture-cdf": _autoregressive("mixture-cdf", "residual"),
    "autoregressive-narrow": _autoregressive("affine", "narrow"),
    "sparse-spline": lambda d, c: layers.Autoregressive(
        kind_of := BIJECTIONS["spline"](), sparse(d, kind_of.parameters, "residual", c)
    ),
    "sparse-affine-reverse": lambda d, c: layers.Autoregressive(
        kind_of := BIJECTIONS["affine"](), sparse(d, kind_of.parameters, "plain", c), reverse=True
    ),
    "coupling-affine-even": _coupling("affine", "plain", 0),
    "coupling-spline-odd": _coupling("spline", "residual", 1),
    "coupling-mixture-cdf": _coupling("mixture-cdf", "plain", 0),
}

# These do not start at the identity, by their nature.
MIXING: dict[str, Callable[[int, int], Transform]] = {
    "permutation-random": lambda d, c: layers.Permutation(torch.randperm(d)),
    "permutation-reverse": lambda d, c: layers.Permutation(torch.arange(d).flip(0)),
    "random-rotation": lambda d, c: layers.Rotation(d, random=True),
}

BASES: dict[str, Callable[[int, int], Base]] = {
    "normal": lambda d, c: bases.Normal(d),
    "normal-learnable": lambda d, c: bases.Normal(d, learnable=True),
    "student-t": lambda d, c: bases.StudentT(d, degrees_of_freedom=3.0),
    "mixture": lambda d, c: bases.Mixture(d, 3, c),
    "mixture-one": lambda d, c: bases.Mixture(d, 1, c),
    "autoregressive-mixture": lambda d, c: bases.AutoregressiveMixture(d, 3, masked(d, 9, "residual", c), c),
    "autoregressive-mixture-plain": lambda d, c: bases.AutoregressiveMixture(d, 4, masked(d, 12, "plain", c), c),
}


def shaken(part: Module, scale: float = 0.5, seed: int = 0) -> Module:
    """The part away from its start, in float64 and without dropout, as training might have left it."""
    generator = torch.Generator().manual_seed(seed)
    part = part.double().eval()
    for parameter in part.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.add_(scale * noise / max(1.0, parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 1.0))
    return part
