"""flowcli from Python: ``flowcli.fit`` and ``flowcli.load``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowcli import config as configs
from flowcli import model as models
from flowcli import table, training
from flowcli.conditional.by_column import by_column
from flowcli.conditional.conditionals import MOST_CANDIDATES, Marginal
from flowcli.conditional.importance import Randomness
from flowcli.conditional.rejection import Rejection, usual_budget
from flowcli.errors import UsageError
from flowcli.model import Density, Terms
from flowcli.model.density import SampleRequest
from flowcli.model.flow_density import require_flow

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from flowcli.training import Begun, Ended, Event


class Model:
    """A fitted density over the columns of a table.

    Attributes:
        density: What the model consists of.
    """

    def __init__(self, density: Density) -> None:
        self.density = density

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.density.schema.names

    @property
    def summary(self) -> dict[str, Any]:
        """What is known of the training: rows, held-out nats with their standard error, history, seed."""
        return self.density.summary

    def log_prob(self, frame: pd.DataFrame, *, precision: str = "float32") -> NDArray[np.float64]:
        """Log-density of each row, in nats, in the units of the frame, (B,).

        Args:
            frame: Rows; columns are matched by name.
            precision: ``float32`` or ``float64``, of the flow.

        Raises:
            DataError: A column is missing, or a value is none.
            UsageError: There is no such precision.
        """
        return self.density.log_prob(self._values(frame), double=_is_double(precision))

    def terms(self, frame: pd.DataFrame, *, precision: str = "float32") -> Terms:
        """The terms of the change of variables for each row: latents, the base's log-density there, the log-det.

        Raises:
            UsageError: The model is an ensemble, which has none.
        """
        return require_flow(self.density).terms(self._values(frame), double=_is_double(precision))

    def percentile(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The share of the rows held out by the fit that are less likely than each row, (B,).

        Raises:
            UsageError: The model was fitted before that was kept.
        """
        return self.density.levels.percentiles(self.log_prob(frame))

    def log_prob_by_column(self, frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """Conditional log-densities of the columns that add up to each row's; see ``density.by_column``.

        Returns:
            A column for each of the model's, and ``oddest``: the one that is the likeliest to hold a mistake.
        """
        import pandas as pd

        values, schema = self._values(frame), self.density.schema
        apart = by_column(self.density.queries, values, self.density.log_prob(values), Randomness((seed,)))
        terms = pd.DataFrame(apart.terms, columns=pd.Index(schema.names), index=frame.index)
        terms = terms[[column.name for column in schema.columns if not column.given]]
        return terms.assign(oddest=[schema.names[place] for place in apart.oddest])

    def marginal(
        self, frame: pd.DataFrame, columns: Sequence[str], *, seed: int = 0, candidates: int = MOST_CANDIDATES
    ) -> Marginal:
        """Log-density of some columns of each row with its Monte Carlo error, (B,) each; see ``Conditionals.marginal``.

        Args:
            frame: Rows, of which no other columns are needed but those that the model is conditioned on.
            columns: Whose density is asked for.
            seed: Of the candidates for the other columns.
            candidates: How many there are of these at most.

        Raises:
            UsageError: The model has no such column, or it is a total and its parts are not asked for.
        """
        chosen = self.density.queries.chosen(columns)
        read = [column for column in self.density.schema.columns if column.given or column.name in columns]
        values = self._beside(frame, read)
        return self.density.queries.marginal(values, chosen, Randomness((seed,)), most=candidates)

    def impute(self, frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """The rows with draws in their missing cells, as ``flowcli impute`` fills them; other columns are left out.

        Raises:
            NumericsError: Rows cannot be filled, because what is there is hardly possible.
        """
        columns = [
            replace(column, missing=column.missing or not column.given) for column in self.density.schema.columns
        ]
        values = table.frame_values(frame, columns, notice=_silent)
        whole = self.density.queries.draw(
            values, ~np.isnan(values), Randomness((seed, 3, 0)), complete=True
        ).relied_on()
        filled: pd.DataFrame = table.to_cells(whole, self.density.schema).to_pandas()
        return filled.set_index(frame.index)

    def sample(
        self,
        rows: int,
        *,
        seed: int = 0,
        given: pd.DataFrame | None = None,
        complete: bool = False,
        where: str | None = None,
        budget: int | None = None,
    ) -> pd.DataFrame:
        """Draw rows, with the columns and number formats of the data that the model was fitted to.

        Args:
            rows: How many, for each row of ``given`` where there is one.
            seed: The same seed gives the same rows.
            given: Rows of the values of columns that drawn rows shall have: all of those that the density is
                conditioned on, and any others.
            complete: Fill cells that would be missing, as they are in rows where nothing is.
            where: Keep only rows that meet a condition such as ``"x > 0 and y < 3"``.
            budget: How many rows to draw at most for that; a thousand for each that is wanted, and a million at least.

        Raises:
            UsageError: The condition cannot be understood, or not all is given that must be.
            NumericsError: Too few rows meet it, or too few candidates are likely beside what is given.
        """
        schema = self.density.schema
        conditions = [column.name for column in schema.columns if column.given]
        if conditions and (given is None or where is not None):
            raise UsageError(f"the density is conditioned on {', '.join(conditions)}: give their values, no condition")
        if given is not None:
            read = [column for column in schema.columns if column.given or column.name in given.columns]
            others = [column.name for column in read if not column.given]
            if others:
                self.density.queries.chosen(others)
            known = self._beside(given, read)
            table.refuse_invalid(known, schema.columns, "given")
            known = np.broadcast_to(known, (rows, len(schema.columns))) if len(known) == 1 else known.repeat(rows, 0)
            fixed = known if others else None
            values = self.density.sample(len(known), seed=seed, given=known, fixed=fixed, complete=complete)
        elif where is None:
            values = self.density.sample(rows, seed=seed, complete=complete)
        else:
            chosen = Rejection(table.Condition(where, schema.columns), rows)
            blocks = self.density.sample_blocks(budget or usual_budget(rows), SampleRequest(seed, complete=complete))
            parts = [part for part, _ in chosen.of((block, None) for block in blocks)]
            values = np.concatenate(parts) if parts else np.empty((0, len(self.columns)))
        frame: pd.DataFrame = table.to_cells(values, self.density.schema).to_pandas()
        return frame

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file, whole or not at all."""
        models.save(self.density, Path(path))

    def _beside(self, frame: pd.DataFrame, read: Sequence[table.Column]) -> NDArray[np.float64]:
        """Some columns of a frame among all of the model's, NaN elsewhere, (B, N_c)."""
        values = np.full((len(frame), len(self.density.schema.columns)), np.nan)
        found = table.frame_values(frame, read, notice=_silent)
        values[:, [self.density.schema.names.index(column.name) for column in read]] = found
        return values

    def _values(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        return table.frame_values(frame, self.density.schema.columns, notice=_silent)


def fit(
    frame: pd.DataFrame,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] = "auto",
    overrides: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    given: Sequence[str] = (),
    weights: str | None = None,
    valid: pd.DataFrame | None = None,
    seed: int = 0,
    device: str = "cpu",
    time_limit: float | None = None,
    ensemble: int = 1,
    allow_singular: bool = False,
    compile: bool = False,
    notice: Callable[[str], None] | None = None,
    show: Callable[[Begun | Event | Ended], None] | None = None,
) -> Model:
    """Fit a density to the rows of a frame by maximum likelihood.

    Args:
        frame: The rows: numbers, texts, booleans, and missing cells.
        config: The name of a shipped config, the path of a YAML file, or a mapping of the same shape.
        overrides: Changes to it, such as ``"train.epochs=50"``.
        columns: The columns to fit; all by default.
        exclude: Columns to leave out.
        kinds: Kinds of columns, such as ``{"price": "positive", "share": "bounded:0,1", "wind": "circular:360"}``.
        given: Columns to condition the density of the others on.
        weights: The column with the weight of each row.
        valid: Rows to hold out; a tenth of the frame's by default.
        seed: Of all random numbers; the same seed gives the same model.
        device: Where to compute.
        time_limit: Seconds after which the fit ends.
        ensemble: How many flows to fit; the density is their mixture.
        allow_singular: Add a little noise where columns are linear functions of each other.
        compile: Run the steps through torch's compiler, if there is one.
        notice: Called with each line worth saying.
        show: Called with each evaluation of a running fit (``flowcli.training.Event``), and with where fits of
            several begin and end (``Begun``, ``Ended``).

    Returns:
        The fitted model.

    Raises:
        DataError: The rows cannot carry a density.
        ConfigError: The config cannot be read, or asks for something impossible.
        NumericsError: The fit diverged.
    """
    say = notice or _silent
    request = (
        configs.from_mapping(config, overrides) if isinstance(config, Mapping) else configs.load(config, overrides)
    )
    wishes = {**request.columns, **(kinds or {})}
    rows = table.from_frame(
        frame, columns=columns, exclude=exclude, kinds=wishes, given=given, weights=weights, notice=say
    )
    held = None
    if valid is not None:
        values = table.frame_values(valid, rows.schema.columns, notice=_silent)
        own = None if weights is None else valid[weights].to_numpy(np.float64)
        held = table.Table(values, rows.schema, "valid", own)
    task = training.Task(rows, device, held, allow_singular, compile, seed, say)
    several = training.SeedEnsemble(request, ensemble, seed, time_limit)
    series = training.Series(task, several if ensemble > 1 else training.SingleFit(request, seed, time_limit))
    for event in series.run(lambda: False):
        if show is not None and (ensemble > 1 or not isinstance(event, training.Begun | training.Ended)):
            show(event)
    return Model(series.completed(series.density()))


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Model:
    """Read a model file.

    Raises:
        UsageError: There is no such file.
        ModelFileError: It is damaged, or comes from a newer flowcli.
    """
    return Model(models.load(Path(path), device))


def _is_double(precision: str) -> bool:
    if precision not in ("float32", "float64"):
        raise UsageError(f"precision: {precision!r} is neither 'float32' nor 'float64'")
    return precision == "float64"


def _silent(_: str) -> None:
    """Say nothing."""
