"""Configs are found, checked, and their mistakes told in one line with the place and the nearest known key."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcli import config
from flowcli.errors import ConfigError, ResourceError


@pytest.fixture
def complaint(tmp_path, monkeypatch):
    """What loading this text says."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides):
        (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            config.load("my.yaml", overrides)
        assert len(str(caught.value).splitlines()) == 1
        assert caught.value.exit_code == 2
        return str(caught.value)

    return load


LAYER = "flow:\n  layers:\n    - "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "flow:\n  layers:\n    - actnorm\n    - coupling:\n        transform: spline\n        nett: {}\n",
            "my.yaml:6, flow.layers[1].coupling.nett: unknown key; did you mean 'net'?",
        ),
        ("flow: {}\nlearning_rate: 1", "my.yaml:2, learning_rate: unknown key; did you mean 'train.learning_rate'?"),
        ("flow: {}\nzzz: 1", "my.yaml:2, zzz: unknown key; known here: flow, train, columns"),
        (LAYER + "actnorm: {zzz: 1}", "my.yaml:3, flow.layers[0].actnorm.zzz: unknown key; there are no options here"),
        ("train: {}", "my.yaml, flow: is missing"),
        (LAYER + "coupling", "my.yaml:3, flow.layers[0].coupling.transform: is missing; it is one of affine, spline"),
        (LAYER + "repeat: 5", "my.yaml:3, flow.layers[0].layers: is missing"),
        (LAYER + "couplin: {}", "my.yaml:3, flow.layers[0]: unknown layer 'couplin'; did you mean 'coupling'?"),
        (LAYER + "splin", "my.yaml:3, flow.layers[0]: unknown layer 'splin'; 'spline' is a transform; it is one of "),
        ("flow: {base: nrmal}", "my.yaml:1, flow.base: unknown base 'nrmal'; did you mean 'normal'?"),
        ("flow: {base: [1]}", "my.yaml:1, flow.base: should be one of normal, student_t, mixture, autoreg"),
        (
            LAYER + "linear: qr",
            "my.yaml:3, flow.layers[0].linear: should be 'lu', 'rotation', 'random_rotation', 'none' or 'auto', not"
            " 'qr'",
        ),
        (
            LAYER + "autoregressive:\n      transform: spline",
            "my.yaml:3, flow.layers[0].autoregressive: has no options; indent them further than this line, or write {}"
            " (and 1 more)",
        ),
        (
            "flow: {layers: [{repeat: 2, layers: [{repeat: 3, layers: ["
            "elementwise: {transform: {affine: {bound: 0}}}]}]}]}",
            "my.yaml:1, flow.layers[0].layers[0].layers[0].elementwise.transform.affine.bound: should be more than 0",
        ),
        (
            LAYER + "{coupling: {transform: affine, net: {hidden: [8, 0]}}}",
            "my.yaml:3, flow.layers[0].coupling.net.hidden[1]: should be at least 1, not 0",
        ),
        (
            LAYER + "{coupling: {transform: affine, net: {hidden: []}}}",
            "my.yaml:3, flow.layers[0].coupling.net.hidden: should have at least 1 item, or 'auto', not []",
        ),
        ("flow: {}\ntrain: {epochs: -1}", "my.yaml:2, train.epochs: should be at least 0, or 'auto', not -1"),
        ("flow: {}\ntrain: {epochs: 1.5}", "my.yaml:2, train.epochs: should be a whole number, or 'auto', not 1.5"),
        ("flow: {}\ntrain: {epochs: atuo}", "my.yaml:2, train.epochs: should be a whole number, or 'auto', not 'atuo'"),
        ("flow: {}\ntrain: {epochs: true}", "my.yaml:2, train.epochs: should be a whole number, or 'auto', not true"),
        (
            "flow: {}\ntrain: {learning_rate: .nan}",
            "my.yaml:2, train.learning_rate: should be a number, or 'auto', not '.nan'",
        ),
        (
            "flow: {}\ntrain: {learning_rate: 0}",
            "my.yaml:2, train.learning_rate: should be more than 0, or 'auto', not 0",
        ),
        ("flow: {}\ntrain: 3", "my.yaml:2, train: should be a mapping, not 3"),
        ("flow: {}\ncolumns: {no: 3}", "my.yaml:2, columns.no: should be text, not 3"),
        ("flow: {layers: {a: 1}}", "my.yaml:1, flow.layers: should be a list, not a mapping"),
        ("flow: {layers: [actnorm, marginal: quantile]}", "my.yaml:1, flow: marginal may only be the first layer"),
        (
            "flow: {}\ntrain:\n  zzz: 1\n  epochs: -1\n  clip: 0\n",
            "my.yaml:3, train.zzz: unknown key; known here: batch_size, epochs,",
        ),
        (
            "flow: {layers: [{repeat: 900, layers: [{repeat: 900, layers: [actnorm]}]}]}",
            "my.yaml:1, flow: 810,000 layers once the repeats are written out; 1,000 are the most",
        ),
        (
            f"flow: {{}}\ntrain: {{epochs: {10**60}}}",
            "my.yaml:2, train.epochs: should be at most 1e+06, or 'auto', not so",
        ),
        ('flow: {}\n"a\\nb": 1', "my.yaml:2, 'a\\nb': unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_place(complaint, text, message):
    assert complaint(text).startswith(message)


def test_several_mistakes_are_counted_and_the_first_in_the_file_is_told(complaint):
    messages = complaint("train:\n  epochs: -1\n  clip: 0\nflow:\n  base: {normal: {learnable: 1, zzz: 2}}\n")
    assert messages == "my.yaml:2, train.epochs: should be at least 0, or 'auto', not -1 (and 3 more)"


def test_a_mistake_in_an_override_names_the_override(complaint):
    assert complaint("flow: {}\ntrain: {epochs: 5}", "train.epochs=-1").startswith(
        "--set train.epochs=-1, train.epochs: should be at least 0"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nfs", "nfs: neither a shipped config nor a file; did you mean 'nsf'?"),
        ("zzz", "zzz: neither a shipped config nor a file; the shipped ones are auto, "),
        ("nsf.yaml", "nsf.yaml: no such file; did you mean 'nsf'?"),
        ("./zzz.yml", "./zzz.yml: no such file; the shipped ones are auto, "),
        ("a\0b", r"'a\x00b': neither a shipped config nor a file"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load(name)
    assert str(caught.value).startswith(message)


def test_files_are_found_by_path_and_shipped_names_win(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("nsf", "plain", "my.yml"):
        (tmp_path / name).write_text("flow: {}\ntrain: {epochs: 77}\n")
    assert config.load("nsf").train.epochs == "auto"
    for path in ("./nsf", "plain", "my.yml", tmp_path / "my.yml"):
        assert config.load(path).train.epochs == 77


def test_a_folder_and_an_unreadable_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="a folder, not a config file"):
        config.load(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ResourceError, match=r"secret\.yaml: cannot be read: Permission denied"):
        config.load(tmp_path / "secret.yaml")


def test_a_mapping_is_checked_and_left_as_it_is():
    values = {"flow": {"layers": ({"linear": "lu"}, "actnorm"), "base": "normal"}, "columns": {"a.b": "positive"}}
    before = copy.deepcopy(values)
    loaded = config.from_mapping(values, ["train.epochs=3", "flow.base.normal.learnable=true"])
    assert values == before
    assert loaded.train.epochs == 3
    assert loaded.to_json()["flow"]["base"] == {"normal": {"learnable": True}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flow": {"bas": "normal"}}, "data.flow, flow.bas: unknown key; did you mean 'base'?"),
        ([], "data.flow: a config is a mapping, not list"),
        ({"flow": {}, "train": {"clip": float("nan")}}, "data.flow, train.clip: should be a finite number, not nan"),
        ({"flow": {}, 3: 4}, "data.flow"),
    ],
)
def test_a_wrong_mapping_is_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        config.from_mapping(values, source="data.flow")
    assert str(caught.value).startswith(message)


def test_a_mapping_inside_of_itself_is_refused():
    values = {}
    values["flow"] = values
    with pytest.raises(ConfigError, match="levels of nesting"):
        config.from_mapping(values)


def test_nothing_heavy_is_imported():
    script = (
        "import sys, flowcli.config as c\n"
        "c.names(); c.summary('nsf')\n"
        "assert not {'pydantic', 'yaml'} & set(sys.modules), 'listing needs neither'\n"
        "c.load('auto'); c.schema_json()\n"
        "assert not {'torch', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- whatever is given, it is a config or one line --------------------------------------------------------------------

WORDS = ["flow", "layers", "base", "train", "columns", "repeat", "coupling", "transform", "net", "hidden", "spline"]
WORDS += [
    "bins",
    "normal",
    "mixture",
    "marginal",
    "quantile",
    "linear",
    "lu",
    "actnorm",
    "auto",
    "epochs",
    "zzz",
    "a.b",
]
SINGLE = st.sampled_from([*WORDS, None, True, 0, 1, 8, -1, 0.5, float("nan"), float("inf"), 10**90, "\x1b[31m", ""])
KEYS = st.sampled_from(WORDS)
VALUES = st.recursive(SINGLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
LAYERS = st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=2) | KEYS, max_size=3)
FLOWS = st.fixed_dictionaries({}, optional={"layers": LAYERS | VALUES, "base": VALUES, "zzz": VALUES})
CONFIGS = st.fixed_dictionaries({"flow": FLOWS | VALUES}, optional={"train": VALUES, "columns": VALUES})
STEPS = st.sampled_from([*WORDS, "0", "1", "7", "-1", "", "[0]"])
OVERRIDES = st.builds(
    "{}={}".format, st.lists(STEPS, max_size=6).map(".".join), st.sampled_from([*WORDS, "1", "{a: 1}"])
)


@settings(max_examples=300)
@given(values=CONFIGS, overrides=st.lists(OVERRIDES, max_size=2))
def test_whatever_the_mapping_it_is_a_config_or_refused_in_one_line(values, overrides):
    try:
        said = repr(config.from_mapping(values, overrides).to_json())
    except ConfigError as error:
        said = str(error)
    assert said.isprintable()
