"""flowcli: a density estimator with normalizing flows, for the command line and for Python.

``import flowcli`` is cheap; torch and pandas load with the first use of :func:`fit` or :func:`load`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flowcli.version import __version__

if TYPE_CHECKING:
    from flowcli.api import fit as fit
    from flowcli.api import load as load


__all__ = ["__version__", "fit", "load"]

_FROM_API = ("fit", "load")


def __getattr__(name: str) -> Any:
    if name in _FROM_API:
        return getattr(importlib.import_module("flowcli.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FROM_API})
