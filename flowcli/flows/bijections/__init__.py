"""How one coordinate is bent, given its parameters: one bijection a file, and nothing about networks."""

from __future__ import annotations

from flowcli.flows.bijections.affine import Affine
from flowcli.flows.bijections.bijection import Bijection
from flowcli.flows.bijections.mixture_cdf import MixtureCdf
from flowcli.flows.bijections.spline import CircularSpline, Spline

__all__ = ["Affine", "Bijection", "CircularSpline", "MixtureCdf", "Spline"]
