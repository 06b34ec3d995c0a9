"""A density of our own, near to that under test, whose numbers owe nothing to it but a sample."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import t as student

from flowcli.evaluation.check.line_maps import Line, Rows
from flowcli.random import Stream, numpy_generator
from flowcli.table.schema import Column

Flags = NDArray[np.bool_]

FIT_ROWS = 20_000
COMPONENTS = (32, 48, 8)  # where columns are up to 4, up to 16, and more
WIDENED = 1.15  # covariances, so that tails are not the lighter ones
RIDGE = 1e-4
SHARE_WIDE, WIDE, DEGREES = 0.1, 1.5, 4.0  # independent Student t's beside the mixture, for what it leaves out


@dataclass(frozen=True)
class Proposal:
    """Numbers of several columns, of which some may not be there, given features.

    Each column is made near-normal (``Line``), what features say linearly is taken away, and what is left is a mixture
    of Gaussians with a few wide Student t's. Of columns that are not observed it is marginalised exactly.

    Attributes:
        lines: Of the columns, (D,).
        slopes: What the features, the last of them one, say of each column, (F + 1, D).
        weights: Of the Gaussians, (K,).
        means: (K, D).
        covariances: (K, D, D).
    """

    lines: Sequence[Line]
    slopes: Rows
    weights: Rows
    means: Rows
    covariances: Rows

    @classmethod
    def fit(cls, columns: Sequence[Column], x: Rows, features: Rows, seed: int) -> Proposal:
        """Fit to a sample of numbers (N, D), NaN where one is not observed, with features (N, F)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        random = numpy_generator(seed, Stream.CHECK_PROPOSAL)
        lines = [Line.fit(column, x[:, index]) for index, column in enumerate(columns)]
        n = np.column_stack([line.forward(x[:, index])[0] for index, line in enumerate(lines)])
        design = np.column_stack([features, np.ones(len(n))])
        slopes = np.zeros((design.shape[1], len(lines)))
        for index in range(len(lines)):
            own = np.isfinite(n[:, index])
            if own.any():
                a = design[own]
                penalty = RIDGE * len(a) * np.eye(a.shape[1])
                slopes[:, index] = np.linalg.solve(a.T @ a + penalty, a.T @ n[own, index])
        left = n - design @ slopes
        for column in left.T:  # what is not observed takes the place of another row's, and says nothing new
            absent = ~np.isfinite(column)
            if absent.all():
                column[:] = random.normal(size=len(column))
            else:
                column[absent] = random.choice(column[~absent], absent.sum())
        left = left[:FIT_ROWS]
        count = COMPONENTS[0 if len(lines) <= 4 else 1 if len(lines) <= 16 else 2]
        mixture = GaussianMixture(
            max(1, min(count, len(left) // (10 * (len(lines) + 1)))),
            reg_covar=RIDGE,
            max_iter=60,
            init_params="k-means++",
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near is near enough
            mixture.fit(left)
        return cls(lines, slopes, mixture.weights_, mixture.means_, WIDENED * mixture.covariances_)

    def sample(self, observed: Flags, features: Rows, random: np.random.Generator) -> Rows:
        """Draw numbers (B, D), NaN where they are not observed, given features (B, F)."""
        rows, columns = observed.shape
        chosen = random.choice(len(self.weights), size=rows, p=self.weights / self.weights.sum())
        roots = np.linalg.cholesky(self.covariances)
        left = self.means[chosen] + np.einsum("bij,bj->bi", roots[chosen], random.normal(size=(rows, columns)))
        wide = np.flatnonzero(random.random(rows) < SHARE_WIDE)
        left[wide] = WIDE * random.standard_t(DEGREES, size=(len(wide), columns))
        n = left + self._expected(features)
        x = np.column_stack([line.inverse(n[:, index]) for index, line in enumerate(self.lines)])
        return np.where(observed, x, np.nan)

    def log_prob(self, x: Rows, features: Rows) -> Rows:
        """Return the log-density (B,) of numbers (B, D), NaN where they are not observed, given features (B, F)."""
        both = [line.forward(x[:, index]) for index, line in enumerate(self.lines)]
        n, log_derivative = (np.column_stack(part) for part in zip(*both, strict=True))
        left = n - self._expected(features)
        out: Rows = np.where(np.isnan(x), 0.0, log_derivative).sum(1)
        for own, rows in _patterns(~np.isnan(x)):
            out[rows] += self._marginal(left[np.ix_(rows, own)], own)
        return out

    def _marginal(self, left: Rows, own: NDArray[np.intp]) -> Rows:
        """Return the log-density of what is left (B, D') in some columns."""
        if not len(own):
            return np.zeros(len(left))
        parts = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance[np.ix_(own, own)])
            e = np.linalg.solve(root, (left - mean[own]).T)
            constant = 0.5 * len(own) * math.log(2 * math.pi) + np.log(np.diagonal(root)).sum()
            parts.append(math.log(weight * (1 - SHARE_WIDE) + 1e-300) - 0.5 * np.square(e).sum(0) - constant)
        wide = student.logpdf(left / WIDE, DEGREES).sum(1) - len(own) * math.log(WIDE)
        return np.asarray(logsumexp([*parts, wide + math.log(SHARE_WIDE)], axis=0))

    def _expected(self, features: Rows) -> Rows:
        return np.asarray(np.column_stack([features, np.ones(len(features))]) @ self.slopes)


def _patterns(observed: Flags) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each pattern of what is observed, its columns and its rows."""
    patterns, owner = np.unique(observed, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(pattern), np.flatnonzero(owner.reshape(-1) == number)
