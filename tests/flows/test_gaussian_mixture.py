"""Marginals and conditionals of Gaussians by pattern of observed columns, beside the textbook's formulas."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from flowcli.flows import gaussian_mixture
from flowcli.flows.gaussian_mixture import (
    GaussianMixture,
    Marginals,
    Patterns,
    covariances_of,
    expectation_maximisation,
    inverse_factors,
    marginals_by_block,
    multiply_by_own,
)

COLUMNS, COMPONENTS, ROWS = 5, 3, 120


def mixture() -> GaussianMixture:
    generator = torch.Generator().manual_seed(1)
    roots = torch.randn(COMPONENTS, COLUMNS, COLUMNS, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.1 * torch.eye(COLUMNS, dtype=torch.float64)
    means = torch.randn(COMPONENTS, COLUMNS, generator=generator, dtype=torch.float64)
    return GaussianMixture(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), means, covariances)


def rows() -> tuple[Tensor, Tensor]:
    """Rows, and what is observed of them: frequent patterns and rare ones, all columns and none among them."""
    generator = torch.Generator().manual_seed(2)
    observed = torch.rand(ROWS, COLUMNS, generator=generator) > 0.4
    observed[::3], observed[1::4], observed[7] = True, torch.tensor([True, False, False, True, True]), False
    return torch.randn(ROWS, COLUMNS, generator=generator, dtype=torch.float64), observed


@pytest.mark.parametrize("block", [1, 64, 2**18])
def test_each_row_has_the_density_of_its_observed_cells(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(gaussian_mixture, "BLOCK", block)
    (weights, means, covariances), (z, observed) = mixture(), rows()
    found = mixture().log_normals(z, observed)
    for b, seen in enumerate(observed):
        for k in range(COMPONENTS):
            gaussian = MultivariateNormal(means[k, seen], covariances[k][seen][:, seen]) if seen.any() else None
            expected = gaussian.log_prob(z[b, seen]) if gaussian else torch.zeros((), dtype=torch.float64)
            torch.testing.assert_close(found[k, b], expected, rtol=1e-11, atol=1e-11)
    joint = torch.logsumexp(weights.log()[:, None] + found, 0)
    torch.testing.assert_close(mixture().log_prob(z, observed), joint)
    torch.testing.assert_close(mixture().log_prob(z), mixture().log_prob(z, torch.ones_like(observed)))


def test_conditionals_are_those_of_a_partitioned_gaussian() -> None:
    (_, means, covariances), (z, observed) = mixture(), rows()
    patterns = Patterns.of(observed)
    marginals = Marginals.of(covariances, patterns)
    e = marginals.residuals(means, z.t())
    completed, left_over = marginals.conditionals(means, covariances, z.t(), e)
    for b, seen in enumerate(observed):
        for k in range(COMPONENTS):
            regression = covariances[k][~seen][:, seen] @ torch.linalg.inv(covariances[k][seen][:, seen])
            mean, own = z[b].clone(), torch.zeros_like(covariances[k])
            mean[~seen] = means[k, ~seen] + regression @ (z[b, seen] - means[k, seen])
            schur = covariances[k][~seen][:, ~seen] - regression @ covariances[k][seen][:, ~seen]
            own[(~seen)[:, None] & ~seen] = schur.flatten()
            torch.testing.assert_close(completed[k, :, b], mean, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(left_over[patterns.own[b], k], own, rtol=1e-10, atol=1e-10)


def test_blocks_hold_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_mixture, "BLOCK", 10 * COLUMNS * COMPONENTS)
    observed = rows()[1]
    blocks = list(marginals_by_block(mixture().covariances, Patterns.of(observed)))
    assert max(len(numbers) for numbers, _ in blocks) == 10
    assert torch.cat([numbers for numbers, _ in blocks]).sort().values.tolist() == list(range(ROWS))
    for numbers, marginals in blocks:
        assert torch.equal(marginals.patterns.observed[marginals.patterns.own], observed[numbers])


@pytest.mark.parametrize("columns", [0, 2])
@pytest.mark.parametrize("count", [0, 4])
def test_no_rows_and_no_columns_are_no_trouble(columns: int, count: int) -> None:
    covariances = torch.eye(columns, dtype=torch.float64).expand(3, -1, -1)
    empty = GaussianMixture(torch.ones(3) / 3, torch.zeros(3, columns, dtype=torch.float64), covariances)
    found = empty.log_normals(torch.zeros(count, columns, dtype=torch.float64))
    assert found.shape == (3, count)
    torch.testing.assert_close(found, torch.full_like(found, -columns * gaussian_mixture.LOG_SQRT_2PI))


def test_factors_and_covariances_are_inverses_and_what_has_none_is_not_a_number() -> None:
    covariances = mixture().covariances
    torch.testing.assert_close(covariances_of(inverse_factors(covariances)), covariances, rtol=1e-10, atol=1e-10)
    covariances[1] = -covariances[1]
    assert inverse_factors(covariances).isnan().flatten(1).any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_products_by_pattern_have_the_values_and_gradients_of_those_row_by_row(count: int) -> None:
    generator = torch.Generator().manual_seed(3)
    own = torch.randint(count, (ROWS,), generator=generator)
    shapes = (count, COMPONENTS, 2, COLUMNS), (COMPONENTS, COLUMNS, ROWS)
    inputs = [torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]
    found, expected = (
        multiply_by_own(inputs[0], own, inputs[1]),
        torch.einsum("bkij,kjb->kib", inputs[0][own], inputs[1]),
    )
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(out.square().sum(), inputs) for out in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_em_stops_at_the_first_iteration_that_gains_less() -> None:
    """The components are two fixed coins; what is fitted is how often each is thrown."""
    heads = torch.tensor([1.0, 1, 1, 0, 1, 0, 1, 1], dtype=torch.float64)
    log_coins = torch.where(heads > 0, torch.tensor([[0.9], [0.2]]).log(), torch.tensor([[0.1], [0.8]]).log()).double()
    seen: list[float] = []

    def expect(log_weights: Tensor) -> Tensor:
        log_joint = log_weights[:, None] + log_coins
        seen.append(float(torch.logsumexp(log_joint, 0).mean()))
        return log_joint

    start = torch.full((2, 8), 0.5, dtype=torch.float64)
    log_weights, reached = expectation_maximisation(
        start, lambda shares: shares.mean(1).log(), expect, max_iterations=500, least_gain=1e-9
    )
    gains = [after - before for before, after in itertools.pairwise(seen)]
    assert seen[-1] == reached
    assert all(gain >= 1e-9 for gain in gains[:-1])
    assert gains[-1] < 1e-9
    assert float(log_weights.exp()[0]) == pytest.approx((6 / 8 - 0.2) / 0.7, abs=1e-3)  # makes heads as likely as seen
    one = expectation_maximisation(start, lambda shares: shares.mean(1).log(), expect, max_iterations=1, least_gain=0.0)
    torch.testing.assert_close(one[0], torch.full((2,), 0.5, dtype=torch.float64).log())
