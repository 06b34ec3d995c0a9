"""Fitting from Python: ``flowcli.fit``, and which fits a request asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowcli import config as configs
from flowcli import table, training
from flowcli.api.model import Model
from flowcli.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from flowcli.training import Begun, Ended, Event, Plan


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
    date_format: str | None = None,
    thousands: str | None = None,
    missing: Sequence[str | float] | None = None,
    valid: pd.DataFrame | None = None,
    seed: int = 0,
    device: str = "cpu",
    time_limit: float | None = None,
    ensemble: int = 1,
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
        date_format: How dates in columns of text are written, such as ``"%d/%m/%Y"``, where that is unclear.
        thousands: What separates thousands in columns of text, where all are like ``1,234``.
        missing: Words and numbers that stand for a missing cell, such as ``["?", -999]``, beside the usual words; after
            ``"none"`` these alone. The model reads other frames and files in the same way.
        valid: Rows to hold out; a tenth of the frame's by default.
        seed: Of all random numbers; the same seed gives the same model.
        device: Where to compute.
        time_limit: Seconds after which the fit ends.
        ensemble: How many flows to fit; the density is their mixture.
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
    all_kinds = {**request.columns, **(kinds or {})}
    wanted = table.ColumnRequest(columns, exclude, all_kinds, given, weights, date_format, thousands)
    words = None if missing is None else table.missing_words(missing)
    rows = table.from_frame(frame, wanted, missing=words, notice=say)
    held = None
    if valid is not None:
        values = table.frame_values(valid, rows.schema.columns)
        own = None if weights is None else valid[weights].to_numpy(np.float64)
        held = table.Table(values, rows.schema, "valid", own)
    task = training.Task(rows, device, held, compile, seed, say)
    fits = plan(["auto"], request, ensemble=ensemble, time_limit=time_limit, seed=seed)
    series = training.Series(task, fits)
    for event in series.run(lambda: False):
        if show is not None and (ensemble > 1 or not isinstance(event, training.Begun | training.Ended)):
            show(event)
    return Model(series.completed(series.density()))


def plan(
    names: Sequence[str],
    request: Config,
    overrides: Sequence[str] = (),
    *,
    ensemble: int = 1,
    tune: float | None = None,
    time_limit: float | None = None,
    seed: int = 0,
) -> Plan:
    """Return which fits a request asks for: a single one, an ensemble of seeds, or a choice among configs.

    Args:
        names: The configs to choose among; one, where nothing is tuned.
        request: The first of them, as loaded.
        overrides: Changes to all of them, such as ``"train.epochs=50"``.
        ensemble: How many flows the density consists of.
        tune: Seconds for a choice among the configs, or among variants of ``auto``.
        time_limit: Seconds for all fits together, where nothing is tuned.
        seed: Seeds all random numbers.

    Raises:
        ConfigError: A config cannot be read.
    """
    if tune is None:
        if ensemble == 1:
            return training.SingleFit(request, seed, time_limit)
        return training.SeedEnsemble(request, ensemble, seed, time_limit)
    first, *others = (training.Candidate(name, config=name) for name in names)
    field = tuple(others)
    if not field:
        auto = training.Candidate("auto", config="auto")
        field = training.FIELD if names[0] == "auto" else (auto, *training.FIELD)
        field = tuple(candidate for candidate in field if candidate.config != names[0])

    def load(candidate: training.Candidate) -> Config:
        if candidate is first:
            return request
        loaded = configs.load(candidate.config or "auto", [*overrides, *candidate.changes])
        return loaded.model_copy(update={"columns": request.columns})

    for candidate in field:  # mistakes come out now, and not after hours
        load(candidate)
    return training.SuccessiveHalving(load, first, field, tune, ensemble, seed)


def _silent(_: str) -> None:
    """Say nothing."""
