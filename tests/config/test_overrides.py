"""``--set key.path=value`` changes one value, and an unknown path gets the nearest known one."""

from __future__ import annotations

import pytest

from flowcli import config
from flowcli.errors import ConfigError

VALUES = {
    "flow": {
        "layers": [
            {"marginal": "quantile"},
            {"repeat": 2, "layers": [{"coupling": {"transform": "spline"}}, "actnorm"]},
        ],
        "base": "mixture",
    }
}


def changed(*overrides):
    return config.from_mapping(VALUES, overrides).to_json()


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=20", ["train", "epochs"], 20),
        ("train.learning_rate=1e-4", ["train", "learning_rate"], 1e-4),
        ("train.epochs=auto", ["train", "epochs"], "auto"),
        (" train . epochs = 20 ", ["train", "epochs"], 20),
        ("flow.layers.0.marginal=none", ["flow", "layers", 0, "marginal"], "none"),
        ("flow.layers.1.repeat=7", ["flow", "layers", 1, "repeat"], 7),
        ("flow.layers[1].layers[0].coupling.mask=odd", ["flow", "layers", 1, "layers", 0, "coupling", "mask"], "odd"),
        (
            "flow.layers.1.layers.0.coupling.transform.spline.bins=16",
            ["flow", "layers", 1, "layers", 0, "coupling", "transform", "spline", "bins"],
            16,
        ),
        (
            "flow.layers.1.layers.0.coupling.net.hidden=[32, 32]",
            ["flow", "layers", 1, "layers", 0, "coupling", "net", "hidden"],
            [32, 32],
        ),
        ("flow.base.mixture.components=3", ["flow", "base", "mixture", "components"], 3),
        ("flow.base=student_t", ["flow", "base"], {"student_t": {"degrees_of_freedom": 10.0}}),
        ("flow.layers=[]", ["flow", "layers"], []),
        ("columns.a.b=positive", ["columns", "a.b"], "positive"),
        ("columns={x: positive}", ["columns"], {"x": "positive"}),
    ],
)
def test_a_value_is_changed(override, path, value):
    inner = changed(override)
    for step in path:
        inner = inner[step]
    assert inner == value


def test_later_ones_win_and_all_others_stay():
    assert changed("train.epochs=1", "train.epochs=2")["train"]["epochs"] == 2
    assert changed("train.epochs=2")["flow"] == changed()["flow"]
    assert changed("flow.base=normal", "flow.base.normal.learnable=true")["flow"]["base"] == {
        "normal": {"learnable": True}
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=5", "there is no 'train.epoch'; did you mean 'train.epochs'?"),
        ("epochs=5", "there is no 'epochs'; did you mean 'train.epochs'?"),
        ("flow.layers.1.layers.0.coupling.maks=odd", "did you mean 'flow.layers.1.layers.0.coupling.mask'?"),
        ("train.epochs.x=1", "there is no 'train.epochs.x'; did you mean 'train.epochs'?"),
        ("zzz.zzz.zzz=1", "there is no 'zzz.zzz.zzz'; known: flow, train, columns"),
        ("=5", "there is no ''; known: flow, train, columns"),
        ("train.epochs", "write key.path=value"),
        ("train.epochs=", "there is nothing in it"),
        ("train.epochs=[1", "still open"),
        ("flow.layers.2=actnorm", "flow.layers has 2 items, counted from 0; '2' is not one of them"),
        ("flow.layers.-1=actnorm", "'-1' is not one of them"),
        ("flow.layers.x=actnorm", "'x' is not one of them"),
        ("flow.layers.99999999999999999999=actnorm", "is not one of them"),
        ("flow.base.normal.learnable=true", "flow.base is 'mixture'; first set flow.base=normal"),
        ("flow.base.mixture=3", "flow.base.mixture: should be a mapping, not 3"),
        ("train=3", "train: should be a mapping, not 3"),
        ("train.epochs=\x1b[31m5", r"--set 'train.epochs=\x1b[31m5'"),
    ],
)
def test_a_wrong_override_is_refused_with_a_hint(override, message):
    with pytest.raises(ConfigError, match=r"^--set ") as caught:
        changed(override)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("values", "override", "message"),
    [
        ({"train": {"epochs": 5}}, "train.epochs.x=1", "train.epochs is the single value 5; there is nothing inside"),
        ({"train": 5}, "train.epochs=1", "train is the single value 5; there is nothing inside"),
        ({"train": [5]}, "train.epochs=1", "train is a list; only a mapping has 'epochs'"),
        ({"columns": [5]}, "columns.x=positive", "columns is a list; only a mapping has 'x'"),
        ({"flow": {"layers": {}}}, "flow.layers.0=actnorm", "there is no 'flow.layers.0'"),
        ({"flow": {"base": "zzz"}}, "flow.base.zzz.x=1", "flow.base must be one of normal, student_t, mixture, "),
        ({"flow": {"base": [5]}}, "flow.base.normal.learnable=true", "flow.base is a list"),
    ],
)
def test_a_path_that_does_not_fit_the_values_is_refused(values, override, message):
    with pytest.raises(ConfigError, match=r"^--set ") as caught:
        config.from_mapping(values, [override])
    assert message in str(caught.value)


def test_a_base_that_is_not_written_out_is_made():
    filled = config.from_mapping({"flow": {}}, ["flow.base.mixture.components=3"])
    assert filled.to_json()["flow"]["base"] == {"mixture": {"components": 3, "start": "em"}}


def test_what_is_changed_on_purpose_has_no_other_architecture_beside_it():
    assert config.load("auto").flow.wide is not None
    assert config.load("auto", ["train.epochs=3"]).flow.wide is not None
    for change in ("flow.layers.1.repeat=5", "flow.base=normal"):
        assert config.load("auto", [change]).flow.wide is None


@pytest.mark.parametrize(
    ("wide", "message"),
    [
        ({"layers": [{"elementwise": {"transform": "affine"}}]}, "begin with 'marginal: quantile'"),
        ({"layers": [{"marginal": "quantile"}], "base": "mixture"}, "no mixture"),
    ],
)
def test_another_architecture_that_could_not_start_is_refused(wide, message):
    with pytest.raises(ConfigError, match=message):
        config.from_mapping({"flow": {**VALUES["flow"], "wide": wide}})
