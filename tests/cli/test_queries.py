"""Questions about some of the columns, as a user asks them: percentiles, shares, marginals, draws, gaps filled."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

import flowcli as package
from tests.cli.terminal import fitted, flowcli

PENGUINS = Path(__file__).parents[2] / "sample_data" / "penguins.csv"
SHORT = ("--epochs", 8, "--threads", 1, "-q")


@pytest.fixture(scope="module")
def penguins(tmp_path_factory) -> Path:
    """A model of categories, missing cells and rounded numbers."""
    path = tmp_path_factory.mktemp("penguins") / "penguins.flow"
    assert flowcli("fit", PENGUINS, "-o", path, *SHORT).code == 0
    return path


@pytest.fixture(scope="module")
def totals(tmp_path_factory) -> Path:
    """A model of a total and its parts."""
    folder = tmp_path_factory.mktemp("totals")
    random = np.random.default_rng(0)
    a, b = random.poisson(200, 400), random.poisson(100, 400)
    pd.DataFrame({"a": a, "b": b, "sum": a + b}).to_csv(folder / "t.csv", index=False)
    return fitted(folder / "t.csv", folder / "t.flow")


def table(done) -> pd.DataFrame:
    assert done.code == 0, done.err
    return pd.read_csv(io.StringIO(done.text))


# --- how odd is a row? ------------------------------------------------------------------------------------------------


def test_the_percentile_is_the_share_of_held_out_rows_that_are_less_likely(data, model):
    rows = pd.read_csv(data)
    found = table(flowcli("logprob", model, data, "--percentile"))
    assert list(found) == ["logprob", "percentile"]
    held_out = package.load(model).density.held_out
    assert len(held_out.log_probs) == 30
    expected = [(held_out.log_probs < value).mean() for value in found["logprob"]]
    assert found["percentile"].tolist() == pytest.approx(expected)
    assert package.load(model).percentile(rows).tolist() == found["percentile"].tolist()
    assert 0.3 < found["percentile"].mean() < 0.7


def test_the_threshold_flags_what_lies_below_it(data, model):
    done = flowcli("logprob", model, data, "--percentile", "--threshold", "20%", "--with-input")
    found = table(done)
    assert list(found)[-3:] == ["logprob", "percentile", "odd"]
    assert (found["odd"] == (found["percentile"] < 0.2)).all()
    assert found["odd"].any()
    assert done.err == ""
    few = flowcli("logprob", model, data, "--threshold", "0.1%")
    assert "the model has 30 held-out rows, too few to tell 0.001 apart" in few.err
    least = package.load(model).density.held_out.log_probs[0]
    assert (table(few)["odd"] == (table(few)["logprob"] <= least)).all()


@pytest.mark.parametrize("share", ["0", "100%", "x", "-1%", "1e-3%%"])
def test_a_share_is_a_share(data, model, share):
    done = flowcli("logprob", model, data, "--threshold", share)
    assert (done.code, "is no share; write 0.1% or 0.001" in done.complaint) == (2, True)


def test_an_ensemble_has_percentiles_too(data, tmp_path):
    path = fitted(data, tmp_path / "several.flow", "--ensemble", 2)
    assert 0.3 < table(flowcli("logprob", path, data, "--percentile"))["percentile"].mean() < 0.7


def test_a_model_of_before_says_what_it_lacks(data, model, tmp_path):
    loaded = package.load(model)
    loaded.density.held_out = None
    loaded.save(tmp_path / "old.flow")
    done = flowcli("logprob", "old.flow", data, "--percentile")
    assert (done.code, done.complaint) == (
        2,
        "the model does not know how likely its held-out rows were; fit it again to have that",
    )


# --- why? -------------------------------------------------------------------------------------------------------------


def test_shares_add_up_beside_everything_else(penguins):
    lines = PENGUINS.read_text().splitlines()[:9]
    lines[1] = lines[1].replace("Adelie", "Dodo")
    text = "\n".join(lines).encode()
    done = flowcli("logprob", penguins, "-", "--per-column", "--with-input", stdin=text)
    rows = list(csv.DictReader(io.StringIO(done.text)))
    names = [name for name in rows[0] if name.startswith("logprob_")]
    assert names == [f"logprob_{name}" for name in lines[0].split(",")]
    assert list(rows[0])[-2:] == ["logprob", "oddest"]
    for row in rows[1:]:
        assert sum(float(row[name]) for name in names) == pytest.approx(float(row["logprob"]), abs=1e-6)
        assert row["oddest"] in lines[0]
    assert (rows[0]["logprob"], rows[0]["logprob_species"], rows[0]["oddest"]) == ("-inf", "-inf", "species")


def test_a_row_that_cannot_be_read_has_nothing(model):
    text = b"a,b,c\n0.1,3,1.5\n0.1,x,1.5\n0.3,4,2\n"
    done = flowcli("logprob", model, "--per-column", "--threshold", "10%", "--bad-rows", "nan", stdin=text)
    assert done.code == 0
    assert done.lines[2] == ",,,,,"
    assert all(done.lines[row].split(",")[-1] in "abc" for row in (1, 3))


def test_from_python_it_is_the_same(data, model):
    frame = pd.read_csv(data).head(5)
    found = package.load(model).log_prob_by_column(frame)
    shown = table(flowcli("logprob", model, "-", "--per-column", stdin=frame.to_csv(index=False).encode()))
    assert list(found) == ["a", "b", "c", "oddest"]
    assert found["oddest"].tolist() == shown["oddest"].tolist()
    np.testing.assert_array_equal(found[["a", "b", "c"]], shown[["logprob_a", "logprob_b", "logprob_c"]])


# --- some columns alone -----------------------------------------------------------------------------------------------


def test_a_marginal_needs_its_columns_alone(data, model):
    frame = pd.read_csv(data).head(20)
    one = table(flowcli("logprob", model, "-", "--columns", "a,c", "--error", stdin=frame.to_csv(index=False).encode()))
    some = flowcli("logprob", model, "-", "--columns", "a,c", stdin=frame[["c", "a"]].to_csv(index=False).encode())
    assert list(one) == ["logprob", "logprob_error"]
    assert one["logprob"].tolist() == table(some)["logprob"].tolist()
    assert (one["logprob_error"] <= 0.05).all()
    assert (one["logprob"] > package.load(model).log_prob(frame)).mean() > 0.9
    marginal = package.load(model).marginal(frame[["a", "c"]], ["a", "c"])
    assert marginal.log_prob.tolist() == one["logprob"].tolist()


def test_all_columns_are_the_row(data, model):
    frame = pd.read_csv(data).head(20)
    text = frame.to_csv(index=False).encode()
    marginal = table(flowcli("logprob", model, "--columns", "a,b,c", "--error", stdin=text))
    whole = table(flowcli("logprob", model, "--draws", 64, "--error", stdin=text))
    difference = (marginal["logprob"] - whole["logprob"]).abs()
    assert (difference < 4 * (marginal["logprob_error"] + whole["logprob_error"]) + 1e-6).all()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--columns", "a,z"], 2, "the model has no density of a column 'z'; it has a, b, c"),
        (["--columns", "a", "--terms"], 2, "a marginal density has no terms and no percentiles"),
        (["--columns", "a", "--threshold", "1%"], 2, "a marginal density has no terms and no percentiles"),
        (["--columns", "a", "--candidates", "3"], 2, "3 is not at least 64"),
    ],
)
def test_what_makes_no_sense_is_said(data, model, arguments, code, complaint):
    done = flowcli("logprob", model, data, *arguments)
    assert (done.code, complaint in done.complaint) == (code, True)


def test_a_total_is_asked_for_with_its_parts(totals):
    loaded = package.load(totals).density.schema
    (target,) = [column for column in loaded.columns if column.subtracted_columns]
    done = flowcli("logprob", totals, "--columns", target.name, stdin=f"{target.name}\n300\n".encode())
    assert (done.code, f"{target.name!r} is modelled as the rest of it after" in done.complaint) == (2, True)


# --- drawn given some -------------------------------------------------------------------------------------------------


def test_draws_have_what_is_given_and_say_how_sure_they_are(penguins):
    done = flowcli("sample", penguins, "-n", 300, "--seed", 1, "--given", "species=Gentoo,year=2008")
    found = table(done)
    assert set(found["species"]) == {"Gentoo"}
    assert set(found["year"]) == {2008}
    assert found["body_mass_g"].mean() > 4400
    assert "drawn by importance resampling: " in done.err
    assert "what is given has a log-density of -" in done.err
    again = flowcli("sample", penguins, "-n", 20, "--seed", 1, "--given", "species=Gentoo,year=2008")
    assert again.lines == done.lines[:21]
    scored = flowcli("sample", penguins, "-n", 5, "--seed", 1, "--given", "species=Gentoo,year=2008", "--with-logprob")
    own = table(flowcli("logprob", penguins, stdin=scored.out))["logprob"]
    assert table(scored)["logprob"].tolist() == pytest.approx(own.tolist())


def test_from_python_rows_are_drawn_for_each_that_is_given(penguins):
    given = pd.DataFrame({"species": ["Gentoo", "Adelie"]})
    drawn = package.load(penguins).sample(50, seed=0, given=given)
    assert drawn["species"].tolist() == ["Gentoo"] * 50 + ["Adelie"] * 50
    assert drawn["flipper_length_mm"][:50].mean() > drawn["flipper_length_mm"][50:].mean() + 10


@pytest.mark.parametrize(
    ("given", "code", "complaint"),
    [
        ("species=Dodo", 2, "species=Dodo: there is no such text in that column"),
        ("speces=Gentoo", 2, "the model has no column 'speces'; did you mean 'species'?"),
        ("species=", 2, "species=: no cell of that column was missing"),
        ("sex=", 2, "--given sex=: no cell can be given as missing"),
        ("species=Gentoo,bill_depth_mm=900", 5, "cannot be drawn: of 1,536 candidates"),
    ],
)
def test_what_cannot_be_given_is_said(penguins, given, code, complaint):
    done = flowcli("sample", penguins, "-n", 5, "--seed", 0, "--given", given)
    assert done.code == code, done.err
    assert complaint in done.complaint


def test_a_file_of_what_is_given_is_for_conditional_models(data, model):
    done = flowcli("sample", model, "-n", 5, "--given-file", data)
    assert (done.code, "`flowcli impute` fills a file of rows" in done.complaint) == (2, True)


# --- gaps filled ------------------------------------------------------------------------------------------------------


def test_what_is_there_stays_and_what_is_not_is_filled(penguins):
    text = "id," + "\n7,".join(PENGUINS.read_text().splitlines()[:30])
    done = flowcli("impute", penguins, "-", stdin=text.encode())
    assert (done.code, done.lines[0]) == (0, text.splitlines()[0])
    before, after = ([line.split(",") for line in each.splitlines()] for each in (text, done.text))
    filled = 0
    for row, whole in zip(before, after, strict=True):
        for cell, found in zip(row, whole, strict=True):
            filled += cell == "NA"
            assert (found != "" and found != "NA") if cell == "NA" else found == cell
    assert filled > 5
    twice = flowcli("impute", penguins, "-", "-q", stdin=done.out)
    assert twice.out == done.out


def test_each_row_comes_as_often_as_asked(penguins, tmp_path):
    done = flowcli("impute", penguins, PENGUINS, "-n", 3, "-o", "filled.parquet")
    assert done.code == 0, done.err
    found = pyarrow.parquet.read_table("filled.parquet").to_pandas()
    whole = pd.read_csv(PENGUINS)
    assert len(found) == 3 * len(whole)
    gaps = whole["body_mass_g"].isna()
    masses = found["body_mass_g"].astype(float).to_numpy().reshape(-1, 3)
    assert (masses[~gaps] == whole["body_mass_g"][~gaps].to_numpy()[:, None]).all()
    assert all(len(set(three)) > 1 for three in masses[gaps])
    assert np.isfinite(masses).all()


def test_the_model_need_not_have_seen_a_gap(model):
    done = flowcli("impute", model, "-", stdin=b"c,a,b\n1.25,,3\n,0.5,\n2.50,1.5,7\n")
    assert (done.code, done.err) == (0, "")
    lines = [line.split(",") for line in done.lines]
    assert lines[0] == ["c", "a", "b"]
    assert (lines[1][0], lines[1][2], lines[2][1], lines[3]) == ("1.25", "3", "0.5", ["2.50", "1.5", "7"])
    assert all(cell for line in lines for cell in line)
    frame = pd.DataFrame({"a": [np.nan, 0.5], "b": [3.0, np.nan], "c": [1.25, np.nan]})
    assert not package.load(model).impute(frame).isna().any(axis=None)


def test_a_row_that_cannot_be_filled_stays_as_it_was(penguins):
    text = PENGUINS.read_text().splitlines()
    done = flowcli("impute", penguins, "-", stdin="\n".join([text[0], text[4].replace("Adelie", "Dodo")]).encode())
    assert done.code == 0
    assert done.lines[1] == text[4].replace("Adelie", "Dodo")
    assert "1 of 1 rows are as they were" in done.err


def test_a_total_without_a_part_is_refused(totals):
    (target,) = [column for column in package.load(totals).density.schema.columns if column.subtracted_columns]
    row = {"a": "200", "b": "100", "sum": "300", target.subtracted_columns[0][0]: ""}
    text = "a,b,sum\n" + ",".join(row.values()) + "\n"
    done = flowcli("impute", totals, "-", stdin=text.encode())
    assert (done.code, f"column {target.name!r}: is known in a row in which a part of it is not" in done.complaint) == (
        3,
        True,
    )
    text = "a,b,sum\n" + ",".join({**row, target.name: ""}.values()) + "\n"
    found = table(flowcli("impute", totals, "-", stdin=text.encode()))
    assert found["sum"][0] == found["a"][0] + found["b"][0]


def test_info_of_a_model_with_held_out_levels_is_as_before(model):
    assert "held_out" not in json.loads(flowcli("info", model, "--json").text)
