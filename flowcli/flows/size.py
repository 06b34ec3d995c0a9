"""How large a flow is, counted from its config alone.

Building it on torch's meta device would tell as well, but that loads a second half of torch (its compiler, sympy):
as long as loading torch itself takes, at each start of a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows.bijections import CircularSpline
from flowcli.flows.config_rules import active, bijection, resolved
from flowcli.flows.mixed.density import Layout
from flowcli.flows.mixed.one_hot import OneHot

LARGEST_MODEL = 2**33  # bytes of parameters; a fit needs about five times as much


def check_size(architecture: config.FlowConfig, columns: int, context: int = 0) -> None:
    """Find out whether a flow would be too large, without making it.

    Raises:
        ConfigError: Larger than any fit could use, or something is left to ``auto``.
    """
    _check(count_parameters(architecture, columns, context))


def check_mixed_size(architecture: config.FlowConfig, layout: Layout, numbers: Sequence[Tensor | None]) -> None:
    """Find out whether the density of whole rows would be too large, without making it.

    Raises:
        ConfigError: Larger than any fit could use, or something is left to ``auto``.
    """
    _check(count_mixed_parameters(architecture, layout, numbers))


def count_mixed_parameters(
    architecture: config.FlowConfig, layout: Layout, numbers: Sequence[Tensor | None] = ()
) -> int:
    """Return the number of parameters of the density that ``build_mixed`` makes of the same arguments.

    Raises:
        ConfigError: Something is left to ``auto``.
    """
    total, context = 0, layout.context_features
    if layout.outcome_counts:
        one_hot = OneHot(layout.outcome_counts, numbers)
        total += _network(architecture.discrete.net, one_hot.features, one_hot.edges[-1], context)
        context += one_hot.features
    if layout.angles:
        parameters = layout.angles * CircularSpline(architecture.circular.bins).parameters
        total += _network(architecture.circular.net, 2 * layout.angles, parameters, context)
        context += 2 * layout.angles
    return total + (count_parameters(architecture, layout.coordinates, context) if layout.coordinates else 0)


def _check(parameters: int) -> None:
    bytes_needed = 4 * parameters
    if bytes_needed > LARGEST_MODEL:
        raise ConfigError(
            f"the flow would hold {bytes_needed / 2**30:,.0f} GiB of parameters; use smaller networks or fewer layers"
        )


def count_parameters(architecture: config.FlowConfig, columns: int, context: int = 0) -> int:
    """Return the number of parameters of the flow that ``build`` makes of the same arguments.

    Raises:
        ConfigError: Something is left to ``auto``.
    """
    return _layers(architecture.layers, columns, context) + _base(architecture.base, columns, context)


def _layers(chain: Sequence[config.Layer], columns: int, context: int) -> int:
    return sum(_layer(layer, columns, context) for layer in chain)


def _layer(layer: config.Layer, columns: int, context: int) -> int:
    match layer:
        case config.Marginal() | config.Permutation():
            return 0
        case config.Repeat(repeat=times, layers=inner):
            return resolved(times, "repeat") * _layers(inner, columns, context)
        case config.ActNorm():
            return 2 * columns
        case config.Linear(linear="none"):
            return 0
        case config.Linear(linear=kind):
            return columns * columns + (2 * columns if kind == "lu" else 0)
        case config.Elementwise(elementwise=options):
            return columns * bijection(options.transform).parameters
        case config.Autoregressive(autoregressive=options):
            return _autoregressive(options.net, columns, bijection(options.transform).parameters, context)
        case config.Coupling(coupling=options):
            count = sum(active(options.mask, columns))
            inputs = max(1, columns - count + context)
            return _network(options.net, inputs, count * bijection(options.transform).parameters)


def _base(base: config.Base, columns: int, context: int) -> int:
    match base:
        case config.Normal():
            return 2 * columns
        case config.StudentT():
            return 3 * columns
        case config.Mixture(mixture=options):
            return _gaussians(columns, resolved(options.components, "components"), context)
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            components = resolved(options.components, "components")
            network = _autoregressive(options.net, columns, 3 * components, context)
            return _gaussians(columns, components, context) + network


def _gaussians(columns: int, components: int, context: int) -> int:
    return components * (1 + 2 * columns + columns * columns + context) + columns * context


def _autoregressive(net: config.Net, columns: int, parameters: int, context: int) -> int:
    if net.parents is None:
        return _network(net, columns, columns * parameters, context)
    parents = min(resolved(net.parents, "parents"), max(columns - 1, 1))
    return columns * _network(net, parents, parameters, context)


def _network(net: config.Net, inputs: int, outputs: int, context: int = 0) -> int:
    hidden: tuple[int, ...] = resolved(net.hidden, "hidden")
    between = [(one, one) for one in hidden for _ in range(2)] if net.residual else pairwise(hidden)
    sizes: list[tuple[int, int]] = [(inputs, hidden[0]), *between, (hidden[-1], outputs)]
    return sum((before + 1) * after for before, after in sizes) + context * hidden[0]
