"""Configs: YAML read strictly into frozen, checked values.

``from flowcli.config import load`` and the like. What a name needs (pydantic, yaml) is imported with its first use, so
that listing the shipped configs costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowcli.config.json_schema import schema_json
    from flowcli.config.loader import from_mapping, load
    from flowcli.config.schema import (
        ActNorm,
        Affine,
        Auto,
        Autoregressive,
        AutoregressiveMixture,
        AutoregressiveMixtureOptions,
        Base,
        Config,
        Coupling,
        Elementwise,
        FlowConfig,
        Layer,
        Linear,
        Marginal,
        Mixture,
        MixtureCdf,
        MixtureOptions,
        Net,
        Normal,
        Permutation,
        Repeat,
        Spline,
        StudentT,
        TrainConfig,
        Transform,
    )
    from flowcli.config.shipped import names, summary, text

__all__ = [
    "ActNorm",
    "Affine",
    "Auto",
    "Autoregressive",
    "AutoregressiveMixture",
    "AutoregressiveMixtureOptions",
    "Base",
    "Config",
    "Coupling",
    "Elementwise",
    "FlowConfig",
    "Layer",
    "Linear",
    "Marginal",
    "Mixture",
    "MixtureCdf",
    "MixtureOptions",
    "Net",
    "Normal",
    "Permutation",
    "Repeat",
    "Spline",
    "StudentT",
    "TrainConfig",
    "Transform",
    "from_mapping",
    "load",
    "names",
    "schema_json",
    "summary",
    "text",
]

_FUNCTIONS = {
    "from_mapping": "loader",
    "load": "loader",
    "names": "shipped",
    "schema_json": "json_schema",
    "summary": "shipped",
    "text": "shipped",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS.get(name, 'schema')}"), name)
    globals()[name] = value
    return value
