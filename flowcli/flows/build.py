"""From a config to a flow, and to the density of whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows import bases, config_rules, layers, networks
from flowcli.flows.bijections import CircularSpline
from flowcli.flows.blueprint import Blueprint
from flowcli.flows.flow import Flow
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.flows.mixed.circular import CircularDensity
from flowcli.flows.mixed.density import Layout, MixedDensity
from flowcli.flows.mixed.one_hot import OneHot
from flowcli.flows.transform import Transform


def build(architecture: config.FlowConfig, columns: int, context: int = 0) -> Flow:
    """Build the flow that a config describes, at its start, with weights from torch's global generator.

    See ``flow_blueprint`` for the arguments.

    Raises:
        ConfigError: The config asks for something impossible, or for more memory than any fit could have.
    """
    blueprint = flow_blueprint(architecture, columns, context)
    blueprint.refuse_too_large()
    return blueprint.make()


def build_mixed(architecture: config.FlowConfig, layout: Layout, numbers: Sequence[Tensor | None] = ()) -> MixedDensity:
    """Build the density of rows that a config describes, at its start.

    See ``mixed_blueprint`` for the arguments.

    Raises:
        ConfigError: The config asks for something impossible, or for more memory than any fit could have.
    """
    blueprint = mixed_blueprint(architecture, layout, numbers)
    blueprint.refuse_too_large()
    return blueprint.make()


def flow_blueprint(architecture: config.FlowConfig, columns: int, context: int = 0) -> Blueprint[Flow]:
    """Return what the flow that a config describes will be.

    Args:
        architecture: A config in which nothing is left to ``auto``. Its ``marginal`` layer is passed over: that one
            maps columns to coordinates, before the flow.
        columns: D.
        context: C, the number of conditioning variables.

    Raises:
        ConfigError: A size is left to ``auto``, or a network cannot be what the config says.
    """
    chain = _layers(architecture.layers, columns, context)
    base = _base(architecture.base, columns, context)

    def make() -> Flow:
        density = base.make()  # first, so that a seed gives the weights that it always gave
        return Flow(chain.make(), density)

    return Blueprint(chain.parameters + base.parameters, make)


def mixed_blueprint(
    architecture: config.FlowConfig, layout: Layout, numbers: Sequence[Tensor | None] = ()
) -> Blueprint[MixedDensity]:
    """Return what the density of rows that a config describes will be.

    Args:
        architecture: A config in which nothing is left to ``auto``.
        layout: What a row consists of.
        numbers: For each code the numbers that its outcomes stand for, (outcomes,), or ``None``.

    Raises:
        ConfigError: A size is left to ``auto``, or a network cannot be what the config says.
    """
    context = layout.context_features
    codes = angles = flow = None
    if layout.outcome_counts:
        one_hot = OneHot(layout.outcome_counts, numbers)
        codes = _categorical(architecture.discrete.net, one_hot, context)
        context += one_hot.features
    if layout.angles:
        angles = _circular(architecture.circular, layout.angles, context)
        context += 2 * layout.angles
    if layout.coordinates:
        flow = flow_blueprint(architecture, layout.coordinates, context)

    def make() -> MixedDensity:
        categorical = codes.make() if codes else None
        circular = angles.make() if angles else None
        return MixedDensity(layout, flow.make() if flow else None, circular, categorical)

    return Blueprint(sum(part.parameters for part in (codes, angles, flow) if part), make)


def _categorical(net: config.Net, one_hot: OneHot, context: int) -> Blueprint[CategoricalDensity]:
    sizes = [digit.size for digit in one_hot.digits]
    network = networks.masked(net, len(sizes), sizes, context, one_hot.widths)
    return Blueprint(network.parameters, lambda: CategoricalDensity(one_hot, network.make()))


def _circular(options: config.CircularOptions, angles: int, context: int) -> Blueprint[CircularDensity]:
    bijection = CircularSpline(options.bins)
    network = networks.masked(options.net, angles, bijection.parameters, context, [2] * angles)
    return Blueprint(network.parameters, lambda: CircularDensity(bijection, network.make()))


def _layers(chain: Sequence[config.Layer], columns: int, context: int) -> Blueprint[list[Transform]]:
    parts = [_layer(layer, columns, context) for layer in chain]
    return Blueprint(sum(part.parameters for part in parts), lambda: [each for part in parts for each in part.make()])


def _layer(layer: config.Layer, columns: int, context: int) -> Blueprint[list[Transform]]:
    """Return what becomes of a layer of the config: no layer of the flow, one, or many."""
    match layer:
        case config.Marginal() | config.Linear(linear="none"):
            return Blueprint(0, list)
        case config.Repeat(repeat=repeat, layers=inner):
            times, block = config_rules.resolved(repeat, "repeat"), _layers(inner, columns, context)
            return Blueprint(times * block.parameters, lambda: [each for _ in range(times) for each in block.make()])
        case config.ActNorm():
            return Blueprint(2 * columns, lambda: [layers.ActNorm(columns)])
        case config.Permutation(permutation="reverse"):
            return Blueprint(0, lambda: [layers.Permutation(torch.arange(columns).flip(0))])
        case config.Permutation(permutation="random"):
            return Blueprint(0, lambda: [layers.Permutation(torch.randperm(columns))])
        case config.Linear(linear="auto"):
            raise ConfigError("linear: auto has to be decided from the data before a flow is built")
        case config.Linear(linear="lu"):
            return Blueprint(columns * columns + 2 * columns, lambda: [layers.LU(columns)])
        case config.Linear(linear=kind):
            return Blueprint(columns * columns, lambda: [layers.Rotation(columns, random=kind == "random_rotation")])
        case config.Elementwise(elementwise=options):
            bijection = config_rules.bijection(options.transform)
            return Blueprint(columns * bijection.parameters, lambda: [layers.Elementwise(columns, bijection)])
        case config.Autoregressive(autoregressive=options):
            return _autoregressive(options, columns, context)
        case config.Coupling(coupling=options):
            return _coupling(options, columns, context)
    raise AssertionError(layer)


def _autoregressive(options: config.AutoregressiveOptions, columns: int, context: int) -> Blueprint[list[Transform]]:
    bijection = config_rules.bijection(options.transform)
    network = networks.autoregressive(options.net, columns, bijection.parameters, context)
    reverse = options.order == "reverse"
    return Blueprint(network.parameters, lambda: [layers.Autoregressive(bijection, network.make(), reverse=reverse)])


def _coupling(options: config.CouplingOptions, columns: int, context: int) -> Blueprint[list[Transform]]:
    bijection = config_rules.bijection(options.transform)
    active = config_rules.active(options.mask, columns)
    count = sum(active)
    network = networks.dense(options.net, columns - count + context, count * bijection.parameters)
    return Blueprint(network.parameters, lambda: [layers.Coupling(active, bijection, network.make())])


def _base(base: config.Base, columns: int, context: int) -> Blueprint[bases.Base]:
    match base:
        case config.Normal(normal=options):
            return Blueprint(2 * columns, partial(bases.Normal, columns, learnable=options.learnable))
        case config.StudentT(student_t=options):
            return Blueprint(3 * columns, partial(bases.StudentT, columns, options.degrees_of_freedom))
        case config.Mixture(mixture=options):
            components = config_rules.resolved(options.components, "components")
            size = _gaussians(columns, components, context)
            return Blueprint(size, lambda: bases.Mixture(columns, components, context))
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            components = config_rules.resolved(options.components, "components")
            network = networks.autoregressive(options.net, columns, 3 * components, context)
            size = _gaussians(columns, components, context) + network.parameters
            return Blueprint(size, lambda: bases.AutoregressiveMixture(columns, components, network.make(), context))


def _gaussians(columns: int, components: int, context: int) -> int:
    """Return the number of parameters of Gaussian components."""
    return components * (1 + 2 * columns + columns * columns + context) + columns * context
