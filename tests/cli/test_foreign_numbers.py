"""Numbers that are none of their column's: counted over a whole command, and said in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import flowcli
from tests.cli.terminal import fitted
from tests.cli.terminal import flowcli as command

NOTE = (
    "3 rows have a number that is none of its column's (column 'month': 2 rows, such as 13; column 'flag': 1 row,"
    " such as 0.3; column 'age': 1 row, such as 40.5); their log-density is -inf"
)


def table(count, seed):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "month": random.integers(1, 13, count),
            "flag": random.integers(0, 2, count),
            "age": np.round(40 + 12 * random.standard_normal(count)).astype(int),
            "x": random.standard_normal(count),
        }
    )


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    folder = tmp_path_factory.mktemp("months")
    table(400, 0).to_csv(folder / "d.csv", index=False)
    return fitted(folder / "d.csv", folder / "d.flow", "--kind", "month=bounded:0.5,12.5")


@pytest.fixture
def odd(tmp_path):
    """Rows of three blocks: one impossible in the first, two in the last, of which one is so for two columns."""
    rows = table(5000, 1).astype(float)
    rows.loc[5, "month"], rows.loc[4500, "month"] = 13, 2.5
    rows.loc[4600, ["flag", "age"]] = 0.3, 40.5
    rows.to_csv(tmp_path / "odd.csv", index=False)
    return tmp_path / "odd.csv"


def test_the_note_is_one_for_all_blocks(months, odd):
    done = command("logprob", months, odd, "--batch-rows", 1000, "--threads", 1)
    assert (done.code, done.err) == (0, f"flowcli: note: {NOTE}\n")
    (impossible,) = np.nonzero(np.array(done.lines[1:], dtype=float) == -np.inf)
    assert impossible.tolist() == [5, 4500, 4600]
    assert command("logprob", months, odd, "--threads", 1, "-q").err == ""


def test_only_what_is_asked_about_counts(months, odd):
    pd.read_csv(odd).iloc[4590:4605].to_csv(odd, index=False)
    done = command("logprob", months, odd, "--columns", "flag,x", "--threads", 1)
    assert done.code == 0
    values = np.array(done.lines[1:], dtype=float)
    assert np.flatnonzero(values == -np.inf).tolist() == [10]
    assert "1 row has a number that is none of its column's (column 'flag': 1 row, such as 0.3); its" in done.err


def test_evaluate_says_the_same_and_names_the_column(months, odd, tmp_path):
    rows = pd.read_csv(odd).iloc[[*range(60), 4500, 4600]]
    rows.to_csv(tmp_path / "few.csv", index=False)
    done = command("evaluate", months, tmp_path / "few.csv", "-n", 100, "--threads", 1)
    assert (done.code, done.err) == (0, f"flowcli: note: {NOTE}\n")
    rows.iloc[:-1].to_csv(tmp_path / "months.csv", index=False)
    done = command("evaluate", months, tmp_path / "months.csv", "-n", 100, "--threads", 1)
    assert "month has a number that is none of the column's" in " ".join(done.text.split())


def test_python_is_told_too(months, odd):
    said = []
    flowcli.load(months).log_prob(pd.read_csv(odd), notice=said.append)
    assert said == [NOTE]


def test_given_numbers_between_those_of_a_column_are_refused_where_they_have_no_density(months):
    done = command("sample", months, "-n", 5, "--given", "age=40.5")
    assert done.code == 2
    assert done.complaint == "age=40.5: 40.5 is none of the column's numbers, which lie 1 apart"


def test_a_number_with_more_digits_has_the_mean_density_around_it(tmp_path):
    """The file's hundredths are no more than how many digits were printed."""
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"x": random.standard_normal(500).round(2), "n": random.integers(0, 40, 500)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    model = fitted(tmp_path / "d.csv", tmp_path / "d.flow")
    (tmp_path / "new.csv").write_text("x,n\n0.12,7\n0.1234,7\n0.13,7\n0.12,7.5\n")
    done = command("logprob", model, tmp_path / "new.csv", "--draws", 64, "--threads", 1)
    below, between, above, off = map(float, done.lines[1:])
    assert min(below, above) - 0.1 < between < max(below, above) + 0.1
    assert off == -np.inf
    assert "1 row has a number with more digits than its column had (column 'x': 1 row, such as 0.1234)" in done.err
    assert "column 'n': 1 row, such as 7.5); its log-density is -inf" in done.err


def test_a_number_between_coarse_steps_is_unlikely_and_not_impossible(tmp_path):
    """That all of 400 numbers are tens does not say that the next one is; that they are whole does."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"salt": 10 * random.integers(5, 200, 400), "x": random.standard_normal(400)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    model = fitted(tmp_path / "d.csv", tmp_path / "d.flow")
    (tmp_path / "new.csv").write_text("salt,x\n800,0.5\n805,0.5\n810,0.5\n805.5,0.5\n")
    done = command("logprob", model, tmp_path / "new.csv", "--draws", 64, "--threads", 1)
    below, between, above, off = map(float, done.lines[1:])
    assert abs(between + 2 * np.log(402) - (below + above) / 2) < 0.2
    assert off == -np.inf
    assert "1 row has a number off its column's steps (column 'salt': 1 row, such as 805); it" in done.err
    alone = command("logprob", model, tmp_path / "new.csv", "--columns", "salt", "--threads", 1)
    of_column = np.array(alone.lines[1:], dtype=float)
    assert abs(of_column[1] + 2 * np.log(402) - (of_column[0] + of_column[2]) / 2) < 0.2
    drawn = command("sample", model, "-n", 2000, "--seed", 1)
    assert all(float(line.split(",")[0]) % 10 == 0 for line in drawn.lines[1:])
