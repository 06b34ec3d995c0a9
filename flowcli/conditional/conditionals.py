"""What a joint density says of some of its columns: their marginal density, and draws given them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.conditional.importance import CANDIDATES, Importance, Randomness, WeightStats
from flowcli.conditional.proposal import choose
from flowcli.errors import DataError, NumericsError, UsageError
from flowcli.model.density import Density, Rows
from flowcli.table import as_written
from flowcli.table.schema import Column
from flowcli.text import quoted

Mask = NDArray[np.bool_]

MARGINAL_ERROR, MOST_CANDIDATES = 0.05, 4096  # where candidates for a marginal end
ENOUGH, LEAST_ROUNDS, MOST_ROUNDS = 32.0, 3, 24  # candidates that count, for a draw, and rounds of them
TOO_FEW = 4.0  # with fewer that count, a result cannot be relied on
MOST_FAILED = 0.05  # share of the rows to be drawn for which that may be so


class Marginal(NamedTuple):
    """The log-density of some columns of rows, its standard error, and how many candidates count, (B,) each."""

    log_prob: Rows
    error: Rows
    effective: Rows


class Drawn(NamedTuple):
    """Completed rows (B, N_c), and the effective number of candidates behind each, (B,).

    That number is infinite where nothing was to be drawn; where it is zero, the cells to be drawn are NaN.
    """

    values: Rows
    effective: Rows

    @property
    def failed(self) -> Mask:
        """Which rows cannot be relied on, because hardly any candidate is likely, (B,)."""
        return self.effective < TOO_FEW

    def reliable(self) -> Rows:
        """Return the rows.

        Raises:
            NumericsError: Too many of them cannot be relied on.
        """
        wanted, failed = int(np.isfinite(self.effective).sum()), int(self.failed.sum())
        if failed > MOST_FAILED * wanted or (self.effective == 0).any():
            raise NumericsError(
                f"{failed:,} of {wanted:,} rows cannot be drawn: of {MOST_ROUNDS * CANDIDATES:,} candidates for each"
                f" fewer than {TOO_FEW:.0f} count; what is known of them is too unlikely, or leaves too much open"
            )
        return self.values


def _remedy(column: Column) -> str:
    """Return how a column that is never below another is had without that one, in words; nothing for another one."""
    return "" if column.at_least is None else f", or fit with --kind {quoted(f'{column.name}=real')}"


class Conditionals:
    """Marginals and conditionals of a density, by importance sampling, each with its Monte Carlo error.

    p(x_S) is the mean of p(x_S, t) / q(t | x_S) over candidates t for the other columns, from a ``Proposal`` q. A draw
    given x_S is chosen among such candidates by these weights, again and again beside new ones (iterated importance
    resampling: Andrieu, Lee and Vihola, 2018); its limit is p(t | x_S), whatever q is.

    Args:
        density: The density. Where it is conditioned on columns, so is all that is said here.
        seed: Of the guide.
    """

    def __init__(self, density: Density, seed: int = 0) -> None:
        self.schema, self._encoder = density.schema, density.encoder
        self.importance = Importance(density, seed)
        self._given = np.array([column.given for column in density.schema.columns])

    def mask(self, names: Sequence[str]) -> Mask:
        """Return which columns these are, (N_c,).

        Raises:
            UsageError: A name is no column's, or that of a total of which a part is not among them.
        """
        modelled = {column.name: column for column in self.schema.columns if not column.given}
        for name in names:
            if name not in modelled:
                raise UsageError(f"the model has no density of a column {name!r}; it has {', '.join(modelled)}")
            parts = [part for part, _ in modelled[name].subtracted_columns]
            if absent := [part for part in parts if part not in names and part in modelled]:
                raise UsageError(
                    f"{name!r} is modelled as the rest of it after {', '.join(parts)}: add {absent[0]!r}"
                    + _remedy(modelled[name])
                )
        return np.array([column.name in names for column in self.schema.columns])

    def residuals(self, values: Rows) -> Tensor:
        """Return rows of the table (B, N_c) with totals replaced by what is left after their parts (residuals)."""
        return self._encoder.relations.residuals(torch.from_numpy(values))

    def holds(self, residuals: Tensor) -> Mask:
        """Return which values of residual rows (B, N_c) their columns can hold, (B, N_c)."""
        return self._encoder.holds(residuals).numpy()

    def marginal(
        self,
        values: Rows,
        known: Mask,
        random: Randomness,
        *,
        error: float = MARGINAL_ERROR,
        max_candidates: int = MOST_CANDIDATES,
    ) -> Marginal:
        """Return log-density of the known columns of each row, in nats, in the units of the table.

        Args:
            values: Rows (B, N_c); whatever stands in columns that are not known.
            known: Which are, (B, N_c) or (N_c,); with a total all of its parts.
            random: That of the candidates.
            error: Candidates are added to a row until its standard error is no larger, ...
            max_candidates: ... or it has had so many.
        """
        residuals, wanted = (
            self.residuals(values),
            np.ones(len(values), dtype=np.bool_),
        )
        return self.marginal_of(residuals, known, wanted, random, error, max_candidates)

    def marginal_of(
        self, residuals: Tensor, known: Mask, wanted: Mask, random: Randomness, error: float, max_candidates: int
    ) -> Marginal:
        """Return the marginals of those residual rows (B, N_c) that are wanted, (B,); of the others nothing."""
        is_known = torch.from_numpy(known | self._given).expand(residuals.shape)
        impossible = (is_known & ~torch.from_numpy(self.holds(residuals))).any(1)
        stats, unfinished = WeightStats(len(residuals)), (torch.from_numpy(wanted) & ~impossible).nonzero()[:, 0]
        for number in range(-(-max_candidates // CANDIDATES)):
            for result in self.importance.round(residuals, is_known, unfinished, random.of(number)):
                stats.add(result)
            unfinished = unfinished[stats.error[unfinished] > error]
            if not len(unfinished):
                break
        log_lattice = torch.where(is_known, self._encoder.log_lattice(residuals), 0.0).sum(1)
        log_prob = torch.where(impossible, -math.inf, stats.log_mean + log_lattice)
        errors, effective = stats.error.where(~impossible, 0.0), stats.effective.where(~impossible, math.inf)
        return Marginal(log_prob.numpy(), errors.numpy(), effective.numpy())

    def draw(self, values: Rows, known: Mask, random: Randomness, *, complete: bool = False) -> Drawn:
        """Draw the columns of each row that are not known, given those that are.

        Args:
            values: Rows (B, N_c).
            known: Which columns are, (B, N_c); with a total all of its parts.
            random: All random numbers.
            complete: Draw from the rows in which no cell is missing: what is right for cells missing at random.

        Raises:
            DataError: A total is known in a row, and one of its parts is not.
        """
        for position, column in enumerate(self.schema.columns):
            parts = [self.schema.names.index(part) for part, _ in column.subtracted_columns]
            if (known[:, position] & ~known[:, parts].all(axis=1)).any():
                raise DataError(
                    "is known in a row in which a part of it is not, and the model has it as what is left after its"
                    f" parts; fill that in, or leave it out too{_remedy(column)}",
                    column=column.name,
                )
        residuals, is_known = (
            self.residuals(values),
            torch.from_numpy(known | self._given),
        )
        chosen, weight = residuals.clone(), torch.full((len(residuals),), -math.inf, dtype=torch.float64)
        stats = WeightStats(len(residuals))
        wanted = (~is_known.all(1)).nonzero()[:, 0]
        unfinished = wanted
        for number in range(MOST_ROUNDS):
            for result in self.importance.round(residuals, is_known, unfinished, random.of(number), complete=complete):
                stats.add(result)
                weights = torch.cat([weight[result.rows, None], result.log_weights], 1)
                chosen_index = choose(torch.softmax(weights, 1).nan_to_num(0.0), result.uniform_choice)
                weight[result.rows] = weights.gather(1, chosen_index[:, None])[:, 0]
                new = (chosen_index > 0).nonzero()[:, 0]
                chosen[result.rows[new]] = result.residuals[new, chosen_index[new] - 1]
            if number + 1 >= LEAST_ROUNDS:
                unfinished = wanted[stats.effective[wanted] < ENOUGH]
            if not len(unfinished):
                break
        effective = torch.where(is_known.all(1), math.inf, stats.effective)
        drawn = as_written(self._encoder.relations.restore(chosen).numpy(), self.schema)
        return Drawn(np.where(is_known.numpy(), values, drawn), effective.numpy())
