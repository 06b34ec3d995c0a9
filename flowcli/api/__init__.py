"""flowcli from Python: what the commands and notebooks call.

Fitting loads more libraries than scoring does, so that what it needs is imported with its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flowcli.api.model import Model, load

if TYPE_CHECKING:
    from flowcli.api.fitting import fit as fit
    from flowcli.api.fitting import plan as plan

__all__ = ["Model", "fit", "load", "plan"]


def __getattr__(name: str) -> Any:
    if name in ("fit", "plan"):
        return getattr(importlib.import_module("flowcli.api.fitting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
