"""The model: columns to coordinates with their log-Jacobian, the flow over them, and the file that holds both."""

from __future__ import annotations

from flowcli.density.coordinates import Coordinates
from flowcli.density.density import Density, Terms
from flowcli.density.model_file import load, save
from flowcli.density.quantile_map import QuantileMap

__all__ = ["Coordinates", "Density", "QuantileMap", "Terms", "load", "save"]
