"""What every base promises: mass one, samples from its own density, finite in the tails."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from flowcli.flows import Context
from flowcli.flows.bases import AutoregressiveMixture, Mixture, Normal, StudentT
from tests.flows.cases import BASES, masked, shaken


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_one_column_integrates_to_one(name: str) -> None:
    base = shaken(BASES[name](1, 0))
    # A change of variables spreads the heavy tails of a Student t over the grid.
    u = torch.linspace(-14, 14, 200_001, dtype=torch.float64)
    z = torch.sinh(u)
    mass = torch.trapezoid(base.log_prob(z[:, None]).exp() * torch.cosh(u), u)
    assert float(mass) == pytest.approx(1.0, abs=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_two_columns_integrate_to_one(name: str) -> None:
    base = shaken(BASES[name](2, 2))
    context = Context(features=torch.full((1, 2), 0.7, dtype=torch.float64))
    u = torch.linspace(-8, 8, 801, dtype=torch.float64)
    z, weight = torch.sinh(u), torch.cosh(u)
    grid = torch.cartesian_prod(z, z)
    density = base.log_prob(grid, Context(features=context.features.expand(len(grid), 2))).exp().view(801, 801)
    mass = torch.trapezoid(torch.trapezoid(density * weight * weight[:, None], u), u)
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_samples_follow_the_density(name: str) -> None:
    base = shaken(BASES[name](1, 0))
    draws = base.sample(20_000, torch.Generator().manual_seed(1))[:, 0]
    u = torch.linspace(-14, 14, 100_001, dtype=torch.float64)
    density = base.log_prob(torch.sinh(u)[:, None]).exp() * torch.cosh(u)
    cdf = torch.cumulative_trapezoid(density, u)
    probabilities = cdf[torch.searchsorted(u, torch.asinh(draws)).clamp(1, len(cdf)) - 1]
    assert stats.kstest(probabilities.numpy(), "uniform").pvalue > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_samples_of_many_columns_have_the_expected_log_density(name: str) -> None:
    """The entropy by samples equals the entropy by an importance-weighted average under another seed."""
    base = shaken(BASES[name](4, 0), scale=0.3)
    one = base.log_prob(base.sample(20_000, torch.Generator().manual_seed(1)))
    proposal = Normal(4).double()
    z = 2.5 * proposal.sample(400_000, torch.Generator().manual_seed(2))
    log_ratio = base.log_prob(z) - (proposal.log_prob(z / 2.5) - 4 * math.log(2.5))
    mass = log_ratio.exp().mean()
    if name != "student-t":  # a normal proposal has no business under heavy tails
        error = log_ratio.exp().std() / math.sqrt(len(z))
        assert abs(float(mass - 1)) < 5 * float(error)
        other = (log_ratio.exp() * base.log_prob(z)).mean() / mass
        assert float(one.mean() - other) == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("name", BASES)
def test_finite_far_out(name: str) -> None:
    base = shaken(BASES[name](3, 0))
    z = torch.tensor([[1e9, -1e9, 1e9], [0.0, 1e30, 0.0]], dtype=torch.float64, requires_grad=True)
    log_prob = base.log_prob(z)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_a_seed_repeats(name: str) -> None:
    base = shaken(BASES[name](3, 0))
    one, two = (base.sample(10, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)


@torch.no_grad()
@pytest.mark.parametrize("degrees", [0.5, 2.5, 100.0, 1e4, 1e6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_student_t_agrees_with_scipy(degrees: float, dtype: torch.dtype, tolerance: float) -> None:
    base = StudentT(1).to(dtype)
    base.log_degrees.fill_(math.log(degrees))
    z = torch.linspace(-5, 5, 101, dtype=dtype)
    # The degrees that a float32 parameter can hold are what scipy is asked for.
    expected = torch.from_numpy(stats.t(float(base.log_degrees.double().exp())).logpdf(z.double().numpy()))
    torch.testing.assert_close(base.log_prob(z[:, None]).double(), expected, rtol=tolerance, atol=tolerance)


def _mixture_parameters(columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    means = torch.randn(3, columns, generator=generator, dtype=torch.float64)
    roots = torch.randn(3, columns, columns, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + torch.eye(columns, dtype=torch.float64)
    factors = torch.linalg.inv(torch.linalg.cholesky(covariances))
    return weights, means, covariances, factors


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mixture", "autoregressive"])
def test_both_mixtures_start_at_the_given_mixture(kind: str) -> None:
    weights, means, covariances, factors = _mixture_parameters(4)
    base = Mixture(4, 3) if kind == "mixture" else AutoregressiveMixture(4, 3, masked(4, 9, "residual", 0))
    base = base.double().eval()
    base.gaussians.set(weights, means, factors)
    z = 3 * torch.randn(100, 4, dtype=torch.float64)
    columns_seen = torch.stack(
        [
            torch.distributions.MultivariateNormal(mean, covariance).log_prob(z)
            for mean, covariance in zip(means, covariances, strict=True)
        ]
    )
    expected = torch.logsumexp(torch.log(weights)[:, None] + columns_seen, dim=0)
    torch.testing.assert_close(base.log_prob(z), expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mixture", "autoregressive"])
def test_mixture_samples_have_its_moments(kind: str) -> None:
    weights, means, covariances, factors = _mixture_parameters(3)
    base = Mixture(3, 3) if kind == "mixture" else AutoregressiveMixture(3, 3, masked(3, 9, "plain", 0))
    base = base.double().eval()
    base.gaussians.set(weights, means, factors)
    draws = base.sample(200_000, torch.Generator().manual_seed(0))
    mean = weights @ means
    offsets = means - mean
    covariance = torch.einsum("k,kij->ij", weights, covariances) + torch.einsum(
        "k,ki,kj->ij", weights, offsets, offsets
    )
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.03)
    torch.testing.assert_close(torch.cov(draws.t()), covariance, rtol=0.02, atol=0.06)
