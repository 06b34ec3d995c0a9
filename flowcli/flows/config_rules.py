"""What a config says of a flow's parts before any tensor is made."""

from __future__ import annotations

from typing import TypeVar

from flowcli.config import schema as config
from flowcli.errors import ConfigError
from flowcli.flows import bijections

Value = TypeVar("Value", int, float, tuple[int, ...])


def active(mask: str, columns: int) -> list[bool]:
    """Return which columns a coupling transforms. A single column is always transformed."""
    half = (columns + 1) // 2
    chosen = {
        "even": [i % 2 == 0 for i in range(columns)],
        "odd": [i % 2 == 1 for i in range(columns)],
        "first_half": [i < half for i in range(columns)],
        "second_half": [i >= half for i in range(columns)],
    }[mask]
    return chosen if any(chosen) else [True] * columns


def bijection(transform: config.Transform) -> bijections.Bijection:
    """Return the bijection that a config names."""
    match transform:
        case config.Affine(affine=options):
            return bijections.Affine(options.bound)
        case config.Spline(spline=options):
            return bijections.Spline(resolved(options.bins, "bins"), options.bound)
        case config.MixtureCdf(mixture_cdf=options):
            return bijections.MixtureCdf(options.components, options.bound)


def resolved(value: Value | config.Auto, name: str) -> Value:
    """Return the value, of which nothing may be left to decide.

    Raises:
        ConfigError: It is still ``auto``.
    """
    if isinstance(value, str):
        raise ConfigError(f"{name}: auto has to be decided from the data before a flow is built")
    return value
