"""Heavy tails are found where there are some, and made light by a map that is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd.functional import jacobian

from flowcli import config, training
from flowcli.encoding import Standardizer
from flowcli.encoding.tails import BEGIN, Tails
from flowcli.table import Column
from flowcli.training.prepare.tail_index import fit_pareto, tail_indices
from tests.fits import last, run, table


@pytest.mark.parametrize("index", [0.1, 0.4, 1.0])
def test_the_index_of_a_pareto_distribution(index: float) -> None:
    draws = torch.from_numpy(stats.genpareto(index).rvs(20_000, random_state=0))
    assert fit_pareto(draws).tail_index == pytest.approx(index, abs=0.04)


def indices(values: np.ndarray) -> list[float]:
    rows = torch.from_numpy(values[:, None])
    return tail_indices(Standardizer.fit([Column("x")], rows), rows)[:, 0].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_heavy_tails_are_found(seed: int) -> None:
    low, high = indices(stats.t(2.5).rvs(20_000, random_state=seed))
    assert low == high == pytest.approx(0.4, abs=0.14)  # four standard errors, and what 5% of the rows are short of
    body, tail = np.random.default_rng(seed).normal(size=9_000), stats.pareto(2).rvs(900, random_state=seed)
    low, high = indices(np.concatenate([body, tail]))
    assert low == 0
    assert high > 0.2


def test_a_long_side_beside_a_heavy_one_is_made_shorter() -> None:
    random = np.random.default_rng(0)
    heavy, exponential = stats.genpareto(0.5).rvs(10_000, random_state=1), 2 * random.exponential(size=10_000)
    low, high = indices(np.concatenate([-heavy, exponential]))
    assert low > 0.2
    assert 0 < high < 0.1
    low, high = indices(np.concatenate([-heavy, np.abs(random.normal(size=10_000))]))
    assert high == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distribution", [stats.norm(), stats.uniform(), stats.logistic(), stats.gamma(2)])
def test_light_tails_are_left_alone(distribution: stats.rv_continuous, seed: int) -> None:
    assert indices(distribution.rvs(20_000, random_state=seed)) == [0, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rows", "share"), [(2_000, 0.01), (10_000, 0.01), (10_000, 0.03), (50_000, 0.002)])
def test_a_small_cluster_far_out_is_no_heavy_tail(rows: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=rows)
    values[: int(share * rows)] = random.normal(8, 1, int(share * rows))
    assert indices(values) == [0.0, 0.0]


def test_the_map_of_tails_is_exact() -> None:
    tails = Tails(torch.tensor([[0.0, 0.4, 1.0], [0.4, 0.0, 2.0]], dtype=torch.float64))
    distant = torch.cat([torch.linspace(-8, 8, 161), torch.logspace(1, 12, 30), -torch.logspace(1, 12, 30)]).double()
    x = distant[:, None].expand(-1, 3).contiguous()
    z, log_derivative = tails.forward(x)
    torch.testing.assert_close(tails.inverse(z), x, rtol=1e-8, atol=1e-9)
    middle = x.abs() <= BEGIN
    assert torch.equal(z[middle], x[middle])
    for row, expected in list(zip(x, log_derivative, strict=True))[::9]:
        slopes = jacobian(lambda each: tails.forward(each[None])[0][0], row).diagonal()
        torch.testing.assert_close(slopes.log(), expected, rtol=1e-8, atol=1e-8)
    close = torch.tensor([[BEGIN + 1e-9] * 3, [-BEGIN - 1e-9] * 3], dtype=torch.float64)
    torch.testing.assert_close(tails.forward(close)[1], torch.zeros(2, 3).double(), rtol=0, atol=1e-7)


def test_a_power_law_becomes_a_normal() -> None:
    draws = torch.from_numpy(stats.genpareto(0.4, scale=0.5).rvs(100_000, random_state=1)) + BEGIN
    z = Tails(torch.tensor([[0.0], [0.4]], dtype=torch.float64)).forward(draws[:, None])[0][:, 0]
    expected = -stats.norm.ppf(stats.norm.sf(BEGIN) * (1 - np.array([0.5, 0.9, 0.999])))
    result = np.quantile(z.numpy(), [0.5, 0.9, 0.999])
    np.testing.assert_allclose(result, expected, atol=0.06)


def test_a_density_of_heavy_tails_integrates_to_one_and_reaches_far() -> None:
    values = stats.t(2.5).rvs((3000, 1), random_state=2)
    request = config.load("auto", ["train.epochs=4", "train.batch_size=64"])
    density = last(run(training.prepare_fit(table(values), request, notice=lambda _: None)))
    assert density.coordinates.tails is not None
    u = np.linspace(-25, 25, 40_001)
    x = np.sinh(u)
    mass = np.trapezoid(np.exp(density.log_prob(x[:, None], double=True)) * np.cosh(u), u)
    assert mass == pytest.approx(1.0, abs=1e-4)
    distant = np.array([[1e3], [1e6], [-1e9], [1e12]])
    nats = density.log_prob(distant)
    assert np.isfinite(nats).all()
    # A power law loses a constant for each factor; a normal's tail would lose millions.
    assert -(nats[1] - nats[0]) / math.log(1e3) == pytest.approx(3.5, abs=1.5)
