"""Networks that give transforms their parameters: masked and sparse (autoregressive), and dense (coupling)."""

from __future__ import annotations

from flowcli.flows.conditioners.autoregressive import AutoregressiveNetwork
from flowcli.flows.conditioners.column_blocks import ChosenLinear
from flowcli.flows.conditioners.dense import DenseNetwork
from flowcli.flows.conditioners.masked import MaskedNetwork
from flowcli.flows.conditioners.network import Network, tracks
from flowcli.flows.conditioners.sparse import SparseNetwork

__all__ = [
    "AutoregressiveNetwork",
    "ChosenLinear",
    "DenseNetwork",
    "MaskedNetwork",
    "Network",
    "SparseNetwork",
    "tracks",
]
