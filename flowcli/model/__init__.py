"""The model: the density of a table's rows, and the file that holds it."""

from __future__ import annotations

from flowcli.model.density import Density, Scores
from flowcli.model.ensemble import Ensemble
from flowcli.model.files.model_file import load, save
from flowcli.model.flow_density import FlowDensity, Terms

__all__ = ["Density", "Ensemble", "FlowDensity", "Scores", "Terms", "load", "save"]
