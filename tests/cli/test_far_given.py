"""Given numbers far outside of where the training rows lay: a density there is a guess, and that is said."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import flowcli
from tests.cli.terminal import fitted
from tests.cli.terminal import flowcli as command


def table(seed):
    random = np.random.default_rng(seed)
    x = np.concatenate([[0.0, 10.0], random.uniform(0, 10, 398)])
    return pd.DataFrame({"x": x, "y": np.sin(x) + 0.1 * random.standard_normal(400)})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One that is conditioned on x, and one of whole rows; both have seen x from 0 to 10."""
    folder = tmp_path_factory.mktemp("far")
    table(0).to_csv(folder / "d.csv", index=False)
    table(7).to_csv(folder / "v.csv", index=False)  # so that the ends of x are among the rows that are trained on
    given = fitted(folder / "d.csv", folder / "given.flow", "--given", "x", "--valid", folder / "v.csv")
    return given, fitted(folder / "d.csv", folder / "whole.flow", "--valid", folder / "v.csv")


def far(done):
    return [line for line in done.err.splitlines() if "training range" in line]


def test_a_given_number_far_out_is_said_with_how_far(models):
    note = (
        "flowcli: note: column 'x': {} lies {} times the training range beyond its end (0 to 10); the density there is"
        " a guess"
    )
    for value, shown, times in (("1000", "1000", "99.0"), ("-22", "-22", "2.2")):
        done = command("sample", models[0], "-n", 3, "--seed", 1, "--given", f"x={value}")
        assert (done.code, done.err) == (0, note.format(shown, times) + "\n")
        assert len(done.lines) == 4
        assert far(command("sample", models[0], "-n", 3, "-q", "--given", f"x={value}")) == []
    for value in ("0", "10.5", "-4"):
        assert far(command("sample", models[0], "-n", 3, "--seed", 1, "--given", f"x={value}")) == []


def test_of_a_file_the_farthest_is_said(models, tmp_path):
    (tmp_path / "g.csv").write_text("x\n5\n40\n-120\n")
    (line,) = far(command("sample", models[0], "-n", 1, "--seed", 1, "--given-file", tmp_path / "g.csv"))
    assert "column 'x': the farthest of 2 such numbers, -120, lies 12.0 times the training range" in line


def test_a_model_of_whole_rows_says_it_of_what_is_given(models):
    (line,) = far(command("sample", models[1], "-n", 3, "--seed", 1, "--given", "x=30"))
    assert re.search(r"column 'x': 30 lies 2\.0 times the training range", line)
    assert far(command("sample", models[1], "-n", 3, "--seed", 1, "--given", "x=3")) == []


def test_logprob_says_it_once_for_all_blocks(models, tmp_path):
    rows = pd.concat([table(1)] * 15, ignore_index=True)
    rows.loc[[3, 5999], "x"] = 25.0, 110.0
    rows.to_csv(tmp_path / "n.csv", index=False)
    done = command("logprob", models[0], tmp_path / "n.csv", "--batch-rows", 1000, "--threads", 1)
    assert done.code == 0
    (line,) = far(done)
    assert "the farthest of 2 such numbers, 110, lies 10.0 times" in line
    assert far(command("logprob", models[1], tmp_path / "n.csv", "--threads", 1)) == []
    (line,) = far(command("logprob", models[0], tmp_path / "n.csv", "--given", "x=100", "--threads", 1))
    assert "column 'x': 100 lies 9.0 times" in line


def test_python_is_told_too(models):
    said = []
    model = flowcli.load(models[0])
    model.sample(3, given=pd.DataFrame({"x": [100.0]}), notice=said.append)
    model.log_prob(pd.DataFrame({"x": [100.0], "y": [0.0]}), notice=said.append)
    assert len(said) == 2
    assert said[0] == said[1]
