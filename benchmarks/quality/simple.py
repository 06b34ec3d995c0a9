"""Densities without a flow: one Gaussian, a mixture by BIC, a kernel density by cross-validation (scikit-learn)."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from benchmarks.quality.run import Budget, Clock, Numbers, Run, Standard

COMPONENTS = (1, 2, 4, 8, 16, 32)
RIDGES = (1e-6, 1e-3)
BANDWIDTHS = np.geomspace(0.03, 1.5, 16)
MOST_ROWS_OF_KERNELS = 20_000  # whose sum each density is; more would take hours
ROWS_TO_CHOOSE = 4_000  # the bandwidth with


def gaussian(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """One Gaussian with a full covariance."""
    return _fitted(train, test, lambda unit: (GaussianMixture(1, random_state=seed).fit(unit), ""))


def mixture(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """A Gaussian mixture with full covariances: components and ridge by BIC, three starts each."""

    def fit(unit: Numbers) -> tuple[GaussianMixture, str]:
        found = []
        for components in COMPONENTS:
            if components > len(unit) // 4:
                break
            for ridge in RIDGES:
                model = GaussianMixture(components, n_init=3, max_iter=300, random_state=seed, reg_covar=ridge)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    found.append(model.fit(unit))
        best = min(found, key=lambda model: model.bic(unit))
        return best, f"{best.n_components} components"

    return _fitted(train, test, fit)


def kernels(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """A Gaussian kernel density, its bandwidth by five-fold cross-validation."""

    def fit(unit: Numbers) -> tuple[KernelDensity, str]:
        order = np.random.default_rng(seed).permutation(len(unit))
        unit = unit[order[:MOST_ROWS_OF_KERNELS]]
        search = GridSearchCV(KernelDensity(rtol=1e-4), {"bandwidth": BANDWIDTHS}, cv=5, refit=False)
        search.fit(unit[:ROWS_TO_CHOOSE])
        # Of more rows, each kernel covers less (Scott, 1992).
        shrunk = (min(len(unit), ROWS_TO_CHOOSE) / len(unit)) ** (1 / (unit.shape[1] + 4))
        bandwidth = search.best_params_["bandwidth"] * shrunk
        return KernelDensity(bandwidth=bandwidth, rtol=1e-4).fit(unit), f"bandwidth {bandwidth:.2g}"

    return _fitted(train, test, fit)


def _fitted(
    train: Numbers, test: Numbers, fit: Callable[[Numbers], tuple[GaussianMixture | KernelDensity, str]]
) -> Run:
    clock = Clock()
    standard = Standard(train)
    model, note = fit(standard(train))
    seconds = clock.seconds
    log_prob = model.score_samples(standard(test)) + standard.log_det
    return Run(log_prob, seconds, [(seconds, float(log_prob.mean()))], note)
