"""Tables with texts and missing cells, through the commands."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

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
        (["sample", "p.flow", "-n", 1, "--given", "species=Adelie"], "not conditioned on any column"),
        (["fit", PENGUINS, "--given", "specis"], "--given: there is no column 'specis'; did you mean 'species'?"),
        (["fit", PENGUINS, "--weights", "wight"], "--weights: there is no column 'wight'"),
        (
            ["fit", PENGUINS, "-c", "nsf"],
            "linear: lu: a layer that mixes columns cannot work",
        ),
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
