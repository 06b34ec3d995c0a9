"""``flowcli sample``: rows like those of the data, and the same ones again with a seed."""

from __future__ import annotations

import os
import re

import numpy as np
import pyarrow.parquet
import pytest

import flowcli as package
from tests.cli.terminal import fitted, flowcli


def test_a_seed_repeats_byte_for_byte(model):
    first = flowcli("sample", model, "-n", 3000, "--seed", 7)
    assert (first.code, first.err, len(first.lines)) == (0, "", 3001)
    assert flowcli("sample", model, "-n", 3000, "--seed", 7).out == first.out
    assert flowcli("sample", model, "-n", 3000, "--seed", 8).out != first.out


def test_without_a_seed_runs_differ_and_can_be_repeated(model):
    first, second = (flowcli("sample", model, "-n", 5) for _ in range(2))
    assert first.out != second.out
    seed = re.search(r"note: drawn with --seed (\d+)", first.err)[1]
    assert flowcli("sample", model, "-n", 5, "--seed", seed).out == first.out
    assert flowcli("sample", model, "-n", 5, "-q").err == ""


@pytest.mark.parametrize("options", [[], ["--with-logprob"]])
def test_fewer_rows_are_a_beginning_of_more(model, options):
    whole = flowcli("sample", model, "-n", 5000, "--seed", 1, *options).out
    for rows in (0, 1, 100, 4097):
        part = flowcli("sample", model, "-n", rows, "--seed", 1, *options).out
        assert whole.startswith(part)
        assert part.count(b"\n") == rows + 1


def test_no_rows_give_a_header(model):
    assert flowcli("sample", model, "-n", 0, "--seed", 1).text == "a,b,c\n"
    assert flowcli("sample", model, "-n", 0, "--seed", 1, "-o", "s.parquet").code == 0
    assert [str(kind) for kind in pyarrow.parquet.read_schema("s.parquet").types] == ["double", "int64", "double"]


def test_numbers_are_written_as_in_the_data(model):
    for line in flowcli("sample", model, "-n", 200, "--seed", 1).lines[1:]:
        assert re.fullmatch(r"-?[\d.]+(e-?\d+)?,-?\d+,-?\d+\.\d\d", line), line


def test_names_are_written_as_in_the_data(tmp_path):
    header = '"a, b","say ""x""",[/c]=\n'
    random = np.random.default_rng(0)
    body = "".join(",".join(f"{v:.6g}" for v in row) + "\n" for row in random.standard_normal((60, 3)))
    (tmp_path / "d.csv").write_text(header + body)
    model = fitted(tmp_path / "d.csv", tmp_path / "d.flow")
    assert flowcli("sample", model, "-n", 1, "-q").text.startswith(header)


def test_with_logprob_is_what_logprob_says_of_the_row(model):
    # Printed cells read back as the very numbers that were scored. Rows are scored in the same blocks only when these
    # start at the same row, and a float32 sum over a block of another size may differ in its last digits.
    drawn = flowcli("sample", model, "-n", 3000, "--seed", 3, "--with-logprob").lines
    plain = "\n".join(line.rpartition(",")[0] for line in drawn) + "\n"
    scored = flowcli("logprob", model, stdin=plain.encode()).lines
    assert (drawn[0], scored[0]) == ("a,b,c,logprob", "logprob")
    printed = np.array([float(line.rpartition(",")[2]) for line in drawn[1:]])
    np.testing.assert_allclose(printed, np.array(scored[1:], dtype=float), atol=1e-4)


def test_a_column_called_logprob(tmp_path, data):
    (tmp_path / "d.csv").write_text(data.read_text().replace("a,b,c", "a,b,logprob"))
    model = fitted(tmp_path / "d.csv", tmp_path / "d.flow")
    done = flowcli("sample", model, "-n", 1, "--with-logprob")
    assert (done.code, "column 'logprob' already" in done.complaint) == (2, True)


def test_python_draws_the_same_rows(model):
    frame = package.load(model).sample(50, seed=4)
    assert flowcli("sample", model, "-n", 50, "--seed", 4).lines[0] == ",".join(frame.columns)
    assert flowcli("sample", model, "-n", 50, "--seed", 4, "-o", "s.parquet").code == 0
    assert pyarrow.parquet.read_table("s.parquet").to_pandas().equals(frame)


def test_an_output_appears_whole_or_not_at_all(model, monkeypatch):
    plain = flowcli("sample", model, "-n", 5000, "--seed", 1).out
    assert flowcli("sample", model, "-n", 5000, "--seed", 1, "-o", "s.csv").code == 0
    with open("s.csv", "rb") as file:
        assert file.read() == plain
    from flowcli.errors import NumericsError
    from flowcli.model import Density

    whole = Density.sample_block

    def broken(self, number, *request):
        if number:
            raise NumericsError("a drawn row is not finite")
        return whole(self, number, *request)

    monkeypatch.setattr(Density, "sample_block", broken)
    for name in ("s.csv", "new.csv", "new.parquet", "new.csv.gz"):
        done = flowcli("sample", model, "-n", 5000, "--seed", 2, "-o", name)
        assert (done.code, done.complaint) == (5, "a drawn row is not finite")
    assert os.listdir() == ["s.csv"]
    with open("s.csv", "rb") as file:
        assert file.read() == plain


# --- with a condition -------------------------------------------------------------------------------------------------


def numbers_of(done):
    return [tuple(map(float, line.split(","))) for line in done.lines[1:]]


@pytest.mark.parametrize("options", [[], ["--with-logprob"], ["--threads", 2]])
def test_where_keeps_the_rows_that_meet_it(model, options):
    whole = flowcli("sample", model, "-n", 6000, "--seed", 1, *options)
    expected = [row for row in numbers_of(whole) if row[0] > 0.5 and row[1] % 2 == 0]
    done = flowcli("sample", model, "-n", len(expected), "--seed", 1, "--where", "a > 0.5 and b % 2 == 0", *options)
    assert (done.code, numbers_of(done)) == (0, expected)
    last = numbers_of(whole).index(expected[-1]) + 1
    share = f"{len(expected) / last:.3g}"
    assert done.err == f"flowcli: note: {len(expected):,} of {last:,} drawn rows meet the condition ({share})\n"
    quiet = flowcli("sample", model, "-n", 7, "--seed", 1, "--where", "a > 0.5 and b % 2 == 0", "-q", *options)
    assert (quiet.code, quiet.err, numbers_of(quiet)) == (0, "", expected[:7])


def test_where_nothing_is_the_budget_ends_it(model):
    done = flowcli("sample", model, "-n", 5, "--seed", 1, "--where", "a > 1000", "--budget", 3000, "-o", "s.csv")
    said = (
        "flowcli: only 0 of 3,000 drawn rows meet the condition, and 5 were asked for; ask for fewer rows or for more"
    )
    assert (done.code, done.err.startswith(said), os.path.exists("s.csv")) == (5, True, False)
    assert flowcli("sample", model, "-n", 0, "--where", "a > 1000", "-q").text == "a,b,c\n"


def test_a_condition_that_is_none(model):
    done = flowcli("sample", model, "-n", 5, "--where", "d > 0")
    assert (done.code, done.out) == (2, b"")
    assert done.err == "flowcli: the condition 'd > 0' names no column 'd'; the columns are 'a', 'b', 'c'\n"
    done = flowcli("sample", model, "-n", 5, "--budget", 100)
    assert (done.code, "--budget is for --where" in done.err) == (2, True)


def test_where_from_python(model):
    loaded = package.load(model)
    frame = loaded.sample(50, seed=1, where="a > 0.5")
    whole = loaded.sample(3000, seed=1)
    expected = whole[whole.a > 0.5].head(50).reset_index(drop=True)
    assert frame.equals(expected)
    assert loaded.sample(0, where="a > 0.5").shape == (0, 3)
    with pytest.raises(package.errors.NumericsError, match="only 0 of 100 drawn rows"):
        loaded.sample(1, where="a > 1000", budget=100)
