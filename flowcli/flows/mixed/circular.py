"""A density of angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import uniform
from flowcli.flows.bijections import CircularSpline
from flowcli.flows.conditioners import MaskedNetwork
from flowcli.flows.context import NO_CONTEXT, Context


class CircularDensity(nn.Module):
    """p(a | given) = prod_i p(a_i | a_<i, given): circular splines onto the uniform density of the circle.

    The network reads the cosines and sines of the angles before, which know no cut. Paper: Normalizing flows on tori
    and spheres (Rezende et al., 2020), section 2.

    Args:
        bijection: The splines.
        network: A masked network over A columns of two numbers each, with the spline's parameters for each.
    """

    def __init__(self, bijection: CircularSpline, network: MaskedNetwork) -> None:
        super().__init__()
        self.bijection, self.network = bijection, network

    def described(self, angles: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Cosine and sine of angles (B, A), (2 A, B); zero where an angle is not observed."""
        both = torch.stack([torch.cos(angles), torch.sin(angles)], 2)
        if context.observed is not None:
            both = both * context.observed[:, :, None]
        return both.flatten(1).t().contiguous()

    def log_prob(self, angles: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return log-density of angles (B, A) in radians, (B,)."""
        log_derivative = self.latents(angles, context)[1] - math.log(2 * math.pi)
        if context.observed is not None:
            log_derivative = log_derivative * context.observed.t()
        return log_derivative.sum(0)

    def latents(self, angles: Tensor, context: Context = NO_CONTEXT) -> tuple[Tensor, Tensor]:
        """Return the angles (A, B) that a density of angles (B, A) makes uniform, and the log-derivatives (A, B)."""
        return self.bijection.forward(angles.t().contiguous(), self.theta(angles, context))

    def theta(self, angles: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the parameters of the splines of angles (B, A), (P, A, B)."""
        return self.network.theta(self.described(angles, context), context)

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw angles (rows, A) from -pi up to, but without, pi; zero where an angle is not observed."""
        columns = self.network.columns
        z = (2 * uniform(rows, columns, generator, self.network.last.bias).t() - 1) * math.pi
        stepper = self.network.column_by_column(rows, context)
        angles, read = torch.zeros_like(z).t().contiguous(), z.new_zeros(2 * columns, rows)
        for i in range(columns):
            theta = stepper.parameters(i, read)
            angles[:, i] = self.bijection.inverse(z[i : i + 1], theta[:, None])[0][0]
            if context.observed is not None:
                angles[:, i] *= context.observed[:, i]
            read = self.described(angles, context)
        return angles
