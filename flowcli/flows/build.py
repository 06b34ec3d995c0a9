"""From a config to a flow, and to the density of whole rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch
from torch import Tensor

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows import bases, config_rules, layers
from flowcli.flows.bijections import CircularSpline
from flowcli.flows.conditioners import AutoregressiveNetwork, DenseNetwork, MaskedNetwork, SparseNetwork
from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.flow import Flow
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.flows.mixed.circular import CircularDensity
from flowcli.flows.mixed.density import Layout, MixedDensity
from flowcli.flows.mixed.one_hot import OneHot
from flowcli.flows.size import check_mixed_size, check_size
from flowcli.flows.transform import Transform


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


def build_mixed(architecture: config.FlowConfig, layout: Layout, numbers: Sequence[Tensor | None] = ()) -> MixedDensity:
    """Build the density of rows that a config describes, at its start.

    Args:
        architecture: A config in which nothing is left to ``auto``.
        layout: What a row consists of.
        numbers: For each code the numbers that its outcomes stand for, (outcomes,), or ``None``.

    Raises:
        ConfigError: The config asks for something impossible, or for more memory than any fit could have.
    """
    check_mixed_size(architecture, layout, numbers)
    if layout.incomplete:
        _refuse_mixing(architecture.layers)
    context = layout.context_features
    codes = angles = flow = None
    if layout.outcome_counts:
        one_hot = OneHot(layout.outcome_counts, numbers)
        sizes = [digit.size for digit in one_hot.digits]
        codes = CategoricalDensity(
            one_hot, _masked(architecture.discrete.net, len(sizes), sizes, context, one_hot.widths)
        )
        context += one_hot.features
    if layout.angles:
        bijection = CircularSpline(architecture.circular.bins)
        widths = [2] * layout.angles
        network = _masked(architecture.circular.net, layout.angles, bijection.parameters, context, widths)
        angles = CircularDensity(bijection, network)
        context += sum(widths)
    if layout.coordinates:
        flow = _flow(architecture, layout.coordinates, context)
    return MixedDensity(layout, flow, angles, codes)


def _refuse_mixing(chain: Sequence[config.Layer]) -> None:
    """Refuse layers that mix columns of which some are not observed."""
    for layer in chain:
        match layer:
            case config.Linear(linear=kind) if kind != "none":
                raise ConfigError(
                    f"linear: {kind}: a layer that mixes columns cannot work on rows with missing cells; leave it out,"
                    " use linear: none, or the config auto"
                )
            case config.Repeat(layers=inner):
                _refuse_mixing(inner)


def _flow(architecture: config.FlowConfig, columns: int, context: int) -> Flow:
    return Flow(_layers(architecture.layers, columns, context), _base(architecture.base, columns, context))


def _layers(chain: Sequence[config.Layer], columns: int, context: int) -> Iterator[Transform]:
    for layer in chain:
        match layer:
            case config.Marginal() | config.Linear(linear="none"):
                pass
            case config.Repeat(repeat=times, layers=inner):
                for _ in range(config_rules.resolved(times, "repeat")):
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
        case config.Linear(linear="auto"):
            raise ConfigError("linear: auto has to be decided from the data before a flow is built")
        case config.Linear(linear="rotation"):
            return layers.Rotation(columns)
        case config.Linear(linear="random_rotation"):
            return layers.Rotation(columns, random=True)
        case config.Elementwise(elementwise=options):
            return layers.Elementwise(columns, config_rules.bijection(options.transform))
        case config.Autoregressive(autoregressive=options):
            bijection = config_rules.bijection(options.transform)
            reader = _autoregressive(options.net, columns, bijection.parameters, context)
            return layers.Autoregressive(bijection, reader, reverse=options.order == "reverse")
        case config.Coupling(coupling=options):
            bijection = config_rules.bijection(options.transform)
            active = config_rules.active(options.mask, columns)
            count = sum(active)
            network = _dense(options.net, columns - count + context, count * bijection.parameters)
            return layers.Coupling(active, bijection, network)
    raise AssertionError(layer)


def _base(base: config.Base, columns: int, context: int) -> bases.Base:
    match base:
        case config.Normal(normal=options):
            return bases.Normal(columns, learnable=options.learnable)
        case config.StudentT(student_t=options):
            return bases.StudentT(columns, options.degrees_of_freedom)
        case config.Mixture(mixture=options):
            return bases.Mixture(columns, config_rules.resolved(options.components, "components"), context)
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            components = config_rules.resolved(options.components, "components")
            network = _autoregressive(options.net, columns, 3 * components, context)
            return bases.AutoregressiveMixture(columns, components, network, context)


def _autoregressive(net: config.Net, columns: int, parameters: int, context: int) -> AutoregressiveNetwork:
    if net.parents is None:
        return _masked(net, columns, parameters, context)
    parents = config_rules.resolved(net.parents, "parents")
    return SparseNetwork(columns, parameters, parents, context=context, **_shape(net))


def _masked(
    net: config.Net, columns: int, parameters: int | Sequence[int], context: int, widths: Sequence[int] | None = None
) -> MaskedNetwork:
    _refuse_parents(net)
    return MaskedNetwork(columns, parameters, context=context, widths=widths, **_shape(net))


def _dense(net: config.Net, inputs: int, outputs: int) -> DenseNetwork:
    _refuse_parents(net)
    return DenseNetwork(inputs, outputs, **_shape(net))


class _Shape(TypedDict):
    """What all networks have, whatever they see."""

    hidden: tuple[int, ...]
    residual: bool
    activation: ActivationName
    dropout: float


def _shape(net: config.Net) -> _Shape:
    return {
        "hidden": config_rules.resolved(net.hidden, "hidden"),
        "residual": net.residual,
        "activation": net.activation,
        "dropout": config_rules.resolved(net.dropout, "dropout"),
    }


def _refuse_parents(net: config.Net) -> None:
    """Refuse what only networks over coordinates, column by column, have."""
    if net.parents is not None:
        raise ConfigError(f"parents: {net.parents}: only autoregressive layers and bases have networks with parents")
