"""All that is measured, by name; each is loaded only where its packages are."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.quality.run import AUTO, Budget, Method, Numbers, Run
from flowcli import config as configs

SIMPLE = ("Gaussian", "Gaussian mixture", "kernels")
FLOWS = ("zuko", "nflows", "flowjax", "pzflow")
PEERS = (*SIMPLE, *FLOWS)
# Three seeds as one density; the best of many configs within ten minutes.
ENSEMBLE, TUNED = "ensemble of 3", "tuned for 10 minutes"
MORE = (ENSEMBLE, TUNED)


def shipped() -> list[str]:
    """flowcli's shipped configs, ``auto`` first, but for those of single tables."""
    return [AUTO, *(name for name in configs.names() if name != AUTO and "/" not in name)]


def installed(name: str) -> bool:
    """Whether a peer's package is there."""
    return name not in FLOWS or importlib.util.find_spec(name) is not None


def method(name: str) -> Method:
    """What fits and scores under a name."""
    match name:
        case "Gaussian":
            from benchmarks.quality.simple import gaussian as found
        case "Gaussian mixture":
            from benchmarks.quality.simple import mixture as found
        case "kernels":
            from benchmarks.quality.simple import kernels as found
        case "zuko":
            from benchmarks.quality.torch_flows import zuko_nsf as found
        case "nflows":
            from benchmarks.quality.torch_flows import nflows_nsf as found
        case "flowjax":
            from benchmarks.quality.jax_flows import flowjax_nsf as found
        case "pzflow":
            from benchmarks.quality.jax_flows import pzflow_default as found
        case _:
            from benchmarks.quality import ours

            more = {
                ENSEMBLE: ours.seed_ensemble(3),
                TUNED: ours.tuned(600.0),
            }
            return more[name] if name in more else ours.flowcli_fit(name)
    return _of_arrays(found)


def _of_arrays(fit: Callable[[Numbers, Numbers, Budget, int], Run]) -> Method:
    """A method that knows arrays alone."""

    def of_frames(train: pd.DataFrame, test: pd.DataFrame, budget: Budget, seed: int) -> Run:
        return fit(train.to_numpy(np.float64), test.to_numpy(np.float64), budget, seed)

    return of_frames
