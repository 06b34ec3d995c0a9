"""Layers of a flow: who gives bijections their parameters, and the layers that mix columns."""

from __future__ import annotations

from flowcli.flows.layers.actnorm import ActNorm
from flowcli.flows.layers.autoregressive import Autoregressive
from flowcli.flows.layers.coupling import Coupling
from flowcli.flows.layers.elementwise import Elementwise
from flowcli.flows.layers.lu import LU
from flowcli.flows.layers.permutation import Permutation
from flowcli.flows.layers.rotation import Rotation

__all__ = [
    "LU",
    "ActNorm",
    "Autoregressive",
    "Coupling",
    "Elementwise",
    "Permutation",
    "Rotation",
]
