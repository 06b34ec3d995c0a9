"""How one coordinate is bent, given its parameters: one bijection a file, and nothing about networks."""

from __future__ import annotations

from flowcli.flows.elementwise.affine import Affine
from flowcli.flows.elementwise.bijection import Bijection
from flowcli.flows.elementwise.mixture_cdf import MixtureCdf
from flowcli.flows.elementwise.spline import CircularSpline, Spline

__all__ = ["Affine", "Bijection", "CircularSpline", "MixtureCdf", "Spline"]
