"""Networks that give transforms their parameters: masked (autoregressive) and dense (coupling)."""

from __future__ import annotations

from flowcli.flows.networks.dense import DenseNetwork
from flowcli.flows.networks.masked import MaskedNetwork
from flowcli.flows.networks.network import Network, tracks
from flowcli.flows.networks.stepper import Stepper

__all__ = ["DenseNetwork", "MaskedNetwork", "Network", "Stepper", "tracks"]
