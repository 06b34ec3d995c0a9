"""The libraries, one file each, loaded only where they are installed."""

from __future__ import annotations

import importlib
import importlib.util

from benchmarks.speed.libraries.model import Library, Model

OURS = "flowcli"
PRODUCTS = "products"
PEERS = ("zuko", "nflows", "normflows", "flowjax")
NAMES = (OURS, *PEERS, PRODUCTS)

_NEEDED = {"flowjax": ("flowjax", "jax", "optax"), PRODUCTS: ("torch",)}


def installed(name: str) -> bool:
    """Whether all that a library needs is there."""
    return all(importlib.util.find_spec(package) is not None for package in _NEEDED.get(name, (name,)))


def load(name: str) -> Library:
    """A library by its name."""
    library: Library = importlib.import_module(f"{__name__}.{name}")
    return library


__all__ = ["NAMES", "OURS", "PEERS", "PRODUCTS", "Library", "Model", "installed", "load"]
