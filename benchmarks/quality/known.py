"""Real-valued tables whose density is known, as rows and as log-densities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.tables.synthetic import KNOWN as MIXED
from benchmarks.tables.synthetic import Known

Numbers = NDArray[np.float64]


def _frame(values: Numbers) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])


# --- a funnel: the first column sets the scale of the others (Neal, 2003) ---------------------------------------------


def _funnel_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    neck = 1.5 * random.normal(size=(rows, 1))
    return _frame(np.concatenate([neck, np.exp(neck / 2) * random.normal(size=(rows, 9))], axis=1))


def _funnel_log_prob(frame: pd.DataFrame) -> Numbers:
    x = frame.to_numpy()
    return stats.norm.logpdf(x[:, 0], 0, 1.5) + stats.norm.logpdf(x[:, 1:], 0, np.exp(x[:, :1] / 2)).sum(axis=1)


# --- two rings --------------------------------------------------------------------------------------------------------

RADII, WIDTH = np.array([1.0, 2.5]), 0.12


def _rings_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    radius = np.abs(RADII[random.integers(2, size=rows)] + WIDTH * random.normal(size=rows))
    angle = random.uniform(0, 2 * np.pi, rows)
    return _frame(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]))


def _rings_log_prob(frame: pd.DataFrame) -> Numbers:
    radius = np.hypot(frame["x0"], frame["x1"]).to_numpy()
    # A normal of the radius, folded at zero, where it has no mass that a float64 would show.
    own = np.log(stats.norm.pdf(radius[:, None], RADII, WIDTH).mean(axis=1))
    return np.asarray(own - np.log(2 * np.pi * radius))


# --- a checkerboard ---------------------------------------------------------------------------------------------------

BOARD = 4  # squares to a side


def _board_sample(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    row = random.integers(BOARD, size=rows)
    column = 2 * random.integers(BOARD // 2, size=rows) + row % 2
    return _frame(np.column_stack([column, row]) + random.random((rows, 2)))


def _board_log_prob(frame: pd.DataFrame) -> Numbers:
    return np.full(len(frame), -np.log(BOARD**2 / 2))


# --- mixtures with full covariances -----------------------------------------------------------------------------------


def _mixture(columns: int, components: int) -> Known:
    random = np.random.default_rng(columns)
    weights = random.dirichlet(np.full(components, 3.0))
    means = 3.0 * random.normal(size=(components, columns))
    roots = [0.4 * random.normal(size=(columns, columns)) + 0.5 * np.eye(columns) for _ in range(components)]
    parts = [stats.multivariate_normal(mean, root @ root.T) for mean, root in zip(means, roots, strict=True)]

    def sample(rows: int, seed: int) -> pd.DataFrame:
        own = np.random.default_rng(seed)
        component = own.choice(components, rows, p=weights)
        noise = own.normal(size=(rows, columns))
        return _frame(means[component] + np.einsum("nij,nj->ni", np.array(roots)[component], noise))

    def log_prob(frame: pd.DataFrame) -> Numbers:
        each = np.column_stack([part.logpdf(frame.to_numpy()) for part in parts])
        return np.asarray(np.logaddexp.reduce(each + np.log(weights), axis=1))

    return Known(sample, log_prob)


# --- a chain: each column is a bent function of the one before it -----------------------------------------------------

LINKS = 64


def _link(before: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and scale of a column given the one before it."""
    return 1.2 * np.sin(1.5 * before), 0.3 + 0.25 / (1 + np.exp(-2 * before))


def _chain_sample(rows: int, seed: int) -> pd.DataFrame:
    noise = np.random.default_rng(seed).normal(size=(rows, LINKS))
    x = np.empty_like(noise)
    x[:, 0] = noise[:, 0]
    for i in range(1, LINKS):
        mean, scale = _link(x[:, i - 1])
        x[:, i] = mean + scale * noise[:, i]
    order = np.random.default_rng(LINKS).permutation(LINKS)  # nobody tells a tool the order
    return _frame(x[:, order])


def _chain_log_prob(frame: pd.DataFrame) -> Numbers:
    order = np.random.default_rng(LINKS).permutation(LINKS)
    x = np.empty(frame.shape)
    x[:, order] = frame.to_numpy()
    mean, scale = _link(x[:, :-1])
    return np.asarray(stats.norm.logpdf(x[:, 0]) + stats.norm.logpdf(x[:, 1:], mean, scale).sum(axis=1))


KNOWN = {
    "funnel": Known(_funnel_sample, _funnel_log_prob),
    "rings": Known(_rings_sample, _rings_log_prob),
    "checkerboard": Known(_board_sample, _board_log_prob),
    "mixture, 8 columns": _mixture(8, 6),
    "mixture, 32 columns": _mixture(32, 6),
    "heavy tails": MIXED["multivariate t, 2.5 degrees"],
    "bounded": MIXED["Beta shares with a copula"],
    "chain, 64 columns": Known(_chain_sample, _chain_log_prob),
}
