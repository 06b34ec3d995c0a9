"""The mixture that a fit starts from: beside scikit-learn's, and on rows that are none to speak of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from flowcli.errors import NumericsError
from flowcli.flows.gaussian_mixture import GaussianMixture as Gaussians
from flowcli.training.prepare.mixture import fit_mixture


def clusters(seed=0, rows=3_000):
    """Rows of three correlated Gaussians in three columns, far enough apart."""
    random = np.random.default_rng(seed)
    means = np.array([[0, 0, 0], [12, -9, 3], [-12, 3, 9]])[random.choice(3, rows, p=[0.5, 0.3, 0.2])]
    return torch.from_numpy(means + random.standard_normal((rows, 3)) @ random.standard_normal((3, 3)))


def test_its_density_is_that_of_its_parts():
    z = clusters()
    mixture = fit_mixture(z, 3, seed=0)
    covariances = np.linalg.inv((mixture.factors.mT @ mixture.factors).numpy())
    parts = [multivariate_normal(m, c).pdf(z) for m, c in zip(mixture.means.numpy(), covariances, strict=True)]
    expected = np.log(mixture.weights.numpy() @ np.array(parts))
    np.testing.assert_allclose(mixture.log_prob(z).numpy(), expected, rtol=1e-9)


def test_one_component_is_the_mean_and_the_covariance():
    z = clusters()
    mixture = fit_mixture(z, 1, seed=0, ridge=0.25)
    covariance = torch.linalg.inv(mixture.factors[0].T @ mixture.factors[0])
    torch.testing.assert_close(mixture.means[0], z.mean(0))
    torch.testing.assert_close(covariance, torch.cov(z.T, correction=0) + 0.25 * torch.eye(3, dtype=z.dtype))


@pytest.mark.parametrize("seed", range(5))
def test_where_clusters_are_clear_it_ends_where_scikit_learn_does(seed):
    z = clusters(seed)
    mixture = fit_mixture(z, 3, seed=seed)
    other = GaussianMixture(3, n_init=5, random_state=0).fit(z.numpy())
    assert float(mixture.log_prob(z).mean()) == pytest.approx(other.score(z.numpy()), abs=2e-3)
    order, others = mixture.weights.argsort(), other.weights_.argsort()
    np.testing.assert_allclose(mixture.weights[order], other.weights_[others], atol=0.01)
    np.testing.assert_allclose(mixture.means[order], other.means_[others], atol=0.1)


def test_without_clusters_it_is_about_as_good_as_scikit_learn():
    random = np.random.default_rng(0)
    z = random.standard_t(3, (4_000, 4)) @ random.standard_normal((4, 4))
    train, residuals = torch.from_numpy(z[:3_000]), torch.from_numpy(z[3_000:])
    ours = [float(fit_mixture(train, 8, seed=seed).log_prob(residuals).mean()) for seed in range(8)]
    theirs = [
        GaussianMixture(8, init_params="k-means++", random_state=seed).fit(train.numpy()).score(residuals.numpy())
        for seed in range(8)
    ]
    assert np.mean(ours) > np.mean(theirs) - 2 * np.hypot(np.std(ours), np.std(theirs)) / np.sqrt(8)


def test_more_iterations_are_never_less_likely():
    z = clusters()
    reached = [float(fit_mixture(z, 6, seed=1, max_iterations=n).log_prob(z).mean()) for n in range(1, 12)]
    assert all(after > before - 1e-6 for before, after in itertools.pairwise(reached))


def test_it_is_repeatable_and_another_seed_is_another_start():
    z = clusters(rows=25_000)  # more than EM sees
    one, same, other = (fit_mixture(z, 5, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.means, other.means)


@pytest.mark.parametrize(
    "z", [torch.zeros(50, 2), torch.tensor([[1.0, 2.0]] * 30 + [[3.0, -1.0]] * 20), torch.ones(1, 3)]
)
def test_few_different_rows_are_enough(z):
    mixture = fit_mixture(z, 4, seed=0, ridge=1e-3)
    assert float(mixture.weights.sum()) == pytest.approx(1)
    assert len(mixture.weights) == min(4, len(z))
    assert torch.isfinite(mixture.log_prob(z.double())).all()


@pytest.mark.parametrize("distant", [1e200, float("inf")])
def test_rows_beyond_all_measure_have_none(distant):
    z = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)).double()
    z[7, 1] = distant
    with pytest.raises(NumericsError, match="no mixture of 2 Gaussians could be fitted"):
        fit_mixture(z, 2, seed=0)


def test_a_mixture_is_three_tensors():
    mixture = fit_mixture(clusters(), 2, seed=0)
    assert isinstance(mixture, Gaussians)
    assert [tuple(part.shape) for part in mixture] == [(2,), (2, 3), (2, 3, 3)]
    assert all(part.dtype == torch.float64 for part in mixture)
