"""What flowcli and its peers are measured by: known densities, splits, and the report of what came out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.quality import report, sets
from benchmarks.quality.known import KNOWN
from benchmarks.quality.results import file_of, read
from benchmarks.quality.run import Budget
from benchmarks.quality.simple import gaussian, kernels, mixture

PLANE = [name for name in KNOWN if KNOWN[name].sample(2, 0).shape[1] == 2]


@pytest.mark.parametrize("name", PLANE)
def test_planes_integrate_to_one(name: str) -> None:
    rows = KNOWN[name].sample(2000, 0)
    low, high = rows.min().min() - 1, rows.max().max() + 1
    grid = np.linspace(low, high, 900)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    frame = pd.DataFrame({"x0": x, "x1": y})
    if name == "checkerboard":  # constant where it is not zero; half of 16 squares of one unit
        assert np.exp(KNOWN[name].log_prob(rows)).mean() * 8 == pytest.approx(1)
        assert ((np.floor(rows["x0"]) + np.floor(rows["x1"])) % 2 == 0).all()
        return
    cell = (grid[1] - grid[0]) ** 2
    assert float(np.exp(KNOWN[name].log_prob(frame)).sum()) * cell == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "name", [name for name in KNOWN if name not in PLANE and name not in ("bounded", "heavy tails")]
)
def test_rows_have_the_density_that_is_claimed(name: str) -> None:
    """Neither a moved nor a stretched density explains the rows better, by Gibbs' inequality."""
    known = KNOWN[name]
    rows = known.sample(4000, 0)
    truth = known.log_prob(rows)
    assert np.isfinite(truth).all()
    for column in rows.columns[:6]:
        center, width = rows[column].mean(), rows[column].std()
        for stretch, shift in ((1.0, 0.05), (1.0, -0.05), (1.05, 0.0), (0.95, 0.0)):
            moved = rows.assign(**{column: center + stretch * (rows[column] - center) + shift * width})
            gain = known.log_prob(moved) + np.log(stretch) - truth
            assert gain.mean() < 3 * gain.std() / np.sqrt(len(gain)), (column, stretch, shift)


def test_a_split_repeats_and_keeps_test_rows_apart() -> None:
    one, again, other = (sets.split("penguins", seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.test, again.test)
    assert not one.test.equals(other.test)
    assert len(one.train) + len(one.test) == 342
    assert not set(map(tuple, one.train.to_numpy())) & set(map(tuple, one.test.to_numpy()))


def test_simple_peers_are_near_the_truth() -> None:
    random = np.random.default_rng(0)
    train, test = ([4.0, -100.0] + random.normal(size=(n, 2)) * [3.0, 50.0] for n in (2000, 1000))
    truth = stats.norm.logpdf(test, [4.0, -100.0], [3.0, 50.0]).sum(axis=1).mean()
    for fit, gap in ((gaussian, 0.02), (mixture, 0.02), (kernels, 0.15)):
        run = fit(train, test, Budget(1.0), 0)
        assert run.log_prob.shape == (1000,)
        assert -0.03 < truth - run.log_prob.mean() < gap


def test_the_report_says_who_is_ahead(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    nats = random.normal(size=200)

    def leave(how: str, log_prob: np.ndarray, curve: list[tuple[float, float]], **many: np.ndarray) -> None:
        words = {"seconds": curve[-1][0], "curve": curve, "note": "", "budget": 60.0, "cores": 2}
        file = file_of(tmp_path, "rings", how, 0)
        np.savez_compressed(file, log_prob=log_prob, truth=nats, words=np.array(json.dumps(words)), **many)

    leave("auto", nats - 0.01, [(1.0, -1.0), (3.0, 0.5), (9.0, 0.9)])
    leave("zuko", nats - 0.30, [(10.0, -1.0), (40.0, 0.4)])
    leave("Gaussian", nats - 2 + 0.1 * random.normal(size=200), [(0.1, -2.0)])
    members = nats + np.array([[-0.01], [-0.03], [-0.02]])
    leave("ensemble of 3", nats + 0.04 + 0.02 * random.normal(size=200), [(27.0, 0.95)], members=members)
    fits = [
        {"table": "penguins", "rows": 60, "split": split, "method": how, "nats": level + 0.1 * split}
        for split in range(3)
        for how, level in (("auto", 1.0), ("Gaussian", 0.5), ("Gaussian mixture", 0.8), ("kernels", 1.25))
    ]
    (tmp_path / "small.json").write_text(json.dumps(fits))
    assert read(tmp_path, "rings", "kernels", 0) is None
    report.write_report(tmp_path, tmp_path)
    page = (tmp_path / "quality.md").read_text()
    assert "0.290 ± 0.000" in page
    assert "| zuko: ahead |" in page
    assert "| rings | 0.020 ± 0.000 |" in page.split("The same with another seed")[1]
    assert "| rings | 0.05" in page.split("Three flows as one density")[1]
    assert "| penguins, 60 rows | 3 | 1.100 | 0.500 ± 0.000 | 0.200 ± 0.000 | -0.250 ± 0.000 |" in page
    assert "| rings | 20,000 | zuko | 40.0 | 3.0 | 0.07 |" in page
    assert "| rings | 0.0100 ± 0.0000 | 0.0050 |" in page
    assert (tmp_path / "quality.png").stat().st_size > 5000
