"""flowcli from Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import flowcli
from flowcli.errors import ConfigError, DataError, ModelFileError, UsageError
from tests.fits import SHORT, rows

QUICK = [*SHORT, "flow.layers.1.repeat=1"]


def frame(count=150):
    cloud = rows(count, 3)
    return pd.DataFrame(
        {
            "count": np.round(10 + 3 * cloud[:, 0]).astype(np.int64),
            "price": np.exp(cloud[:, 1]).round(2),
            "x": cloud[:, 2],
            "unit": np.full(count, 4, dtype=np.int64),
        }
    )


@pytest.fixture(scope="module")
def model():
    return flowcli.fit(frame(), config="nsf", overrides=QUICK, kinds={"price": "positive"})


def test_fit_score_sample(model):
    assert model.columns == ["count", "price", "x", "unit"]
    log_prob = model.log_prob(frame())
    assert log_prob.shape == (150,)
    assert log_prob.dtype == np.float64
    assert np.isfinite(log_prob).all()
    assert model.summary["rows"] + model.summary["held_out_rows"] == 150
    terms = model.terms(frame(), precision="float64")
    at_middle = terms.base_log_prob + terms.log_det
    np.testing.assert_allclose(at_middle + terms.cell_correction, log_prob, rtol=1e-4, atol=1e-4)
    assert terms.latents.shape == (150, 3)
    double = model.log_prob(frame(), precision="float64")
    np.testing.assert_allclose(double, terms.log_prob, rtol=0, atol=1e-12)


def test_samples_have_the_columns_and_types_of_the_frame(model):
    drawn = model.sample(200, seed=1)
    assert list(drawn.columns) == model.columns
    assert drawn["count"].dtype == np.int64
    assert drawn["unit"].dtype == np.int64
    assert (drawn["unit"] == 4).all()
    assert drawn["price"].dtype == np.float64
    assert (drawn["price"] > 0).all()
    assert np.array_equal(drawn["price"], drawn["price"].round(2))
    assert np.isfinite(model.log_prob(drawn)).all()
    pd.testing.assert_frame_equal(drawn.head(20), model.sample(20, seed=1))
    assert len(model.sample(0)) == 0


def test_columns_are_matched_by_name(model):
    shuffled = frame()[["x", "unit", "count", "price"]].assign(extra="text")
    assert np.array_equal(model.log_prob(shuffled), model.log_prob(frame()))


def test_the_index_is_no_column(model):
    assert np.array_equal(model.log_prob(frame().set_index(np.arange(150) + 7)), model.log_prob(frame()))


def test_missing_columns_and_cells_are_errors(model):
    with pytest.raises(DataError, match="price"):
        model.log_prob(frame().drop(columns="price"))
    with pytest.raises(DataError, match="x"):
        model.log_prob(frame().assign(x=np.nan))
    with pytest.raises(DataError, match="nothing is left to be modelled: left out: 'name' names the rows"):
        flowcli.fit(frame()[[]].assign(name=[f"row {i}" for i in range(150)]))


def test_precision_is_one_of_two(model):
    with pytest.raises(UsageError, match="float16"):
        model.log_prob(frame(), precision="float16")


def test_other_constants_have_no_density(model):
    assert (model.log_prob(frame().assign(unit=5)) == -np.inf).all()


def test_save_and_load(model, tmp_path):
    model.save(tmp_path / "m.flow")
    again = flowcli.load(str(tmp_path / "m.flow"))
    assert np.array_equal(again.log_prob(frame()), model.log_prob(frame()))
    pd.testing.assert_frame_equal(again.sample(50, seed=3), model.sample(50, seed=3))
    assert again.summary == model.summary
    with pytest.raises(UsageError, match="no such file"):
        flowcli.load(tmp_path / "none")
    (tmp_path / "m.flow").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        flowcli.load(tmp_path / "m.flow")


def test_what_is_seen_while_fitting():
    said, shown = [], []
    valid = frame(40).iloc[:, ::-1]
    model = flowcli.fit(
        frame(),
        config="nsf",
        overrides=QUICK,
        valid=valid,
        columns=["x", "count"],
        notice=said.append,
        show=shown.append,
    )
    assert set(model.columns) == {"x", "count"}
    # The first rows are the same in both, and a row that is held out is not fitted to.
    assert model.summary["rows"] == 110
    assert model.summary["held_out_rows"] == 40
    assert any("40 rows stand in the --valid file too" in line for line in said)
    assert shown[0].step == 0
    assert shown[-1].step == model.summary["steps"]
    assert said


def test_a_config_may_be_a_mapping():
    config = {"flow": {"layers": [], "base": {"mixture": {"components": 2}}}, "train": {"epochs": 1}}
    model = flowcli.fit(frame(), config=config, exclude=["unit"])
    assert model.columns == ["count", "price", "x"]
    with pytest.raises(ConfigError):
        flowcli.fit(frame(), config={"flow": {"layres": []}})


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="fitt"):
        _ = flowcli.fitt
    assert {"fit", "load", "__version__"} <= set(dir(flowcli))


def test_the_same_seed_gives_the_same_model():
    one, again, other = (flowcli.fit(frame(), config="nsf", overrides=QUICK, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.log_prob(frame()), again.log_prob(frame()))
    assert not np.array_equal(one.log_prob(frame()), other.log_prob(frame()))
