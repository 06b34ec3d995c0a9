"""Tables with texts and missing cells, through the commands."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest

from tests.cli.terminal import flowcli

PENGUINS = Path(__file__).parents[2] / "sample_data" / "penguins.csv"
TINY = ["--epochs", 3, "--threads", 1, "-q"]


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables")
    for name, options in (("p.flow", []), ("g.flow", ["--given", "species,bill_length_mm"])):
        done = flowcli("fit", PENGUINS, "-o", path / name, *TINY, *options)
        assert (done.code, done.err) == (0, "")
    return path


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_table_as_it_is_needs_no_option(folder: Path) -> None:
    done = flowcli("logprob", "p.flow", PENGUINS, "--with-input", "--error")
    rows = cells(done.text)
    assert len(rows) == 344
    assert all(math.isfinite(float(row["logprob"])) for row in rows)
    whole = [row for row in rows if row["body_mass_g"] != "NA"]
    assert all(float(row["logprob_error"]) > 0 for row in whole)
    drawn = cells(flowcli("sample", "p.flow", "-n", 400, "--seed", 1).text)
    assert {row["species"] for row in drawn} == {"Adelie", "Chinstrap", "Gentoo"}
    assert {row["sex"] for row in drawn} == {"male", "female", ""}
    assert all(row["body_mass_g"] == "" or int(row["body_mass_g"]) % 25 == 0 for row in drawn)


def test_a_condition_on_texts() -> None:
    drawn = cells(flowcli("sample", "p.flow", "-n", 20, "--where", 'species in ["Gentoo"] and sex != "male"').text)
    assert {(row["species"], row["sex"]) for row in drawn} == {("Gentoo", "female")}
    done = flowcli("sample", "p.flow", "-n", 20, "--where", 'species == "Gentu"')
    assert (done.code, "did you mean 'Gentoo'?" in done.complaint) == (2, True)


def test_what_is_given_comes_from_the_command_or_a_file() -> None:
    drawn = cells(flowcli("sample", "g.flow", "-n", 3, "--given", "species=Adelie,bill_length_mm=40").text)
    assert [(row["species"], float(row["bill_length_mm"])) for row in drawn] == [("Adelie", 40.0)] * 3
    Path("given.csv").write_text("bill_length_mm,species\n48,Gentoo\nNA,Adelie\n")
    drawn = cells(flowcli("sample", "g.flow", "-n", 2, "--given-file", "given.csv").text)
    assert [row["species"] for row in drawn] == ["Gentoo", "Gentoo", "Adelie", "Adelie"]
    assert [row["bill_length_mm"] for row in drawn] == ["48.0", "48.0", "", ""]
    one = flowcli("logprob", "g.flow", PENGUINS).lines[1]
    lines = PENGUINS.read_text().splitlines()[:2]
    without = "\n".join(line.partition(",")[2] for line in lines).encode()
    again = flowcli("logprob", "g.flow", "--given", "species=Adelie", stdin=without).lines[1]
    assert float(again) == pytest.approx(float(one), abs=1e-5)  # the last digits of float32 depend on the block


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sample", "g.flow", "-n", 1], "conditioned on species, bill_length_mm; give values with --given species=..."),
        (["sample", "g.flow", "-n", 1, "--given", "species=Adelie"], "conditioned on bill_length_mm"),
        (["sample", "g.flow", "-n", 1, "--given", "species"], "write COLUMN=VALUE"),
        (["sample", "g.flow", "-n", 1, "--given", "specie=x"], "did you mean 'species'?"),
        (["sample", "g.flow", "-n", 1, "--given", "species=Adelyie"], "did you mean 'Adelie'?"),
        (["sample", "g.flow", "-n", 1, "--given", "bill_length_mm=long"], "not a finite number"),
        (["logprob", "p.flow", PENGUINS, "--given", "species=Adelie"], "not conditioned on any column"),
        (["sample", "p.flow", "-n", 1, "--given", "species=Adelie,species=Gentoo"], "'species' has two values"),
        (["fit", PENGUINS, "--given", "specis"], "--given: there is no column 'specis'; did you mean 'species'?"),
        (["fit", PENGUINS, "--weights", "wight"], "--weights: there is no column 'wight'"),
    ],
)
def test_what_makes_no_sense_is_2(arguments: list[str | Path | int], said: str) -> None:
    done = flowcli(*arguments)
    assert (done.code, said in done.complaint) == (2, True), done.err


def test_rows_that_cannot_be_read() -> None:
    text = "\n".join(PENGUINS.read_text().splitlines()[:4]).replace("39.1", "oops").encode()
    done = flowcli("logprob", "p.flow", stdin=text)
    assert (done.code, "standard input:2, column 'bill_length_mm': 'oops'" in done.complaint) == (3, True)
    done = flowcli("logprob", "p.flow", "--with-input", "--bad-rows", "nan", stdin=text)
    assert [bool(row["logprob"]) for row in cells(done.text)] == [False, True, True]
    done = flowcli("logprob", "p.flow", stdin=text.replace(b"oops", b"39").replace(b"Torgersen", b"Mars"))
    assert done.lines[1:] == ["-inf"] * 3
    assert done.err.count("'Mars' is not among the texts that the model knows") == 1


def test_drawn_rows_can_be_complete() -> None:
    plain, whole = (
        cells(flowcli("sample", "p.flow", "-n", 500, "--seed", 1, *more).text) for more in ([], ["--complete"])
    )
    assert any("" in row.values() for row in plain)
    assert not any("" in row.values() for row in whole)
    for before, after in zip(plain, whole, strict=True):
        assert all(cell in ("", after[name]) for name, cell in before.items())
    assert all(int(row["body_mass_g"]) % 25 == 0 for row in whole)


def table(name: str, header: str, rows: list[str]) -> Path:
    path = Path(name)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def numbers(count: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, columns))


def test_totals_of_drawn_rows_are_those_of_what_is_written() -> None:
    random = np.random.default_rng(5)
    pieces = np.column_stack([random.poisson(40, 600), random.poisson(20, 600), random.integers(0, 100, 600)])
    table("sum.csv", "A,B,C,T", [",".join(map(str, [*row, row.sum()])) for row in pieces])
    assert "A + B + C, exactly" in flowcli("fit", "sum.csv", *TINY[:-1]).err
    drawn = cells(flowcli("sample", "sum.flow", "-n", 300, "--seed", 3, "--with-logprob").text)
    assert all(int(row["T"]) == int(row["A"]) + int(row["B"]) + int(row["C"]) for row in drawn)
    assert all(math.isfinite(float(row["logprob"])) for row in drawn)


def test_a_value_that_a_given_column_cannot_hold_is_refused() -> None:
    rows = [f"{'abc'[i % 3]},{1 + i % 3},{abs(g):.6f},{z:.6f}" for i, (g, z) in enumerate(numbers(300, 2))]
    table("given.csv", "k,n,g,z", rows)
    assert flowcli("fit", "given.csv", "--given", "k,n,g", "--kind", "g=positive", *TINY).code == 0
    for wrong in ("k=b,n=1,g=-1", "k=b,n=4,g=1", "k=b,n=2.4,g=1"):
        for done in (
            flowcli("sample", "given.flow", "-n", 3, "--given", wrong),
            flowcli("logprob", "given.flow", "given.csv", "--given", wrong),
        ):
            assert (done.code, done.text) == (2, ""), wrong
    for row, column in (("b,1,-1", "'g'"), ("q,1,1", "'k'"), ("b,7,1", "'n'")):
        table("wrong.csv", "k,n,g", ["a,1,1", row])
        done = flowcli("sample", "given.flow", "-n", 3, "--given-file", "wrong.csv")
        assert (done.code, done.text) == (3, "")
        assert f"column {column}: row 2: " in done.complaint


def test_lists_may_stand_on_several_lines() -> None:
    table("c=d.csv", "c=d,k,x", [f"{i % 3},{'ab'[i % 2]},{x[0]}" for i, x in enumerate(numbers(200, 1))])
    assert flowcli("fit", "c=d.csv", "-o", "cd.flow", "--given", "c=d\nk", *TINY).code == 0
    drawn = cells(flowcli("sample", "cd.flow", "-n", 2, "--given", "c=d=1,k=a").text)
    assert {(row["c=d"], row["k"]) for row in drawn} == {("1", "a")}
    assert flowcli("fit", "c=d.csv", "--columns", 'k,"x').code == 2


@pytest.mark.parametrize("words", [("no", "Yes"), ("False", "True"), ("f", "T"), ("false", "true")])
def test_true_is_true_whatever_its_letters(words: tuple[str, str]) -> None:
    table("truth.csv", "b,x", [f"{words[i % 2]},{x[0] + 8 * (i % 2)}" for i, x in enumerate(numbers(200, 1))])
    assert flowcli("fit", "truth.csv", "--force", *TINY).code == 0
    for condition in ("b == True", "b == true", "b != False"):
        drawn = cells(flowcli("sample", "truth.flow", "-n", 20, "--where", condition).text)
        assert {row["b"] for row in drawn} == {words[1]}
    table("other.csv", "b,x", [f"{words[0].upper()},0", f"{words[1].swapcase()},8"])
    assert all(
        math.isfinite(float(row["logprob"])) for row in cells(flowcli("logprob", "truth.flow", "other.csv").text)
    )


def test_a_grid_of_halves_is_drawn_with_its_halves() -> None:
    table("halves.csv", "x", [str(round(10 * x[0])) for x in numbers(400, 1)])
    assert flowcli("fit", "halves.csv", "--kind", "x=rounded:0.5", *TINY).code == 0
    drawn = [float(row["x"]) for row in cells(flowcli("sample", "halves.flow", "-n", 400, "--seed", 1).text)]
    assert 0.3 < np.mean([x % 1 == 0.5 for x in drawn]) < 0.7


def test_a_long_row_among_texts_is_what_is_wrong() -> None:
    rows = [f"{'ab'[i % 2]},{x[0]}" for i, x in enumerate(numbers(300, 1))]
    table("long.csv", "k,x", [*rows[:200], f"{rows[200]},9", *rows[201:]])
    done = flowcli("fit", "long.csv")
    assert (done.code, "long.csv:202: 3 cells" in done.complaint) == (3, True)


def test_names_of_columns_that_are_added_are_their_own() -> None:
    for name in ("z1", "base_logprob", ""):
        done = flowcli("logprob", "p.flow", PENGUINS, "--terms", "--name", name)
        assert (done.code, done.text) == (2, "")


def test_a_kind_that_a_constant_column_cannot_have_is_refused() -> None:
    table("same.csv", "m,x", [f"2.5,{x[0]}" for x in numbers(50, 1)])
    assert flowcli("fit", "same.csv", "--kind", "m=bounded:5,6").code == 3


def test_an_angle_outside_of_its_turn_has_no_density() -> None:
    table("turn.csv", "a", [str(round(180 + 40 * x[0]) % 360) for x in numbers(300, 1)])
    assert flowcli("fit", "turn.csv", "--kind", "a=circular:360", *TINY).code == 0
    table("turns.csv", "a", ["10", "370", "-350"])
    scores = [float(row["logprob"]) for row in cells(flowcli("logprob", "turn.flow", "turns.csv").text)]
    assert math.isfinite(scores[0])
    assert scores[1:] == [-math.inf, -math.inf]
