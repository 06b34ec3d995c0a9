"""Pictures of a density, as figures of matplotlib that belong to nobody else: pyplot's global state is not touched."""

from __future__ import annotations

from flowcli.evaluation.plots.calibration import calibration
from flowcli.evaluation.plots.corner import corner
from flowcli.evaluation.plots.density_map import density_map
from flowcli.evaluation.plots.latents import latents
from flowcli.evaluation.plots.marginals import marginals
from flowcli.evaluation.plots.theme import write_pages, write_picture
from flowcli.evaluation.plots.training_curve import training_curve

__all__ = [
    "calibration",
    "corner",
    "density_map",
    "latents",
    "marginals",
    "training_curve",
    "write_pages",
    "write_picture",
]
