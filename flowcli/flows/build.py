"""From a config to a flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows import bases, elementwise, layers
from flowcli.flows.flow import Flow
from flowcli.flows.networks import DenseNetwork, MaskedNetwork
from flowcli.flows.transform import Transform

Value = TypeVar("Value", int, float, tuple[int, ...])

LARGEST_MODEL = 2**33  # bytes of parameters; a fit needs about five times as much


def build(architecture: config.FlowConfig, columns: int, context: int = 0) -> Flow:
    """Build the flow that a config describes, at its start, with weights from torch's global generator.

    Args:
        architecture: A config in which nothing is left to ``auto``. Its ``marginal`` layer is passed over: that one
            maps columns to coordinates, before the flow.
        columns: D.
        context: C, the number of conditioning variables.

    Raises:
        ConfigError: The config asks for something impossible, or for more memory than any fit could have.
    """
    check_size(architecture, columns, context)
    return _flow(architecture, columns, context)


def check_size(architecture: config.FlowConfig, columns: int, context: int = 0) -> None:
    """Find out how large a flow would be, without making it.

    Raises:
        ConfigError: Larger than any fit could use.
    """
    with torch.device("meta"):
        bytes_needed = 4 * sum(p.numel() for p in _flow(architecture, columns, context).parameters())
    if bytes_needed > LARGEST_MODEL:
        raise ConfigError(
            f"the flow would hold {bytes_needed / 2**30:,.0f} GiB of parameters; use smaller networks or fewer layers"
        )


def _flow(architecture: config.FlowConfig, columns: int, context: int) -> Flow:
    return Flow(_layers(architecture.layers, columns, context), _base(architecture.base, columns, context))


def _layers(chain: Sequence[config.Layer], columns: int, context: int) -> Iterator[Transform]:
    for layer in chain:
        match layer:
            case config.Marginal():
                pass
            case config.Repeat(repeat=times, layers=inner):
                for _ in range(_settled(times, "repeat")):
                    yield from _layers(inner, columns, context)
            case _:
                yield _layer(layer, columns, context)


def _layer(layer: config.Layer, columns: int, context: int) -> Transform:
    match layer:
        case config.ActNorm():
            return layers.ActNorm(columns)
        case config.Permutation(permutation="reverse"):
            return layers.Permutation(torch.arange(columns).flip(0))
        case config.Permutation(permutation="random"):
            return layers.Permutation(torch.randperm(columns))
        case config.Linear(linear="lu"):
            return layers.LU(columns)
        case config.Linear(linear="rotation"):
            return layers.Rotation(columns)
        case config.Linear(linear="random_rotation"):
            return layers.Rotation(columns, random=True)
        case config.Elementwise(elementwise=options):
            return layers.Elementwise(columns, _bijection(options.transform))
        case config.Autoregressive(autoregressive=options):
            bijection = _bijection(options.transform)
            masked = _masked(options.net, columns, bijection.parameters, context)
            return layers.Autoregressive(bijection, masked, reverse=options.order == "reverse")
        case config.Coupling(coupling=options):
            bijection = _bijection(options.transform)
            active = _active(options.mask, columns)
            count = sum(active)
            network = _dense(options.net, columns - count + context, count * bijection.parameters)
            return layers.Coupling(active, bijection, network)
    raise AssertionError(layer)


def _active(mask: str, columns: int) -> list[bool]:
    """Which columns a coupling transforms. A single column is always transformed."""
    half = (columns + 1) // 2
    chosen = {
        "even": [i % 2 == 0 for i in range(columns)],
        "odd": [i % 2 == 1 for i in range(columns)],
        "first_half": [i < half for i in range(columns)],
        "second_half": [i >= half for i in range(columns)],
    }[mask]
    return chosen if any(chosen) else [True] * columns


def _bijection(transform: config.Transform) -> elementwise.Bijection:
    match transform:
        case config.Affine(affine=options):
            return elementwise.Affine(options.bound)
        case config.Spline(spline=options):
            return elementwise.Spline(options.bins, options.bound)
        case config.MixtureCdf(mixture_cdf=options):
            return elementwise.MixtureCdf(options.components, options.bound)


def _base(base: config.Base, columns: int, context: int) -> bases.Base:
    match base:
        case config.Normal(normal=options):
            return bases.Normal(columns, learnable=options.learnable)
        case config.StudentT(student_t=options):
            return bases.StudentT(columns, options.degrees_of_freedom)
        case config.Mixture(mixture=options):
            return bases.Mixture(columns, _settled(options.components, "components"))
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            components = _settled(options.components, "components")
            network = _masked(options.net, columns, 3 * components, context)
            return bases.AutoregressiveMixture(columns, components, network)


def _masked(net: config.Net, columns: int, parameters: int, context: int) -> MaskedNetwork:
    return MaskedNetwork(
        columns,
        parameters,
        _settled(net.hidden, "hidden"),
        residual=net.residual,
        activation=net.activation,
        dropout=_settled(net.dropout, "dropout"),
        context=context,
    )


def _dense(net: config.Net, inputs: int, outputs: int) -> DenseNetwork:
    return DenseNetwork(
        inputs,
        outputs,
        _settled(net.hidden, "hidden"),
        residual=net.residual,
        activation=net.activation,
        dropout=_settled(net.dropout, "dropout"),
    )


def _settled(value: Value | config.Auto, name: str) -> Value:
    """The value, of which nothing may be left to decide."""
    if isinstance(value, str):
        raise ConfigError(f"{name}: auto has to be decided from the data before a flow is built")
    return value
