"""What stands for a missing cell: the usual words, those that the user names, or nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import flowcli
from flowcli.errors import DataError
from flowcli.table import ReadOptions, frame_values, from_frame, open_table, read_table

OURS = ReadOptions(missing=("?", "-999"))
NOTHING = ReadOptions(missing=())


def silent(_: str) -> None:
    pass


def table(path, text: str, options: ReadOptions, notice=silent):
    path.write_text(text)
    return read_table(str(path), options=options, notice=notice)


def mixed(rows: int = 200) -> str:
    random = np.random.default_rng(0)
    lines = ["x,k,c"]
    for row in range(rows):
        x = ("?", "-999", "-999.0", "")[row % 4] if row < 40 else f"{random.normal():.3f}"
        lines.append(f"{x},{-999 if row % 10 == 3 else random.integers(0, 400)},{('NA', '?', 'DE', ' FR')[row % 4]}")
    return "\n".join(lines) + "\n"


def test_words_and_numbers_that_are_named_are_missing_in_every_column_and_no_others(tmp_path):
    found = table(tmp_path / "a.csv", mixed(), OURS)
    assert np.isnan(found.values).sum(0).tolist() == [40, 20, 50]
    assert found.schema.columns[2].levels == ("DE", "FR", "NA")
    assert (found.schema.columns[0].words, found.schema.columns[1].integer) == ((), True)


def test_nothing_but_the_empty_cell_is_missing_where_that_is_said(tmp_path):
    found = table(tmp_path / "a.csv", "country,x\n" + "NA,1\nDE,2\nNA,\n,3\n" * 10, NOTHING)
    assert found.schema.columns[0].levels == ("DE", "NA")
    assert np.isnan(found.values).sum(0).tolist() == [10, 10]
    with pytest.raises(DataError, match="'NaN' is not a number"):
        table(tmp_path / "b.csv", "x\n" + "".join(f"{k}\n" for k in range(300)) + "NaN\n", NOTHING)


def test_a_model_reads_other_tables_as_its_own_unless_told_otherwise(tmp_path):
    path = tmp_path / "a.csv"
    schema = table(path, mixed(), OURS).schema
    with open_table(str(path), schema.columns, notice=silent) as reader:
        assert np.isnan(reader.values()).sum(0).tolist() == [40, 20, 50]
    with (
        open_table(str(path), schema.columns, options=ReadOptions(missing=("NA",)), notice=silent) as reader,
        pytest.raises(DataError, match=r"'\?' is not a number"),
    ):
        reader.values()


def test_types_do_not_matter(tmp_path):
    frame = pd.DataFrame({"x": [1.5, -999.0, 2.5, 3.5] * 5, "k": [1, 2, -999, 4] * 5, "c": ["a", "?", "NA", "b"] * 5})
    frame.to_parquet(tmp_path / "a.parquet")
    for found in (
        from_frame(frame, options=OURS, notice=silent),
        read_table(str(tmp_path / "a.parquet"), options=OURS, notice=silent),
    ):
        assert np.isnan(found.values).sum(0).tolist() == [5, 5, 5]
        assert np.isnan(frame_values(frame, found.schema.columns)).sum(0).tolist() == [5, 5, 5]


def test_what_a_model_draws_is_read_as_it_was_drawn(tmp_path):
    random = np.random.default_rng(1)
    data = pd.DataFrame({"country": random.choice(["NA", "DE", None], 300), "x": random.normal(size=300)})
    model = flowcli.fit(data, missing=[], overrides=["train.epochs=2"])
    model.save(tmp_path / "m.flow")
    drawn = flowcli.load(tmp_path / "m.flow").sample(200, seed=0)
    assert set(drawn["country"].dropna()) == {"NA", "DE"}
    assert np.isfinite(model.log_prob(drawn)).all()


@pytest.mark.parametrize(
    ("others", "sentinel", "said"),
    [
        (np.arange(100.0), -999, True),
        (np.arange(100.0), 9999, True),
        (np.arange(100.0), -1, False),  # may be what it is
        (np.arange(2000.0), 999, False),  # among the others
        (np.arange(2000.0), 2999, False),  # not of nines
        (np.exp(np.linspace(0, 12, 300)), 99999999, True),
    ],
)
def test_a_number_of_nines_far_from_all_others_is_pointed_out(others, sentinel, said):
    notes: list[str] = []
    values = np.concatenate([others, np.full(5, float(sentinel))])
    from_frame(pd.DataFrame({"x": values, "y": np.arange(len(values)) % 7}), notice=notes.append)
    assert any(f"--missing 'NA,{sentinel}'" in note for note in notes) == said
