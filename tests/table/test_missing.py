"""Which cells count as missing: empty ones, and those with a word for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowcli.errors import DataError, FlowcliError, UsageError
from flowcli.model.files.model_file import unpack_schema
from flowcli.table import (
    Column,
    ReadOptions,
    Schema,
    Table,
    frame_values,
    from_frame,
    missing_words,
    open_table,
    read_cell,
    read_table,
)
from flowcli.table.inference.sentinels import sentinels
from flowcli.table.values.missing import USUAL, missing_flag

RNG = np.random.default_rng(1)
NORMAL = RNG.normal(20, 5, size=500).round(1)
WORDS = missing_words(["?", "-999"])
ROWS = 400
GONE = np.arange(ROWS) % 4 == 3
MEASURED = np.where(GONE, -999, NORMAL[:ROWS])
COUNTRY = np.where(GONE, "?", np.array(["NA", "DE", "FR", "NA"])[np.arange(ROWS) % 4])


def written(path: Path, words: tuple[str, ...] | None, separator: str = ",") -> tuple[Table, list[str]]:
    """A table of numbers with -999, in all ways to write it, and of texts with ``?`` and ``NA``."""
    ways = ["-999", " -999.0 ", "-9.99e2", "-999"]
    cells = [ways[i // 4 % 4] if gone else str(x) for i, (x, gone) in enumerate(zip(MEASURED, GONE, strict=True))]
    lines = [separator.join(row) for row in zip(cells, COUNTRY, strict=True)]
    path.write_text("\n".join([f"x{separator}c", *lines]) + "\n")
    notices: list[str] = []
    options = ReadOptions(separator=separator, missing=words)
    return read_table(str(path), options=options, notice=notices.append), notices


def reread(path: Path, columns: tuple[Column, ...], options: ReadOptions = ReadOptions()) -> np.ndarray:  # noqa: B008
    with open_table(str(path), columns, options=options, notice=lambda _: None) as reader:
        return reader.values()


@pytest.mark.parametrize("separator", [",", "\\t"])
def test_words_are_missing_in_columns_of_numbers_and_of_texts(tmp_path, separator):
    mark = "\t" if separator == "\\t" else separator
    table, _ = written(tmp_path / "d.csv", WORDS, mark)
    x, c = table.schema.columns
    assert (x.missing, x.decimals, x.words, c.levels) == (True, 1, (), ("DE", "FR"))
    assert np.array_equal(np.isnan(table.values[:, 0]), GONE)
    assert np.array_equal(np.isnan(table.values[:, 1]), GONE | (COUNTRY == "NA"))
    again = reread(tmp_path / "d.csv", table.schema.columns, ReadOptions(separator=mark))
    assert np.array_equal(again, table.values, equal_nan=True)


def test_none_makes_texts_of_the_usual_words(tmp_path):
    table, _ = written(tmp_path / "d.csv", missing_words(["none"]))
    x, c = table.schema.columns
    assert (x.missing, c.missing, c.levels) == (False, False, ("?", "DE", "FR", "NA"))
    table, _ = written(tmp_path / "d.csv", missing_words(["none", "?"]))
    assert table.schema.columns[1].levels == ("DE", "FR", "NA")
    path = tmp_path / "n.csv"
    path.write_text("x\n1\nnan\n")
    with pytest.raises(DataError, match=r":3, column 'x': 'nan' is not a number.* or give --missing none,nan if"):
        reread(path, (Column("x", missing=True),), ReadOptions(missing=()))


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.decimal128(9, 1)])
def test_typed_numbers_are_missing_by_their_value(tmp_path, kind):
    numbers = pa.array(MEASURED.round(0 if pa.types.is_integer(kind) else 1)).cast(kind, safe=False)
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"x": numbers, "c": pa.array(COUNTRY.tolist())}), path)
    table = read_table(str(path), options=ReadOptions(missing=WORDS), notice=print)
    assert np.array_equal(np.isnan(table.values[:, 0]), GONE)
    assert table.schema.columns[1].levels == ("DE", "FR")
    assert np.array_equal(reread(path, table.schema.columns), table.values, equal_nan=True)
    assert not np.isnan(reread(path, table.schema.columns, ReadOptions(missing=())))[:, 0].any()


def test_a_frame_has_missing_cells_by_value_and_by_word():
    frame = pd.DataFrame({"x": MEASURED, "c": COUNTRY})
    table = from_frame(frame, missing=missing_words(["none", "?", -999]), notice=print)
    assert np.array_equal(np.isnan(table.values), np.column_stack([GONE, GONE]))
    assert np.array_equal(frame_values(frame, table.schema.columns), table.values, equal_nan=True)
    as_texts = from_frame(frame.astype({"x": "category"}), missing=WORDS, notice=print)
    assert np.array_equal(np.isnan(as_texts.values[:, 0]), GONE)


@pytest.mark.parametrize("unit", ["s", "us", None])
def test_a_typed_date_is_missing_by_its_word(tmp_path, unit):
    days = np.datetime64("2024-01-01") + RNG.integers(0, 300, ROWS)
    days[GONE] = np.datetime64("9999-12-31")
    cells = pa.array(days.astype("datetime64[s]").tolist(), pa.date32() if unit is None else pa.timestamp(unit))
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"x": cells}), path)
    table = read_table(str(path), options=ReadOptions(missing=missing_words(["9999-12-31"])), notice=print)
    assert np.array_equal(np.isnan(table.values[:, 0]), GONE)
    assert np.array_equal(reread(path, table.schema.columns), table.values, equal_nan=True)
    assert not np.isnan(read_table(str(path), notice=print).values).any()


def test_numbers_in_a_format_and_with_a_decimal_comma(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("a;b\n" + "".join(f"{x:.1f}%;{x:.1f}\n" for x in [*NORMAL, -99.9, -99.9, -99.9]).replace(".", ","))
    options = ReadOptions(separator=";", decimal=",", missing=missing_words(["-99,9"]))
    table = read_table(str(path), options=options, notice=print)
    assert table.schema.columns[0].format is not None
    assert np.isnan(table.values[-3:]).all()
    assert not np.isnan(table.values[:-3]).any()
    assert np.array_equal(reread(path, table.schema.columns, options), table.values, equal_nan=True)


def test_what_is_given_anew_overrides_what_the_model_knows(tmp_path):
    table, _ = written(tmp_path / "d.csv", WORDS)
    other = tmp_path / "o.csv"
    other.write_text("x,c\n-999,?\nmiss,DE\n")
    with pytest.raises(DataError, match=r":3, column 'x': 'miss' is not a number; correct the cell or drop the row$"):
        reread(other, table.schema.columns)
    values = reread(other, table.schema.columns, ReadOptions(missing=("miss",)))
    assert np.array_equal(values, [[-999, -1], [np.nan, 0]], equal_nan=True)
    assert np.isnan(read_cell("-999.0", table.schema.columns[0]))
    with pytest.raises(UsageError, match="no such text"):
        read_cell("NA", Column("c", "category", levels=("a", "b"), missing=True, missing_words=()))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["NA", " ? ", "", "?"], (*USUAL, "?")),
        (["none"], ()),
        (["none", "?"], ("?",)),
        (["?", "none"], (*USUAL, "?", "none")),
        ([-999, -1.5], (*USUAL, "-999", "-1.5")),
    ],
)
def test_a_list_of_words(given, words):
    assert missing_words(given) == words


@pytest.mark.parametrize("given", ["NA", [], ["", " "]])
def test_what_is_no_list_of_words_is_refused(given):
    with pytest.raises(UsageError, match="missing"):
        missing_words(given)


@pytest.mark.parametrize(
    ("words", "more", "flag"),
    [
        (None, ["?"], "--missing '?'"),
        (None, ["-999"], "--missing=-999"),
        (None, ["none"], "--missing NA,none"),
        ((*USUAL, "?"), ["-9"], "--missing '?,-9'"),
        ((), ["NA"], "--missing none,NA"),
        (("a,b",), ["--"], """--missing 'none,"a,b",--'"""),
    ],
)
def test_the_flag_for_more_words_keeps_those_in_use(words, more, flag):
    import shlex

    from flowcli.cli.reading import read_options

    assert missing_flag(words, more) == flag
    text = shlex.split(flag.replace("--missing=", "--missing ", 1))[1]
    assert read_options(",", ".", False, None, text).missing == (*(USUAL if words is None else words), *more)


@pytest.mark.parametrize("cell", ["?", "--", "n.a.", "#N/A", "<na>", "missing", "None"])
def test_a_mark_among_numbers_is_suggested_as_missing(tmp_path, cell):
    path = tmp_path / "d.csv"
    path.write_text("x\n" + "".join(f"{x}\n" for x in NORMAL) + f"{cell}\n")
    with pytest.raises(DataError, match=r"or give --missing[ =]\S+ if it stands for a missing cell$"):
        read_table(str(path), notice=print)
    flag = missing_words([cell])
    assert np.isnan(read_table(str(path), options=ReadOptions(missing=flag), notice=print).values[-1])


@pytest.mark.parametrize("words", [["a", "b"], "NA", [1], [""], [" a"], ["a", "a"]])
def test_words_of_a_model_file_are_possible_and_the_same_for_all_columns(words):
    good = Schema((Column("x", missing_words=("?",)), Column("y", missing_words=("?",))))
    assert unpack_schema(good.to_json()) == good
    assert unpack_schema(Schema((Column("x", missing_words=()),)).to_json()).columns[0].missing_words == ()
    columns = good.to_json()
    columns[1]["missing_words"] = words
    with pytest.raises(FlowcliError, match="words for a missing cell"):
        unpack_schema(columns)
    columns[0]["missing_words"] = words
    if words != ["a", "b"]:
        with pytest.raises(FlowcliError, match="words for a missing cell"):
            unpack_schema(columns)


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([*NORMAL, *37 * [-999]], {-999: 37}),
        ([*NORMAL, *3 * [-99], *5 * [-999], *4 * [9999]], {-99: 3, -999: 5, 9999: 4}),
        ([*NORMAL, *3 * [-99.99]], {-99.99: 3}),
        ([*(NORMAL + 100), *9 * [-1]], {-1: 9}),
        ([*RNG.integers(1, 6, 200), *9 * [-9]], {-9: 9}),
    ],
)
def test_a_number_far_off_that_stands_for_a_missing_cell(numbers, found):
    assert sentinels(np.array(numbers, float)) == found


@pytest.mark.parametrize(
    "numbers",
    [
        [*NORMAL, -999],
        [*NORMAL, *20 * [-500]],
        [*NORMAL, *20 * [-1]],
        RNG.standard_cauchy(5000).round(),
        RNG.pareto(1, 5000).round(),
        [*np.zeros(900), *RNG.lognormal(5, 2, 100).round()],
        [*RNG.integers(0, 100, 2000)],
        [*500 * [-1], *500 * [1]],
        [*500 * [0], *500 * [999]],
        [*RNG.integers(0, 3, 400), *20 * [9]],
        [*300 * [-1], *300 * [0], *300 * [1]],
    ],
    ids=["once", "no nines", "near", "cauchy", "pareto", "zeros", "percent", "signs", "two", "count", "three"],
)
def test_an_ordinary_column_has_no_such_number(numbers):
    assert sentinels(np.array(numbers, float)) == {}


def test_a_sentinel_is_said_in_one_line_and_changes_nothing(tmp_path):
    table, notices = written(tmp_path / "d.csv", None)
    (said,) = notices
    assert said == (
        "far from the other numbers: -999 in 100 rows of 'x'; if it stands for a missing cell, give --missing=-999"
    )
    assert not np.isnan(table.values[:, 0]).any()
    assert written(tmp_path / "d.csv", WORDS)[1] == []
    _, (said,) = written(tmp_path / "d.csv", ("?",))
    assert said.endswith("give --missing 'none,?,-999'")
