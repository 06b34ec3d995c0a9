"""Columns of a table as coordinates of unit scale, with the log-Jacobian, and back."""

from __future__ import annotations

from flowcli.encoding.encoder import Encoder
from flowcli.encoding.quantile_map import QuantileMap
from flowcli.encoding.standardizer import Standardizer

__all__ = ["Encoder", "QuantileMap", "Standardizer"]
