"""The model: columns to codes, angles and coordinates, the joint density of these, and the file that holds both."""

from __future__ import annotations

from flowcli.density.coordinates import Coordinates
from flowcli.density.density import Density, Scores
from flowcli.density.encoding import Encoding
from flowcli.density.ensemble import Ensemble
from flowcli.density.flow_density import FlowDensity, Terms
from flowcli.density.model_file import load, save
from flowcli.density.quantile_map import QuantileMap

__all__ = [
    "Coordinates",
    "Density",
    "Encoding",
    "Ensemble",
    "FlowDensity",
    "QuantileMap",
    "Scores",
    "Terms",
    "load",
    "save",
]
