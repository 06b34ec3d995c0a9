"""What ``logprob`` writes of each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowcli.density import Density, Terms
from flowcli.density.density import Rows
from flowcli.density.flow_density import single
from flowcli.density.team import Team
from flowcli.errors import UsageError
from flowcli.table import Waiting, to_arrow


class Scorer:
    """The columns that are added to a table, and their values.

    Args:
        density: What scores.
        name: Of the log-density's column.
        terms: Whether the terms of the formula come before it.
        error: Whether its standard error comes after it.
        draws: Points in the cell of a rounded number.
        seed: Of these points.
        double: Whether to compute in float64.
    """

    def __init__(
        self, density: Density, name: str, *, terms: bool, error: bool, draws: int, seed: int, double: bool
    ) -> None:
        self._terms, self._error = terms, error
        self._draws, self._seed, self._double = draws, seed, double
        self.names: list[str] = []
        if terms:
            layout = single(density).encoding.layout
            self._has = {
                "angle_logprob": layout.angles > 0,
                "discrete_logprob": bool(layout.outcomes),
                "cell_correction": density.rounded,
            }
            self.names = [*(f"z{i + 1}" for i in range(layout.coordinates)), "base_logprob", "log_det"]
            self.names += [part for part, there in self._has.items() if there]
        if not name or name in self.names:
            raise UsageError(f"--name {name!r}: " + ("another column here has that name" if name else "give a name"))
        self.names += [name, f"{name}_error"] if error else [name]

    def scored(self, team: Team, values: Iterable[Rows | Waiting]) -> Iterator[Rows]:
        """The columns (n, names) of each chunk of rows."""
        if self._terms:
            for terms in team.terms(values, double=self._double, draws=self._draws, seed=self._seed):
                yield self._columns(terms)
            return
        for found in team.scores(values, double=self._double, draws=self._draws, seed=self._seed):
            yield np.column_stack([found.log_prob, found.error] if self._error else [found.log_prob])

    def table(self, found: Rows | None = None, bad: NDArray[np.bool_] | None = None) -> pa.Table:
        """The columns as a table, or as one without rows; rows that could not be read have nothing in them."""
        if found is None:
            return pa.Table.from_batches([], schema=pa.schema([(name, pa.float64()) for name in self.names]))
        columns = [to_arrow(column) for column in found.T]
        if bad is not None and bad.any():
            columns = [pa.array(column.to_numpy(), mask=bad) for column in columns]
        return pa.table(columns, names=self.names)

    def _columns(self, terms: Terms) -> Rows:
        parts = [terms.angles_log_prob, terms.codes_log_prob, terms.cell_correction]
        columns = [terms.latents, terms.base_log_prob, terms.log_det]
        columns += [part for part, there in zip(parts, self._has.values(), strict=True) if there]
        return np.column_stack([*columns, terms.log_prob, *([terms.error] if self._error else [])])
