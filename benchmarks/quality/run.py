"""What fitting one density gives: the test rows' log-densities, and how good they were after how many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Score = Callable[[Numbers], Numbers]

AUTO = "auto"  # flowcli as it is without options
VALIDATION = 0.1  # of the rows to fit, for whatever is chosen while fitting
ON_CURVE = 4_000  # test rows that each point of a curve stands for


@dataclass(frozen=True)
class Budget:
    """How long a fit may take.

    Attributes:
        seconds: Of fitting.
    """

    seconds: float


@dataclass(frozen=True)
class Run:
    """One fit.

    Attributes:
        log_prob: Of the test rows, in the units of the table, (M,).
        seconds: From the rows to the fitted density.
        curve: Seconds, and mean log-density of (at most ``ON_CURVE``) test rows under the best density until then.
        note: A few words on what came of it.
        members: The same as ``log_prob`` of each fit that the density consists of, where there are several, (K, M).
    """

    log_prob: Numbers
    seconds: float
    curve: list[tuple[float, float]] = field(default_factory=list)
    note: str = ""
    members: Numbers | None = None


Method = Callable[[pd.DataFrame, pd.DataFrame, Budget, int], Run]  # rows to fit and to test, and a seed


class Clock:
    """Seconds of fitting: stands still while test rows are scored."""

    def __init__(self) -> None:
        self._began, self._out = time.perf_counter(), 0.0
        self.curve: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._began - self._out

    def note(self, score: Callable[[], float]) -> None:
        """Add a point to the curve, out of time."""
        stopped = time.perf_counter()
        seconds = self.seconds
        self.curve.append((seconds, score()))
        self._out += time.perf_counter() - stopped


class Standard:
    """Columns with mean zero and variance one, and what that changes log-densities by."""

    def __init__(self, train: Numbers) -> None:
        self.mean, self.scale = train.mean(axis=0), train.std(axis=0)
        self.log_det = -float(np.log(self.scale).sum())

    def __call__(self, values: Numbers) -> Numbers:
        """The standardised rows."""
        return (values - self.mean) / self.scale


def divided(train: Numbers, seed: int) -> tuple[Numbers, Numbers]:
    """Rows to train on, and a tenth to choose by."""
    order = np.random.default_rng([seed, 1]).permutation(len(train))
    cut = max(1, round(VALIDATION * len(train)))
    return train[order[cut:]], train[order[:cut]]
