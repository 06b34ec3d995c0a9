"""Tables as strangers bring them: words among numbers, what names a row, texts that look like numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowcli.errors import DataError
from flowcli.table import (
    Column,
    ColumnRequest,
    ReadOptions,
    Schema,
    from_frame,
    open_table,
    read_table,
    read_values,
    to_cells,
)
from flowcli.table.io import csv_reader
from flowcli.table.io.load import Table

RNG = np.random.default_rng(1)


def read(
    tmp_path: Path, columns: dict[str, list[object]], request: ColumnRequest | None = None
) -> tuple[Table, list[str]]:
    path, notices = tmp_path / "d.csv", []
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [list(columns), *rows]) + "\n")
    return read_table(str(path), request or ColumnRequest(), notice=notices.append), notices


def cells(column: Column, values: np.ndarray) -> list[str | None]:
    return [
        None if cell is None else str(cell)
        for cell in to_cells(values[:, None], Schema((column,))).column(0).to_pylist()
    ]


NUMBERS = [f"{value:.1f}" for value in RNG.gamma(5, 9, 200)]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([*NUMBERS, "<0.1", "<0.1", "unknown", "unknown", "unknown"], ("<0.1", "unknown")),
        ([*NUMBERS, *300 * ["below"], ""], ("below",)),
        (["1", "2", "3", "4", "5+", "5+"] * 50, ("5+",)),
    ],
)
def test_words_among_numbers_are_kept_beside_them(tmp_path, texts, words):
    table, _ = read(tmp_path, {"x": texts, "y": list(RNG.normal(size=len(texts)))})
    column = table.schema.columns[0]
    assert (column.words, column.missing, column.text) == (words, "" in texts, False)
    assert cells(column, table.values[:, 0]) == [text or None for text in texts]
    with open_table(str(tmp_path / "d.csv"), table.schema.columns, notice=lambda _: None) as reader:
        assert reader.values().tobytes() == table.values.tobytes()


def test_one_word_is_a_slip_and_many_are_a_column_of_text(tmp_path):
    with pytest.raises(DataError, match=r":202, column 'x': 'abc' is not a number"):
        read(tmp_path, {"x": [*NUMBERS, "abc"], "y": list(RNG.normal(size=201))})
    table, _ = read(
        tmp_path, {"x": [*range(1, 151), *(f"{k}a" for k in range(30))] * 2, "y": list(RNG.normal(size=360))}
    )
    assert table.schema.columns[0].kind == "category"


def test_a_model_refuses_a_word_that_it_does_not_know(tmp_path):
    table, _ = read(tmp_path, {"x": [*NUMBERS, "low", "low"]})
    other = tmp_path / "o.csv"
    other.write_text("x\n1.5\nhigh\n")
    with (
        open_table(str(other), table.schema.columns, notice=lambda _: None) as reader,
        pytest.raises(DataError, match=":3, column 'x': 'high' is not a number"),
    ):
        reader.values()


LEFT_OUT = {
    "": list(range(100)),
    "Unnamed: 0": list(range(1, 101)),
    "rownames": [3 * k + 1 for k in range(100)],
    "user_id": list(RNG.permutation(10_000)[:100]),
    "hash": [f"{k:08x}" for k in RNG.integers(2**31, size=100)],
    "name": [f"person {k}" for k in range(100)],
    "nothing": 100 * [""],
}


@pytest.mark.parametrize("name", [name for name in LEFT_OUT if name])
def test_what_names_a_row_is_left_out_in_one_line_and_comes_back(tmp_path, name):
    columns = {name: LEFT_OUT[name], "x": list(RNG.normal(size=100))}
    table, notices = read(tmp_path, columns)
    assert table.schema.names == ["x"]
    assert sum("left out" in line and repr(name) in line for line in notices) == 1
    if name != "nothing":
        assert read(tmp_path, columns, ColumnRequest(columns=[name, "x"]))[0].schema.names == [name, "x"]
        assert read(tmp_path, columns, ColumnRequest(kinds={name: "category"}))[0].schema.names == [name, "x"]


@pytest.mark.parametrize("cells", [LEFT_OUT[""], LEFT_OUT["rownames"], LEFT_OUT["name"], LEFT_OUT["nothing"]])
@pytest.mark.parametrize("last", [False, True])
def test_a_column_without_a_name_is_called_by_its_place_and_left_out(tmp_path, cells, last):
    x = [f"{value:.3f}" for value in RNG.normal(size=100)]
    columns, name = ({"x": x, "": cells}, "Unnamed: 1") if last else ({"": cells, "x": x}, "Unnamed: 0")
    table, notices = read(tmp_path, columns)
    assert table.schema.names == ["x"]
    assert sum(repr(name) in line for line in notices) == 1
    assert read(tmp_path, columns, ColumnRequest(exclude=[name]))[0].schema.names == ["x"]
    with open_table(str(tmp_path / "d.csv"), table.schema.columns, notice=lambda _: None) as reader:
        assert np.array_equal(reader.values(), table.values)


def test_a_column_without_a_name_that_is_like_others_stays(tmp_path):
    table, _ = read(tmp_path, {"": list(RNG.normal(size=100)), "x": list(RNG.normal(size=100)), " ": NUMBERS[:100]})
    assert table.schema.names == ["Unnamed: 0", "x", "Unnamed: 2"]


def test_days_in_eight_digits_are_days(tmp_path):
    days = np.datetime64("2023-11-20") + RNG.integers(0, 400, 200)
    texts = [str(day).replace("-", "") for day in days]
    table, _ = read(tmp_path, {"day": texts, "x": list(RNG.normal(size=200))})
    column = table.schema.columns[0]
    assert (column.format, column.step) == ("%Y%m%d", 1.0)
    assert np.array_equal(table.values[:, 0], days.astype(np.float64))
    assert cells(column, table.values[:, 0]) == texts
    frame = from_frame(pd.DataFrame({"day": [int(text) for text in texts]}), notice=lambda _: None)
    assert np.array_equal(frame.values[:, 0], table.values[:, 0])
    kept = read(tmp_path, {"day": texts, "x": list(RNG.normal(size=200))}, ColumnRequest(kinds={"day": "real"}))[0]
    assert kept.schema.columns[0].format is None


@pytest.mark.parametrize("other", ["20230230", "20231301", "17", "99991231"])
def test_numbers_of_which_one_is_no_day_are_numbers(tmp_path, other):
    texts = [str(np.datetime64("2023-11-20") + k).replace("-", "") for k in range(150)]
    table, _ = read(tmp_path, {"day": [*texts, other] * 2, "x": list(RNG.normal(size=302))})
    assert table.schema.columns[0].format is None


def test_years_in_order_and_keys_that_come_again_stay(tmp_path):
    columns = {"year": list(range(1900, 2000)), "id": [k // 2 for k in range(100)], "x": list(RNG.normal(size=100))}
    assert read(tmp_path, columns)[0].schema.names == ["year", "id", "x"]


def test_leading_zeros_make_texts(tmp_path):
    table, _ = read(tmp_path, {"zip": ["00501", "10001", "60601", "94110"] * 25, "x": list(RNG.normal(size=100))})
    assert table.schema.columns[0].levels == ("00501", "10001", "60601", "94110")


FORMATTED = {
    "date": ([f"2020-{m:02d}-{d:02d}" for m in range(1, 13) for d in (1, 9, 30) if (m, d) != (2, 30)], "real"),
    "clock": ([f"{h:02d}:{m:02d}" for h in range(24) for m in (0, 7, 31)], "circular"),
    "price": ([f"'$1,{k:03d}.50'" for k in range(0, 999, 13)], "positive"),
    "rate": ([f"{k / 10:.1f}%" for k in range(1, 900, 11)], "positive"),
}


@pytest.mark.parametrize("name", FORMATTED)
def test_cells_in_a_format_are_numbers_and_are_written_in_it(tmp_path, name):
    texts = [text.strip("'") for text in FORMATTED[name][0]]
    quoted = [f'"{text}"' for text in texts]
    table, _ = read(tmp_path, {name: quoted, "x": list(RNG.normal(size=len(texts)))})
    column = table.schema.columns[0]
    assert column.format is not None
    assert np.isfinite(table.values).all()
    assert cells(column, table.values[:, 0]) == texts
    with open_table(str(tmp_path / "d.csv"), table.schema.columns, notice=lambda _: None) as reader:
        assert np.array_equal(reader.values(), table.values)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [4, 7, 64, 2**20])
@pytest.mark.parametrize("blank", [0, 1, 5, 40])
def test_blank_lines_at_the_end_are_no_rows(tmp_path, monkeypatch, end, size, blank):
    monkeypatch.setattr(csv_reader, "CHUNK_BYTES", size)
    path = tmp_path / "d.csv"
    path.write_bytes(end.join(["a,b", "1,2", '3,"4"', *blank * [""], ""]).encode())
    table = read_table(str(path), notice=lambda _: None)
    assert table.values.tolist() == [[1, 2], [3, 4]]


def test_a_decimal_comma_is_part_of_a_format(tmp_path):
    texts = ["1.438,65 €", "942,04 €", "12,00 €", "1.000.000,10 €"] * 10
    path = tmp_path / "d.csv"
    path.write_text("p;x\n" + "".join(f"{text};{row},5\n" for row, text in enumerate(texts)))
    options = ReadOptions(separator=";", decimal=",")
    table = read_table(str(path), options=options, notice=lambda _: None)
    assert table.values[:4, 0].tolist() == [1438.65, 942.04, 12.0, 1000000.1]
    assert cells(table.schema.columns[0], table.values[:, 0]) == texts
    with open_table(str(path), table.schema.columns, options=options, notice=lambda _: None) as reader:
        assert np.array_equal(reader.values(), table.values)


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("s", "Europe/Berlin"), pa.time64("us")])
def test_typed_dates_can_be_categories(tmp_path, kind):
    unit = {pa.date32(): 1, pa.timestamp("s", "Europe/Berlin"): 86_400}.get(kind, 3_600_000_000)
    numbers = RNG.integers(0, 12, 200) * unit
    cells = pa.array(numbers, pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
    pq.write_table(pa.table({"when": cells, "x": RNG.normal(size=200)}), tmp_path / "d.parquet")
    table = read_table(str(tmp_path / "d.parquet"), ColumnRequest(kinds={"when": "category"}), notice=lambda _: None)
    column = table.schema.columns[0]
    assert (column.kind, len(column.levels)) == ("category", 12)
    assert np.isfinite(table.values).all()
    like = read_values(str(tmp_path / "d.parquet"), table.schema.columns, ReadOptions())
    assert np.array_equal(like, table.values)
