"""The known densities that fits are measured against are densities, of the rows that they draw."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.synthetic import KNOWN

GRID = np.linspace(-9, 9, 121)
STEP = GRID[1] - GRID[0]


def frame(columns: dict[str, list | np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(list(itertools.product(*columns.values())), columns=list(columns))


def test_counts_sum_to_one() -> None:
    rows = frame({"kind": list("abc"), "visits": np.arange(60), "sales": np.arange(400)})
    assert float(np.exp(KNOWN["counts"].log_prob(rows)).sum()) == pytest.approx(1, abs=1e-6)


def test_patterns_of_missing_cells_sum_to_one() -> None:
    total = 0.0
    for y, z in itertools.product((GRID, [np.nan]), repeat=2):
        rows = frame({"kind": ["yes", "no"], "x": GRID, "y": y, "z": z})
        cells = 1 + (len(y) > 1) + (len(z) > 1)
        total += float(np.exp(KNOWN["missing not at random"].log_prob(rows)).sum()) * STEP**cells
    assert total == pytest.approx(1, abs=1e-6)


def test_angles_integrate_to_one() -> None:
    turns = (np.arange(90) + 0.5) * 4
    rows = frame({"wind": turns, "wave": turns, "speed": np.linspace(0, 7, 101)})
    assert float(np.exp(KNOWN["von Mises angles"].log_prob(rows)).sum()) * 16 * 0.07 == pytest.approx(1, abs=1e-4)


def test_zeros_and_cells_sum_to_one() -> None:
    known = KNOWN["zeros and rounded prices"]
    logs = np.linspace(-6, 7, 40)
    rain, widths = np.concatenate([[0.0], np.exp(logs)]), np.concatenate([[1.0], np.exp(logs) * (logs[1] - logs[0])])
    prices = np.unique(np.round(np.geomspace(0.5, 600, 300), 2))
    lengths = np.gradient(prices)
    rows = frame({"rain": rain, "price": prices, "fee": 5.0 * np.arange(-20, 100)})
    masses = np.exp(known.log_prob(rows)).reshape(len(rain), len(prices), -1).sum(axis=2) * 5
    assert float(widths @ masses @ lengths) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("name", KNOWN)
def test_rows_have_the_density_that_is_claimed(name: str) -> None:
    """A shifted density has no higher mean on the rows than the true one has, by Gibbs' inequality."""
    known = KNOWN[name]
    rows = known.sample(4000, 0)
    truth = known.log_prob(rows)
    assert np.isfinite(truth).all()
    pd.testing.assert_frame_equal(rows.head(5), known.sample(4000, 0).head(5))
    numbers = [column for column in rows if rows[column].dtype == float and name != "zeros and rounded prices"]
    for column in numbers:
        width = 0.05 * rows[column].std()
        for sign in (1, -1):
            moved = rows.assign(**{column: rows[column] + sign * width})
            with np.errstate(invalid="ignore", divide="ignore"):
                other = known.log_prob(moved)
            gain = np.where(np.isfinite(other), other, -50.0) - truth
            assert gain.mean() < 3 * gain.std() / np.sqrt(len(gain)), column
