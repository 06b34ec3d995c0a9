"""Bijections of one coordinate: what cannot be seen through a layer, and agreement with zuko."""

from __future__ import annotations

import math

import pytest
import torch
import zuko

from flowcli.flows.bijections import Affine, CircularSpline, MixtureCdf, Spline
from tests.flows.cases import BIJECTIONS, CIRCULAR


def theta_for(parameters: int, count: int, scale: float = 1.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(parameters)
    return scale * torch.randn(parameters, count, generator=generator, dtype=torch.float64)


def test_affine_agrees_with_zuko() -> None:
    theta, x = theta_for(2, 100), torch.linspace(-9, 9, 100, dtype=torch.float64)
    oracle = zuko.transforms.MonotonicAffineTransform(theta[0], theta[1], slope=math.exp(-5.0))
    z, log_derivative = Affine(bound=5.0).forward(x, theta)
    torch.testing.assert_close(z, oracle(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_derivative, oracle.log_abs_det_jacobian(x, z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bins", [2, 8])
def test_spline_agrees_with_zuko(bins: int) -> None:
    spline = Spline(bins=bins, bound=3.0)
    theta, x = theta_for(spline.parameters, 400), torch.linspace(-4, 4, 400, dtype=torch.float64)
    widths, heights, slopes = (part.t() for part in theta.split([bins, bins, bins - 1]))
    oracle = zuko.transforms.MonotonicRQSTransform(widths, heights, slopes, bound=3.0, slope=1e-3)
    z, log_derivative = spline.forward(x, theta)
    torch.testing.assert_close(z, oracle(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_derivative, oracle.log_abs_det_jacobian(x, z), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(spline.inverse(z, theta)[0], oracle.inv(z), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("name", [*BIJECTIONS, *CIRCULAR])
def test_round_trip_with_wild_parameters(name: str, scale: float) -> None:
    bijection = {**BIJECTIONS, **CIRCULAR}[name]()
    theta = theta_for(bijection.parameters, 2000, scale)
    x = torch.linspace(-3.1, 3.1, 2000, dtype=torch.float64)
    z, log_derivative = bijection.forward(x, theta)
    back, inverse_log_derivative = bijection.inverse(z, theta)
    # What rounding of z does to x is bounded by the slope of the inverse.
    allowed = 1e-9 + 1e-12 * torch.exp(inverse_log_derivative)
    assert z.isfinite().all()
    assert log_derivative.isfinite().all()
    assert ((back - x).abs() <= allowed * 10).all()
    ratio = (inverse_log_derivative + log_derivative).abs()
    assert (ratio[(back - x).abs() < 1e-12] < 1e-6).all()


@pytest.mark.parametrize("name", BIJECTIONS)
def test_strictly_increasing(name: str) -> None:
    bijection = BIJECTIONS[name]()
    theta = theta_for(bijection.parameters, 1, 2.0)
    z, _ = bijection.forward(torch.linspace(-8, 8, 5001, dtype=torch.float64), theta)
    assert (z.diff() > 0).all()


def test_circular_spline_maps_the_circle_onto_itself() -> None:
    spline = CircularSpline(bins=6)
    theta = theta_for(spline.parameters, 1)
    x = torch.linspace(-math.pi, math.pi, 20001, dtype=torch.float64)[:-1]
    z, log_derivative = spline.forward(x, theta)
    assert (z >= -math.pi).all()
    assert (z < math.pi).all()
    mass = log_derivative.exp().mean()
    assert mass == pytest.approx(1.0, abs=1e-6)
    turned, same = spline.forward(x + 2 * math.pi, theta)
    torch.testing.assert_close(turned, z, rtol=0, atol=1e-9)
    torch.testing.assert_close(same, log_derivative, rtol=0, atol=1e-9)
    # The two ends are one point, so the slope is the same on both sides of it.
    assert log_derivative[0] == pytest.approx(float(log_derivative[-1]), abs=1e-2)


def test_circular_spline_starts_at_the_identity() -> None:
    spline = CircularSpline(bins=4)
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    z, log_derivative = spline.forward(x, torch.zeros(spline.parameters, 1, dtype=torch.float64))
    torch.testing.assert_close(z, x)
    torch.testing.assert_close(log_derivative, torch.zeros_like(x), rtol=0, atol=1e-12)


def test_mixture_cdf_is_the_logit_of_a_mixture() -> None:
    mixture = MixtureCdf(components=3)
    theta = theta_for(9, 1)
    log_weights, locations, log_scales, _ = mixture.components_at(theta)
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    cdf = (log_weights.exp() * torch.sigmoid((x - locations) / log_scales.exp())).sum(0)
    torch.testing.assert_close(mixture.forward(x, theta)[0], torch.logit(cdf), rtol=1e-9, atol=1e-9)


def test_mixture_cdf_components_part_from_equal_start() -> None:
    mixture = MixtureCdf(components=4)
    theta = torch.zeros(12, 1, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.3, -2.0, 2.4], dtype=torch.float64)
    z, log_derivative = mixture.forward(x, theta)
    (z.square().sum() / 2 - log_derivative.sum()).backward()
    assert theta.grad is not None
    for plane in (slice(4, 8), slice(8, 12)):
        assert theta.grad[plane, 0].unique().numel() == 4


@pytest.mark.parametrize("name", BIJECTIONS)
def test_gradient_agrees_with_finite_differences(name: str) -> None:
    bijection = BIJECTIONS[name]()
    theta = theta_for(bijection.parameters, 7, 0.7).requires_grad_()
    x = torch.tensor([-6.0, -2.2, -0.4, 0.1, 1.3, 2.9, 5.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, theta: bijection.forward(x, theta), (x, theta))
