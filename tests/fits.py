"""Small tables and short fits that several tests share."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from flowcli import config, training
from flowcli.model import FlowDensity
from flowcli.table import Schema, Table
from flowcli.table.schema import Column
from flowcli.training import Fitting

# Enough for every parameter to move, little enough to take no time.
SHORT = ("train.epochs=4", "train.batch_size=32", "train.learning_rate=0.002", "train.warmup=0")

REAL = Column("real")
POSITIVE = Column("positive", "positive")
BOUNDED = Column("bounded", "bounded", lower=-1.0, upper=3.0)


def rows(count: int, columns: int, seed: int = 0) -> np.ndarray:
    """A bent cloud of rows (count, columns)."""
    random = np.random.default_rng(seed)
    cloud = random.normal(size=(count, columns))
    for i in range(1, columns):
        cloud[:, i] = 0.6 * cloud[:, i] + 0.5 * np.sin(2 * cloud[:, i - 1])
    return cloud


def table(values: np.ndarray, columns: Sequence[Column] | None = None) -> Table:
    """A table of these rows; real columns unless they are given."""
    named = columns or [Column(f"c{i}") for i in range(values.shape[1])]
    return Table(values, Schema(tuple(named)), "rows")


def prepared(
    data: Table, name: str = "nsf", changes: Sequence[str] = (), short: Sequence[str] = SHORT, **options
) -> Fitting:
    """A fit with a shipped config, shortened and then changed."""
    notice = options.pop("notice", lambda line: None)
    return training.prepare_fit(data, config.load(name, [*short, *changes]), notice=notice, **options)


def run(fitting: Fitting) -> Fitting:
    """The fit, run to its end."""
    for _ in fitting.loop.run(lambda: False):
        pass
    return fitting


def last(fitting: Fitting) -> FlowDensity:
    """The density of the last weights, which have moved in any case; the best ones may be those of the start."""
    return FlowDensity(fitting.encoder, copy.deepcopy(fitting.loop.density), fitting.config, {"rows": 1})


def fitted(data: Table, name: str = "nsf", changes: Sequence[str] = (), **options) -> FlowDensity:
    """The density after a short fit."""
    return last(run(prepared(data, name, changes, **options)))
