"""How one coordinate is transformed, given its parameters: one bijection a file, and nothing about networks."""

from __future__ import annotations

from flowcli.flows.bijections.affine import Affine
from flowcli.flows.bijections.bijection import Bijection
from flowcli.flows.bijections.kernel_bijection import KernelBijection
from flowcli.flows.bijections.mixture_cdf import MixtureCdf
from flowcli.flows.bijections.spline import CircularSpline, Spline

__all__ = ["Affine", "Bijection", "CircularSpline", "KernelBijection", "MixtureCdf", "Spline"]
