"""Columns that are not there: left out by every layer and base, exactly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.autograd.functional import jacobian

from flowcli.flows import Context
from flowcli.flows.bases import AutoregressiveMixture, Mixture
from tests.flows.cases import BASES, MIXING, TRANSFORMS, masked, shaken

APART = {**TRANSFORMS, **MIXING}
OBSERVED = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.float64)


def rows(count: int = 60) -> tuple[torch.Tensor, Context]:
    generator = torch.Generator().manual_seed(3)
    observed = OBSERVED.repeat(count // len(OBSERVED), 1)
    x = 2 * torch.randn(count, 4, generator=generator, dtype=torch.float64) * observed
    given = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return x, Context(given, observed)


@torch.no_grad()
@pytest.mark.parametrize("name", APART)
def test_what_is_not_there_stays_zero_and_comes_back(name: str) -> None:
    layer = shaken(APART[name](4, 2))
    x, half = rows()
    z, log_det = layer(x, half)
    assert (z[layer.output_context(half).observed == 0] == 0).all()
    back, inverse_log_det = layer.inverse(z, half)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", APART)
def test_log_det_is_that_of_the_columns_that_are_there(name: str) -> None:
    layer = shaken(APART[name](4, 2))
    x, half = rows()
    _, log_det = layer(x, half)
    for i in range(len(OBSERVED)):
        own = half.select(torch.tensor([i]))
        into, out = (context.observed[0] > 0 for context in (own, layer.output_context(own)))
        matrix = jacobian(lambda row, own=own: layer(row[None], own)[0][0], x[i])[out][:, into]
        expected = torch.linalg.slogdet(matrix)[1] if len(matrix) else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(log_det[i], expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_each_pattern_integrates_to_one(name: str) -> None:
    base = shaken(BASES[name](2, 2))
    u = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    z, weight = torch.sinh(u), torch.cosh(u)
    for index in range(2):
        x, observed = torch.zeros(len(z), 2, dtype=torch.float64), torch.zeros(len(z), 2, dtype=torch.float64)
        x[:, index], observed[:, index] = z, 1.0
        half = Context(torch.full((len(z), 2), 0.4, dtype=torch.float64), observed)
        assert float(torch.trapezoid(base.log_prob(x, half).exp() * weight, u)) == pytest.approx(1.0, abs=1e-4)
    nothing = Context(torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    assert float(base.log_prob(torch.zeros(1, 2, dtype=torch.float64), nothing)) == pytest.approx(0.0, abs=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_rows_that_are_whole_do_not_notice(name: str) -> None:
    base = shaken(BASES[name](4, 2))
    x, half = rows()
    whole = (half.observed > 0).all(1)
    expected = base.log_prob(x[whole], Context(half.features[whole]))
    torch.testing.assert_close(base.log_prob(x, half)[whole], expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mixture", "autoregressive"])
def test_mixtures_are_marginalised_exactly(kind: str) -> None:
    generator = torch.Generator().manual_seed(4)
    roots = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.1 * torch.eye(4, dtype=torch.float64)
    means = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    gate = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    base = Mixture(4, 3, 2) if kind == "mixture" else AutoregressiveMixture(4, 3, masked(4, 9, "residual", 2), 2)
    base = base.double().eval()
    base.gaussians.set(weights, means, torch.linalg.inv(torch.linalg.cholesky(covariances)), gate)
    x, half = rows()
    found = base.log_prob(x, half)
    for i in range(len(x)):
        seen = half.observed[i] > 0
        log_weights = torch.log_softmax(weights.log() + gate @ half.features[i], 0)
        columns_seen = [
            torch.distributions.MultivariateNormal(mean[seen], covariance[seen][:, seen]).log_prob(x[i, seen])
            if seen.any()
            else torch.zeros((), dtype=torch.float64)
            for mean, covariance in zip(means, covariances, strict=True)
        ]
        torch.testing.assert_close(found[i], torch.logsumexp(log_weights + torch.stack(columns_seen), 0))


def test_both_ways_through_the_conditionals_have_the_same_gradient() -> None:
    """Rows that are whole go through a kernel whose gradient is written out; the others are left to autograd."""
    base = shaken(BASES["autoregressive-mixture"](4, 2))
    x, half = rows()
    x = torch.randn_like(x)
    whole = Context(half.features, torch.ones_like(x))
    parameters = [p for p in base.parameters() if p.requires_grad]
    fast = torch.autograd.grad(base.log_prob(x, Context(half.features)).sum(), parameters)
    slow = torch.autograd.grad(base._partial(base.gaussians.centred(x, whole), whole).sum(), parameters)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("name", BASES)
def test_draws_follow_the_density_of_what_is_there(name: str) -> None:
    """Of two columns the first or the second, of which the distribution is known from the density itself."""
    base = shaken(BASES[name](2, 2))
    for index in range(2):
        observed = torch.zeros(40_000, 2, dtype=torch.float64)
        observed[:, index] = 1.0
        given = torch.full((40_000, 2), 0.4, dtype=torch.float64)
        draws = base.sample(40_000, torch.Generator().manual_seed(5), Context(given, observed))
        assert (draws[:, 1 - index] == 0).all()
        u = torch.linspace(-14, 14, 20_001, dtype=torch.float64)
        z = torch.zeros(len(u), 2, dtype=torch.float64)
        z[:, index] = torch.sinh(u)
        half = Context(given[:1].expand(len(u), 2), observed[:1].expand(len(u), 2))
        cdf = torch.cumulative_trapezoid(base.log_prob(z, half).exp() * torch.cosh(u), u)
        shares = cdf[torch.searchsorted(u, torch.asinh(draws[:, index])).clamp(1, len(cdf)) - 1].sort().values
        even = (torch.arange(len(shares), dtype=torch.float64) + 0.5) / len(shares)
        assert float((shares - even).abs().max()) < 0.012, name


@torch.no_grad()
def test_a_far_narrow_component_costs_no_digits() -> None:
    """Its squares are in the millions; what the columns before said must not be rounded away beside them."""
    generator = torch.Generator().manual_seed(7)
    base = AutoregressiveMixture(6, 2, masked(6, 6, "residual", 0)).eval()
    round_, own = torch.eye(6, dtype=torch.float64), torch.ones(6, 6, dtype=torch.float64)
    factors = torch.stack([torch.linalg.inv(torch.linalg.cholesky(c)) for c in (own + 1e-8 * round_, 4 * round_)])
    base.gaussians.set(torch.tensor([0.5, 0.5]), torch.zeros(2, 6), factors.float())
    x = 2 * torch.randn(400, 6, generator=generator)
    x[::2] = x[::2, :1]
    observed = torch.ones_like(x)
    observed[:, 0] = 0
    half = Context(observed=observed)
    exact = copy.deepcopy(base).double().log_prob(x.double() * observed, half.to(x.double()))
    assert float((base.log_prob(x * observed, half) - exact).abs().max()) < 2e-3
