"""Pictures of a density, as figures of matplotlib that belong to nobody else: pyplot's global state is not touched."""

from __future__ import annotations

from flowcli.evaluation.pictures.calibration import calibration
from flowcli.evaluation.pictures.corner import corner
from flowcli.evaluation.pictures.density_map import density_map
from flowcli.evaluation.pictures.latents import latents
from flowcli.evaluation.pictures.marginals import marginals
from flowcli.evaluation.pictures.theme import write_pages, write_picture
from flowcli.evaluation.pictures.training_curve import training_curve

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
