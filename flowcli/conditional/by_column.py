"""A row's log-density taken apart, column by column: which of them makes it unlikely."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.conditional.conditionals import Conditionals, Mask
from flowcli.conditional.importance import Randomness
from flowcli.conditional.proposal import Known
from flowcli.encoding.column_encoder import Encoded
from flowcli.model.density import Rows

MISTAKE_SCALE = 3.0  # of numbers that stand somewhere by mistake, in spreads of their column
TERM_ERROR, MOST_CANDIDATES_A_COLUMN = 0.1, 1024  # of each of the marginals that terms are differences of


@dataclass(frozen=True)
class ByColumn:
    """The log-density of rows, column by column.

    Attributes:
        terms: Conditional log-densities that add up to the row's, (B, N_c).
        oddest: The column that is the likeliest to hold a mistake, (B,).
        error: The largest standard error among the marginals that terms are differences of, (B,).
    """

    terms: Rows
    oddest: NDArray[np.int64]
    error: Rows


def by_column(conditionals: Conditionals, values: Rows, log_prob: Rows, random: Randomness) -> ByColumn:
    """Take the log-density of each row apart.

    The terms are those of a chain, p(x) = p(x_a) p(x_b | x_a) ..., in an order of its own for each row: the column that
    is the likeliest to hold a mistake comes last, so that it is judged beside all others, and no other beside it. How
    likely that is says Bayes' rule. If column i held a mistake, drawn from m_i, the row's density would be
    p(x_-i) m_i(x_i): so the odds are m_i(x_i) / p(x_i | x_-i). Half of m_i is what the column holds otherwise (a value
    out of another row), half of it lies anywhere.

    What is conditioned on has no term, and where it cannot be, nothing has one. A value that cannot be has a term of
    ``-inf``, and the others of its row are judged without it. A total stands for its relation to its parts: where they
    do not add up it is the oddest, whichever of them is wrong.

    Args:
        conditionals: Of the density.
        values: Rows (B, N_c).
        log_prob: Their log-densities, (B,).
        random: That of the candidates.
    """
    part, residuals = conditionals.importance.part, conditionals.residuals(values)
    log_dets, possible = part.encode(residuals).log_dets.numpy(), conditionals.holds(residuals)
    encoded = part.encode(torch.where(torch.from_numpy(possible), residuals, conditionals.importance.example))
    varied = np.isin(
        np.arange(values.shape[1]), [position for position in part.indices if position not in part.constant]
    )
    of_constants = np.where(possible & ~varied, log_dets, 0.0)

    error = np.zeros(len(values))

    def log_marginal(known: Mask, wanted: Mask) -> Rows:
        """Return the log-density of what is known, of the rows that are wanted."""
        some = wanted & (known & varied).any(axis=1)
        result = conditionals.marginal_of(residuals, known, some, random, TERM_ERROR, MOST_CANDIDATES_A_COLUMN)
        error[some] = np.maximum(error[some], result.error[some])
        return np.where(some, result.log_prob, (of_constants * known).sum(axis=1))

    every, whole = np.ones(len(values), dtype=np.bool_), np.asarray(possible.all(axis=1))
    before = np.where(whole, log_prob, log_marginal(possible, ~whole))
    without, odds = np.zeros(values.shape), np.where(possible, -np.inf, np.inf)
    for position in np.flatnonzero(varied).tolist():
        known = possible.copy()
        known[:, position] = False
        without[:, position] = log_marginal(known, every)
        log_odds = _difference(
            _log_mistaken(conditionals, encoded, position), _difference(before, without[:, position])
        )
        odds[:, position] = np.where(possible[:, position], log_odds, np.inf)
    order = np.argsort(-odds, axis=1, kind="stable")

    known, rows = possible.copy(), np.arange(len(values))
    terms = np.where(possible, of_constants, -np.inf)
    for step in range(values.shape[1]):
        column = order[:, step]
        taken = known[rows, column] & varied[column]
        known[rows[taken], column[taken]] = False
        first = whole if step == 0 else np.zeros_like(whole)
        after = np.where(first, without[rows, column], log_marginal(known, taken & ~first))
        terms[rows[taken], column[taken]] = _difference(before, after)[taken]
        before = np.where(taken, after, before)
    given = [column.given for column in conditionals.schema.columns]
    terms[~possible[:, given].all(axis=1)] = np.nan
    return ByColumn(terms, order[:, 0], error)


def _log_mistaken(conditionals: Conditionals, encoded: Encoded, position: int) -> Rows:
    """Return the log-density of one column's values if they stand there by mistake, (B,)."""
    part = conditionals.importance.part
    alone = torch.zeros(encoded.log_dets.shape, dtype=torch.bool)
    alone[:, position] = True
    own = conditionals.importance.proposal.log_prob(encoded, Known.of(alone, part))
    anywhere = torch.zeros_like(own)
    if position in part.with_codes:
        anywhere = anywhere - math.log(part.outcomes[part.with_codes.index(position)].count)
    if position in part.continuous:
        u = encoded.coordinates[:, part.continuous.index(position)] / MISTAKE_SCALE
        log_cauchy = -torch.log(math.pi * MISTAKE_SCALE * (1 + u.square()))
        anywhere = anywhere + log_cauchy * part.present(encoded.codes, [position])[:, 0]
    if position in part.circular:
        anywhere = anywhere - math.log(2 * math.pi) * part.present(encoded.codes, [position])[:, 0]
    mistaken: Tensor = torch.logaddexp(own, anywhere) - math.log(2.0) + encoded.log_dets[:, position]
    return mistaken.numpy()


def _difference(log_prob: Rows, less: Rows) -> Rows:
    """Return the difference of log-densities; of two that are minus infinity none."""
    with np.errstate(invalid="ignore"):
        return np.where((log_prob == -np.inf) & (less == -np.inf), 0.0, log_prob - less)
