"""The five classic tables' preprocessing, on small files of the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import uci
from flowcli import config


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_power_loses_two_columns_and_its_rounding(tmp_path, random):
    rows = np.round(random.normal(size=(1000, 8)) * [1, 0.3, 3, 5, 1, 1, 6, 4], 3)
    (tmp_path / "power").mkdir()
    np.save(tmp_path / "power" / "data.npy", rows)
    parts = uci.power(tmp_path)
    assert [part.shape for part in (parts.train, parts.valid, parts.test)] == [(810, 6), (90, 6), (100, 6)]
    known = np.vstack([parts.train, parts.valid])
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(known.std(axis=0), 1)
    # In the paper's order of draws: a permutation of the rows, then the voltage's noise, the gap's, the meters'.
    own = np.random.RandomState(42)
    order = np.arange(1000)
    own.shuffle(order)
    voltage, gap, meters = own.rand(1000, 1), own.rand(1000, 1), own.rand(1000, 3)
    whole = rows[order][:, [0, 2, 4, 5, 6, 7]] + np.hstack([0.001 * gap, 0.01 * voltage, meters, np.zeros((1000, 1))])
    whole = (whole - whole[:900].mean(axis=0)) / whole[:900].std(axis=0)
    np.testing.assert_allclose(np.vstack([parts.train, parts.valid, parts.test]), whole)


def test_gas_keeps_one_of_sensors_that_are_alike(tmp_path, random):
    base = random.normal(size=(2000, 3))
    frame = pd.DataFrame({"Time": range(2000), "Meth": 0.0, "Eth": 1.0, "a": base[:, 0], "b": base[:, 1]})
    frame["c"] = frame["a"] + 0.01 * random.normal(size=2000)  # alike, so the first of the two goes
    frame["d"] = -frame["b"]  # opposite is not alike
    frame["e"] = base[:, 2]
    (tmp_path / "gas").mkdir()
    frame.to_pickle(tmp_path / "gas" / "ethylene_CO.pickle")
    parts = uci.gas(tmp_path)
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [1620, 180, 200]
    kept = frame[["b", "c", "d", "e"]]
    expected = ((kept - kept.mean()) / kept.std()).to_numpy()
    np.testing.assert_allclose(np.vstack([parts.train, parts.valid, parts.test]), expected)


def test_hepmass_keeps_collisions_of_one_kind_and_columns_without_many_copies(tmp_path, random):
    (tmp_path / "hepmass").mkdir()
    columns = [f"f{i}" for i in range(4)]
    frames = {}
    for part, rows in (("train", 1000), ("test", 400)):
        frame = pd.DataFrame(random.normal(2, 3, size=(rows, 4)), columns=columns)
        frame["f1"] = frame["f1"].clip(lower=0)  # its smallest value is found often
        frame["f2"] = frame["f2"].clip(upper=4)  # of others nobody asked
        frame.insert(0, "# label", random.integers(2, size=rows).astype(float))
        frames[part] = frame
        (frame if part == "train" else frame.assign(extra=1.0)).to_csv(
            tmp_path / "hepmass" / f"1000_{part}.csv", index=False
        )
    parts = uci.hepmass(tmp_path)
    signal = {part: frame[frame["# label"] == 1][["f0", "f2", "f3"]] for part, frame in frames.items()}
    train = signal["train"]
    expected = ((train - train.mean()) / train.std()).to_numpy()
    np.testing.assert_allclose(np.vstack([parts.train, parts.valid]), expected)
    assert len(parts.valid) == len(train) // 10
    np.testing.assert_allclose(parts.test, ((signal["test"] - train.mean()) / train.std()).to_numpy())


def test_miniboone_is_split_and_standardised(tmp_path, random):
    rows = random.normal(3, 2, size=(500, 43))
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone" / "data.npy", rows)
    parts = uci.miniboone(tmp_path)
    np.testing.assert_allclose(parts.test, (rows[450:] - rows[:450].mean(axis=0)) / rows[:450].std(axis=0))
    assert (len(parts.train), len(parts.valid)) == (405, 45)


def test_bsds300_is_taken_as_it_is(tmp_path, random):
    import h5py

    (tmp_path / "BSDS300").mkdir()
    stored = {part: random.normal(size=(rows, 63)) for part, rows in (("train", 60), ("validation", 20), ("test", 30))}
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for part, rows in stored.items():
            file[part] = rows
    parts = uci.bsds300(tmp_path)
    np.testing.assert_array_equal(parts.train, stored["train"])
    np.testing.assert_array_equal(parts.valid, stored["validation"])
    np.testing.assert_array_equal(parts.test, stored["test"])


@pytest.mark.parametrize(
    ("name", "rows", "steps"),
    [
        ("power", 1_659_917, 400_000),
        ("gas", 852_174, 400_000),
        ("hepmass", 315_123, 400_000),
        ("miniboone", 29_556, 250_000),
        ("bsds300", 1_000_000, 400_000),
    ],
)
def test_each_table_has_a_config_of_the_published_length(name, rows, steps):
    train = config.load(f"uci/{name}").train
    assert train.epochs * (rows // train.batch_size) == pytest.approx(steps, rel=5e-3)
    assert set(uci.LOADERS) == set(uci.PUBLISHED)


def test_one_command_fits_and_scores(tmp_path, random, monkeypatch, capsys):
    x = random.normal(size=(400, 3))
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone" / "data.npy", np.round(x @ random.normal(size=(3, 3)), 2))
    words = ["uci", "miniboone", str(tmp_path), "--set", "train.epochs=2", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", words)
    uci.main()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("miniboone: -")
    assert "on 40 rows x 3 (RQ-NSF (AR) as published: -9.22 ± 0.48)" in last
    monkeypatch.setattr("sys.argv", [*words[:3], "--write", str(Path(tmp_path) / "rows")])
    uci.main()
    assert len(pd.read_parquet(tmp_path / "rows" / "train.parquet")) == 324
