"""``flowcli check``: a table of figures and limits, and exit code 5 on a miss."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from flowcli import model as models
from flowcli.encoding import Standardizer
from flowcli.flows.layers import Autoregressive
from flowcli.model import Ensemble
from flowcli.model.files import container
from tests.cli.terminal import fitted, flowcli, process, rows
from tests.evaluation.check.models import few_points


@pytest.fixture(autouse=True)
def _few_points(monkeypatch):
    few_points(monkeypatch)


@pytest.fixture
def wrong_sign(monkeypatch):
    """Autoregressive layers whose log-det is off, and of the other sign."""
    right = Autoregressive.forward

    def forward(self, x, context=None):
        z, log_det = right(self, x, context)
        return z, -log_det - 0.3

    monkeypatch.setattr(Autoregressive, "forward", forward)


@pytest.fixture(scope="module")
def conditional(data, tmp_path_factory):
    """A model of a and c given b."""
    return fitted(data, tmp_path_factory.mktemp("given") / "given.flow", "--given", "b")


def test_a_correct_model_passes_line_by_line(model, data):
    done = flowcli("check", model, data, "--threads", 1)
    assert (done.code, done.err) == (0, "")
    head, first, *others = done.lines
    assert head.split() == ["check", "figure", "limit"]
    assert first.split()[:5] == ["ok", "file", "0", "0", "SHA-256"]
    names = {line[5:38].strip() for line in others}
    assert {
        "rows and back",
        "rows and back, float32",
        "log-det of layers",
        "log-det of the whole",
        "total mass",
    } < names
    assert {"strange rows", "rows as written", "draws against density", "float32, mean"} < names
    assert {line[:5].strip() for line in others} <= {"ok", "?"}
    assert max(map(len, done.lines)) <= 80


def test_the_digest_is_that_of_the_file(model):
    _, first, *_ = flowcli("check", model).lines
    assert first.split()[-1] == container.stated_digest(model)[:16]


def test_a_wrong_model_ends_with_five_and_the_lines_that_failed(model, wrong_sign):
    done = flowcli("check", model)
    assert done.code == 5
    assert done.complaint.startswith(f"{model}: not a correct density; failed: ")
    assert "log-det of layers (layer 1, Autoregressive)" in done.complaint
    assert "back" not in done.complaint
    failed = [line[5:38].strip() for line in done.lines if line.startswith("FAIL ")]
    assert {"log-det of layers", "log-det of the whole", "total mass"} <= set(failed)
    quiet = flowcli("check", model, "-q")
    assert (quiet.code, quiet.text, quiet.complaint) == (5, "", done.complaint)


def test_json_has_every_figure_and_what_it_means(model, wrong_sign):
    done = flowcli("check", model, "--json")
    assert done.code == 5
    found = json.loads(done.text, parse_constant=pytest.fail)
    assert found["passed"] is False
    by_name = {each["name"]: each for each in found["findings"]}
    assert by_name["log-det of layers"]["passed"] is False
    assert by_name["rows and back"]["passed"] is True
    assert by_name["rows and back"]["figure"] <= by_name["rows and back"]["limit"]
    assert all(each["meaning"].endswith(".") for each in found["findings"])


def test_a_damaged_file_is_told_as_everywhere(model, tmp_path):
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    damaged = tmp_path / "damaged.flow"
    damaged.write_bytes(content)
    done = flowcli("check", damaged)
    assert done.code == 4
    assert "SHA-256" in done.complaint
    assert done.out == b""


def test_given_columns_are_made_up_or_read(conditional, data):
    made_up = flowcli("check", conditional)
    assert made_up.code == 0
    assert "note: the density is conditioned on b: plausible values are made up" in made_up.err
    read = flowcli("check", conditional, data)
    assert (read.code, read.err) == (0, "")
    piped = flowcli("check", conditional, "-", stdin=data.read_bytes())
    assert piped.out == read.out


def test_an_ensemble_is_checked_flow_by_flow(model, tmp_path):
    one, other = models.load(model), models.load(model)
    models.save(Ensemble([one, other], np.array([0.25, 0.75]), {}), tmp_path / "two.flow")
    done = flowcli("check", tmp_path / "two.flow")
    assert done.code == 0, done.err
    assert [line for line in done.lines if "weights of the flows" in line]
    assert [line for line in done.lines if "flow 2: rows as written" in line]
    assert max(map(len, done.lines)) <= 80


def test_strange_names_are_printed_literally(tmp_path, monkeypatch):
    name = "[/x]\x1b[31m" + "y" * 100
    lines = rows(100).splitlines()
    (tmp_path / "d.csv").write_text("\n".join([f"{name},b,c", *lines[1:]]), encoding="utf-8")
    model = fitted(tmp_path / "d.csv", tmp_path / "d.flow")
    right = Standardizer.inverse

    def inverse(self, u):
        x = right(self, u)
        return x + 0.1 * (torch.arange(x.shape[1]) == 0)

    monkeypatch.setattr(Standardizer, "inverse", inverse)
    done = flowcli("check", model)
    assert done.code == 5
    assert max(map(len, done.lines)) <= 80
    assert f"columns and back ([/x]\\x1b[31m{'y' * 100})" in done.complaint


def test_tables_without_a_column_or_without_rows(model, tmp_path):
    (tmp_path / "none.csv").write_text("a,b,c\n")
    assert flowcli("check", model, tmp_path / "none.csv").code == 3
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = flowcli("check", model, tmp_path / "other.csv")
    assert done.code == 3
    assert "'c'" in done.complaint
    assert flowcli("check", model, tmp_path / "absent.csv").code == 2


def test_it_is_the_same_in_a_process_of_its_own(model):
    first, again = (process("check", model, "--seed", 7, "--threads", 1) for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert first.out == again.out
