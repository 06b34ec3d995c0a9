"""Densities that are known exactly, and cheap to draw from: what an evaluation should say of them is known too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import special

from flowcli.model import Density, Scores
from flowcli.table import Schema
from flowcli.table.schema import Column


@dataclass
class Known(Density):
    """A density made of two functions of numpy.

    Attributes:
        columns: Its columns.
        drawn: From the given rows (B, C) and a generator to rows (B, C).
        log_density: From rows (B, C) to (B,).
    """

    columns: Sequence[Column]
    drawn: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray]
    summary: dict[str, Any] = field(default_factory=dict)

    device = torch.device("cpu")
    rounded = False
    block_rows = 4096
    parameters = 0

    @property
    def schema(self):
        return Schema(tuple(self.columns))

    def to(self, device):
        return self

    def scores(self, values, *, double=False, draws=8, seed=0):
        return Scores(self.log_density(values), np.zeros(len(values)))

    def holds(self, values):
        return np.ones(values.shape, dtype=bool)

    def log_prob_at(self, others, width):
        return torch.from_numpy(self.log_density(others.numpy()))

    def draw(self, given, generator):
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return self.drawn(given.numpy(), np.random.default_rng(seed))


def real(count):
    return [Column(f"c{i}") for i in range(count)]


def gaussians(weights, centers, scales, columns=None):
    """A mixture of Gaussians with independent columns: weights (K,), centers and scales (K, D)."""
    centers = np.asarray(centers, dtype=float)
    weights, scales = np.asarray(weights, dtype=float), np.broadcast_to(np.asarray(scales, dtype=float), centers.shape)

    def drawn(given, random):
        which = random.choice(len(weights), len(given), p=weights)
        return centers[which] + scales[which] * random.standard_normal((len(given), centers.shape[1]))

    def log_density(x):
        parts = [
            np.log(w) - 0.5 * np.square((x - c) / s).sum(1) - np.log(s).sum() - 0.5 * len(c) * np.log(2 * np.pi)
            for w, c, s in zip(weights, centers, scales, strict=True)
        ]
        return special.logsumexp(parts, axis=0)

    return Known(columns or real(centers.shape[1]), drawn, log_density)


def correlated(covariance, center=None):
    """One Gaussian."""
    covariance = np.atleast_2d(np.asarray(covariance, dtype=float))
    root, size = np.linalg.cholesky(covariance), len(covariance)
    center = np.zeros(size) if center is None else np.asarray(center)

    def log_density(x):
        z = np.linalg.solve(root, (x - center).T)
        return -0.5 * np.square(z).sum(0) - np.log(np.diagonal(root)).sum() - 0.5 * size * np.log(2 * np.pi)

    return Known(
        real(size), lambda given, random: center + random.standard_normal((len(given), size)) @ root.T, log_density
    )
