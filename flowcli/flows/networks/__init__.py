"""Networks that give transforms their parameters: masked and sparse (autoregressive), and dense (coupling)."""

from __future__ import annotations

from flowcli.flows.networks.autoregressive import AutoregressiveNetwork
from flowcli.flows.networks.blocks import ChosenLinear
from flowcli.flows.networks.dense import DenseNetwork
from flowcli.flows.networks.masked import MaskedNetwork
from flowcli.flows.networks.network import Network, tracks
from flowcli.flows.networks.sparse import SparseNetwork

__all__ = [
    "AutoregressiveNetwork",
    "ChosenLinear",
    "DenseNetwork",
    "MaskedNetwork",
    "Network",
    "SparseNetwork",
    "tracks",
]
