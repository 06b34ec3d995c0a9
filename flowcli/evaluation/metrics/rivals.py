"""Simple densities beside the model, on rows that none of them was fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.metrics.baselines import (
    BANDWIDTHS,
    COMPONENTS,
    continuous_indices,
    gaussian_log_prob,
    kernel_log_prob,
    mixture_log_prob,
    simple_log_probs,
)
from flowcli.evaluation.metrics.comparison import Difference, Nats, difference, mean_nats
from flowcli.random import Stream, numpy_generator
from flowcli.table import Schema

Rows = NDArray[np.float64]

FOLDS = 5
LEAST_ROWS = 20
MOST_ROWS = 10_000  # to score; the others say little more


@dataclass(frozen=True)
class Rival:
    """A simple density on the rows that the model was judged on.

    Attributes:
        name: What it is.
        nats: Its mean log-density.
        gain: How much better the model is, row by row.
    """

    name: str
    nats: Nats
    gain: Difference


@dataclass(frozen=True)
class Rivals:
    """The simple densities.

    Attributes:
        found: Each of them.
        rows: How many of the rows they were judged on.
        fitted_to: How many rows each was fitted to.
        folds: How many parts the rows were cut into, each scored by densities of the others; 1 where there were rows to
            fit to beside them.
    """

    found: tuple[Rival, ...]
    rows: int
    fitted_to: int
    folds: int


def rivals(log_prob: Rows, rows: Rows, schema: Schema, seed: int, train: Rows | None = None) -> Rivals | None:
    """Fit simple densities and score them; ``None`` where there are too few rows.

    Args:
        log_prob: The model's log-density of each row, (N,).
        rows: (N, C).
        schema: The columns.
        seed: Of the folds.
        train: Rows to fit to, (T, C); without them each row is scored by densities of the other folds of rows.
    """
    random = numpy_generator(seed, Stream.RIVALS)
    chosen = random.permutation(len(rows))[:MOST_ROWS]
    log_prob, rows = log_prob[chosen], rows[chosen]
    fitted_to = len(train) if train is not None else len(rows) * (FOLDS - 1) // FOLDS
    if fitted_to < max(LEAST_ROWS, 2 * (rows.shape[1] + 1)) or not len(rows):
        return None
    simple = _Simple(schema, seed)
    if train is not None:
        scores, folds = dict(simple.of(train, rows)), 1
    else:
        fold = np.arange(len(rows)) % FOLDS  # the rows are in random order
        folds = FOLDS
        scores = {}
        for number in range(FOLDS):
            for name, found in simple.of(rows[fold != number], rows[fold == number]):
                scores.setdefault(name, np.full(len(rows), np.nan))[fold == number] = found
    known = {name: found for name, found in scores.items() if not np.isnan(found).any()}
    return Rivals(
        tuple(Rival(name, mean_nats(found), difference(log_prob, found)) for name, found in known.items()),
        len(rows), fitted_to, folds,
    )  # fmt: skip


class _Simple:
    """The simple densities of a table; how many components and which bandwidth is found once, and holds for all folds.

    Args:
        schema: The columns.
        seed: Of random choices.
    """

    def __init__(self, schema: Schema, seed: int) -> None:
        self._schema, self._seed = schema, seed
        self._continuous_indices = continuous_indices(schema)
        self._given = [index for index, column in enumerate(schema.columns) if column.given]
        self._sizes: Sequence[int] = COMPONENTS
        self._bandwidths: Sequence[float] = BANDWIDTHS

    def of(self, train: Rows, rows: Rows) -> Iterator[tuple[str, Rows]]:
        """Yield each density's name, and its log-density of rows (M, C) after training rows (N, C), (M,)."""
        indices = self._continuous_indices
        if indices is None:
            yield from simple_log_probs(train, rows, self._schema)
            return
        if not indices:
            return
        if self._given:
            yield from self._linear_regression(train, rows, indices)
        train, rows = train[:, indices], rows[:, indices]
        looking_away = ", unconditional" if self._given else ""
        yield f"a Gaussian{looking_away}", gaussian_log_prob(train, rows)
        if (found := mixture_log_prob(train, rows, self._sizes)) is not None:
            self._sizes = (found[0],)
        yield f"a mixture of Gaussians{looking_away}", gaussian_log_prob(train, rows) if found is None else found[1]
        if (kernels := kernel_log_prob(train, rows, self._seed, self._bandwidths)) is not None:
            self._bandwidths = (kernels[0],)
            yield f"a kernel density{looking_away}", kernels[1]

    def _linear_regression(self, train: Rows, rows: Rows, indices: list[int]) -> Iterator[tuple[str, Rows]]:
        """Yield a linear regression with Gaussian errors: a Gaussian of all columns over that of the given ones."""
        columns = [self._schema.columns[index] for index in self._given]
        if all(c.continuous and not (c.atoms or c.has_gaps) for c in columns):
            both, given = [*indices, *self._given], self._given
            joint, alone = (gaussian_log_prob(train[:, which], rows[:, which]) for which in (both, given))
            yield "a linear regression", joint - alone
