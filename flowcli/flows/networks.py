"""From what a config says of a network to its blueprint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows.blueprint import Blueprint
from flowcli.flows.conditioners import AutoregressiveNetwork, DenseNetwork, MaskedNetwork, SparseNetwork
from flowcli.flows.conditioners.activation import ActivationName
from flowcli.flows.config_rules import resolved


def autoregressive(net: config.Net, columns: int, parameters: int, context: int) -> Blueprint[AutoregressiveNetwork]:
    """Return a network that gives each column's parameters from the columns before it, and from the context."""
    if net.parents is None:
        return masked(net, columns, parameters, context)
    parents = resolved(net.parents, "parents")
    size = columns * _size(net, min(parents, max(columns - 1, 1)), parameters, context)
    return Blueprint(size, lambda: SparseNetwork(columns, parameters, parents, context=context, **_shape(net)))


def masked(
    net: config.Net, columns: int, parameters: int | Sequence[int], context: int, widths: Sequence[int] | None = None
) -> Blueprint[MaskedNetwork]:
    """Return one network for all columns; see ``MaskedNetwork`` for the arguments."""
    _refuse_parents(net)
    outputs = columns * parameters if isinstance(parameters, int) else sum(parameters)
    size = _size(net, columns if widths is None else sum(widths), outputs, context)
    return Blueprint(size, lambda: MaskedNetwork(columns, parameters, context=context, widths=widths, **_shape(net)))


def dense(net: config.Net, inputs: int, outputs: int) -> Blueprint[DenseNetwork]:
    """Return a network from inputs, the context among them, to outputs."""
    _refuse_parents(net)
    return Blueprint(_size(net, max(inputs, 1), outputs, 0), lambda: DenseNetwork(inputs, outputs, **_shape(net)))


class _Shape(TypedDict):
    """What all networks have, whatever they see."""

    hidden: tuple[int, ...]
    residual: bool
    activation: ActivationName
    dropout: float


def _shape(net: config.Net) -> _Shape:
    return {
        "hidden": resolved(net.hidden, "hidden"),
        "residual": net.residual,
        "activation": net.activation,
        "dropout": resolved(net.dropout, "dropout"),
    }


def _size(net: config.Net, inputs: int, outputs: int, context: int) -> int:
    """Return the number of parameters."""
    hidden: tuple[int, ...] = resolved(net.hidden, "hidden")
    between = [(one, one) for one in hidden for _ in range(2)] if net.residual else pairwise(hidden)
    sizes: list[tuple[int, int]] = [(inputs, hidden[0]), *between, (hidden[-1], outputs)]
    return sum((before + 1) * after for before, after in sizes) + context * hidden[0]


def _refuse_parents(net: config.Net) -> None:
    """Refuse what only networks over coordinates, column by column, have."""
    if net.parents is not None:
        raise ConfigError(f"parents: {net.parents}: only autoregressive layers and bases have networks with parents")
