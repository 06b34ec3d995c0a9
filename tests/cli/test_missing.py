"""``--missing``: which cells count as missing, from the fit to whatever reads a table for its model."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import flowcli as package
from tests.cli.terminal import flowcli

TINY = ["--epochs", 2, "--threads", 1]
ROWS = 240


def table() -> pd.DataFrame:
    """Numbers with -999 in every eighth row, and countries, of which Namibia is one and ``?`` is none."""
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=ROWS).round(2)
    numbers[::8] = -999
    return pd.DataFrame({"x": numbers, "land": rng.choice(["NA", "DE", "?"], ROWS), "y": rng.integers(0, 40, ROWS)})


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("missing")
    table().to_csv(path / "d.csv", index=False)
    done = flowcli("fit", path / "d.csv", "--missing", "none,?,-999", "-o", path / "m.flow", *TINY, "-q")
    assert (done.code, done.err) == (0, "")
    return path


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_level_named_like_a_word_survives_the_round_trip() -> None:
    drawn = flowcli("sample", "m.flow", "-n", 400, "--seed", 1)
    rows = cells(drawn.text)
    assert {row["land"] for row in rows} == {"NA", "DE", ""}
    assert {row["x"] == "" for row in rows} == {True, False}
    assert all(row["x"] == "" or abs(float(row["x"])) < 10 for row in rows)
    Path("s.csv").write_bytes(drawn.out)
    done = flowcli("logprob", "m.flow", "s.csv")
    assert (done.code, done.err) == (0, "")
    assert all(math.isfinite(float(line)) for line in done.lines[1:])
    # A text is told from a missing cell: the two have other probabilities.
    Path("two.csv").write_text("x,land,y\n0.5,NA,3\n0.5,?,3\n0.5,,3\n")
    text, word, empty = flowcli("logprob", "m.flow", "two.csv").lines[1:]
    assert word == empty != text


def test_what_reads_for_the_model_needs_no_option() -> None:
    for command in (["check", "m.flow", "d.csv", "-q"], ["evaluate", "m.flow", "d.csv", "--json", "--draws", 400]):
        done = flowcli(*command, "--threads", 1)
        assert done.code in (0, 5)
        assert "density there is zero" not in done.err
    filled = cells(flowcli("impute", "m.flow", "d.csv", "--seed", 1).text)
    assert {row["land"] for row in filled} == {"NA", "DE"}
    assert all(abs(float(row["x"])) < 10 for row in filled)
    assert [row["y"] for row in filled] == [str(y) for y in table()["y"]]


def test_given_anew_it_overrides_what_the_model_knows() -> None:
    own = flowcli("logprob", "m.flow", "d.csv").lines[1:]
    sent = float(flowcli("logprob", "m.flow", "d.csv", "--missing", "none,?").lines[1])
    assert sent < float(own[0]) - 100  # the number itself, far out
    done = flowcli("logprob", "m.flow", "d.csv", "--missing=none,-999")
    assert "'?' is not among the texts" in done.err
    assert [line == "-inf" for line in done.lines[1:]] == [land == "?" for land in table()["land"]]


def test_python_fits_and_reads_the_same(folder: Path) -> None:
    fitted = package.fit(
        table(), missing=["none", "?", -999], config={"flow": {"layers": []}}, overrides=["train.epochs=1"]
    )
    whole = table().replace({"x": {-999: None}, "land": {"?": None}})
    assert np.array_equal(fitted.log_prob(table()), fitted.log_prob(whole))
    fitted.save(folder / "p.flow")
    assert np.array_equal(package.load(folder / "p.flow").log_prob(table()), fitted.log_prob(table()))
    assert set(fitted.sample(200, seed=1)["land"].dropna()) == {"NA", "DE"}


def test_a_sentinel_gets_a_line_and_the_line_is_right() -> None:
    done = flowcli("fit", "d.csv", "-o", "plain.flow", *TINY)
    assert "far from the other numbers: -999 in 30 rows of 'x'" in done.err
    assert "if it stands for a missing cell, give --missing=-999" in done.err
    done = flowcli("fit", "d.csv", "-o", "plain.flow", *TINY, "--force", "--missing=-999")
    assert done.code == 0
    assert "far from the other" not in done.err
    levels = {c["name"]: c.get("levels") for c in json.loads(flowcli("info", "plain.flow", "--json").text)["columns"]}
    assert levels["land"] == ["?", "DE"]


def test_info_shows_the_words() -> None:
    assert "\nmissing       empty cells, '?', '-999'\n" in flowcli("info", "m.flow").text


def test_what_is_no_list_of_words_is_2() -> None:
    done = flowcli("fit", "d.csv", "--missing", " ", "-o", "no.flow")
    assert (done.code, "--missing: name a word, or none" in done.complaint) == (2, True)
