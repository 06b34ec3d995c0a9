"""Densities of the latents, on which the layers stand."""

from __future__ import annotations

from flowcli.flows.bases.autoregressive_mixture import AutoregressiveMixture
from flowcli.flows.bases.base import Base
from flowcli.flows.bases.gaussian_components import Gaussians
from flowcli.flows.bases.mixture import Mixture
from flowcli.flows.bases.normal import Normal
from flowcli.flows.bases.student_t import StudentT

__all__ = ["AutoregressiveMixture", "Base", "Gaussians", "Mixture", "Normal", "StudentT"]
