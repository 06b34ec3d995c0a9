"""A mixture of Gaussians by expectation maximisation: where a mixture base starts."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowcli.errors import NumericsError

LARGEST_SAMPLE = 20_000  # rows that EM sees; more changed the start by less than a fit's first second


class FittedMixture(NamedTuple):
    """Weights (K,), means (K, D) and inverse Cholesky factors (K, D, D), float64."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of rows (B, D), (B,)."""
        e = torch.einsum("kij,bkj->bki", self.factors, z[:, None] - self.means)
        log_diagonal = torch.log(torch.diagonal(self.factors, dim1=1, dim2=2)).sum(-1)
        constant = 0.5 * z.shape[1] * np.log(2 * np.pi)
        log_normals = log_diagonal - 0.5 * e.square().sum(-1) - constant
        return torch.logsumexp(self.weights.log() + log_normals, dim=1)


def fit_mixture(
    z: Tensor, components: int, *, seed: int, ridge: float = 1e-6, max_iterations: int = 100
) -> FittedMixture:
    """Fit a mixture of full-covariance Gaussians by EM (scikit-learn).

    Args:
        z: Rows (N, D) of about unit scale.
        components: K; fewer are used where there are not enough rows.
        seed: Of the start.
        ridge: What is added to the diagonals of the covariances.
        max_iterations: EM stops there, converged or not: it is a start, not an answer.

    Raises:
        NumericsError: The rows have no such mixture, because some are too far from the others.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    sample = z.double().cpu().numpy()
    if len(sample) > LARGEST_SAMPLE:
        sample = sample[np.random.default_rng([seed, 4]).choice(len(sample), LARGEST_SAMPLE, replace=False)]
    model = GaussianMixture(
        min(components, len(sample)),
        covariance_type="full",
        reg_covar=ridge,
        max_iter=max_iterations,
        init_params="k-means++",  # unlike k-means, the same to the bit on every run
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model.fit(sample)
        except ValueError as error:
            raise NumericsError(f"no mixture of {components} Gaussians could be fitted: {error}") from error
    # scikit-learn keeps the transposed factors: its residuals are (x - m) U with U upper triangular.
    weights, means, upper = (
        torch.from_numpy(np.asarray(part)) for part in (model.weights_, model.means_, model.precisions_cholesky_)
    )
    return FittedMixture(weights.clamp_min(1e-12), means, upper.mT.contiguous())
