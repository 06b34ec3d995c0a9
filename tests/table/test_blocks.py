"""Blocks, streams and chunks: where a file is cut never shows."""

from __future__ import annotations

import bz2
import gzip
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowcli.errors import DataError, FlowcliError, UsageError
from flowcli.parallel.waiting import Waiting
from flowcli.table import Column, ColumnRequest, ReadOptions, open_table, read_table
from flowcli.table.io import csv_reader
from flowcli.table.io.csv_scan import layout, records
from tests.table.reading import read_blocks

CELL = st.one_of(
    st.sampled_from(
        [
            "1",
            "2.5",
            "-3e2",
            " 4",
            "+5",
            '"6"',
            '" 7 "',
            "",
            "NA",
            '"NA"',
            "inf",
            "x",
            '"8\n9"',
            '"a""b"',
            '"1,2"',
            '5"x',
            '""',
            '"1"2',
            '"',
            "é",
            "1e400",
            "\r",
        ]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
ROW = st.lists(CELL, min_size=1, max_size=3)
quick = settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(path: Path, rows: int, keep: bool) -> object:
    values: list[list[float]] = []
    try:
        for block in read_blocks(str(path), ["a", "b"], rows, notice=lambda _: None, keep_cells=keep):
            assert keep == (block.cells is not None)
            values += block.values.tolist()
    except FlowcliError as error:
        return str(error).splitlines()
    return values


@quick
@given(rows=st.lists(ROW, max_size=8), end=st.sampled_from(["\n", "\r\n", "\r"]), chunk=st.integers(1, 40))
def test_the_block_and_chunk_size_change_nothing(
    tmp_path: Path, rows: list[list[str]], end: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(end.join(["a,b", *(",".join(row) for row in rows)]).encode())
    expected = outcome(path, 3, False)
    assert outcome(path, 1, True) == expected
    assert outcome(path, 1000, True) == expected
    with monkeypatch.context() as patch:
        patch.setattr(csv_reader, "CHUNK_BYTES", chunk)
        assert outcome(path, 2, False) == expected
        assert outcome(path, 2, True) == expected


@quick
@given(rows=st.lists(ROW, max_size=8), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_where_records_end_is_what_reading_them_says(rows: list[list[str]], end: str) -> None:
    data = end.join(",".join(row) for row in rows).encode()
    found = list(records(data, b","))
    plan = layout(data, b",")
    closed = [record for record in found if data[: record.end].endswith((b"\n", b"\r"))]
    if plan.open_quote is None:
        assert plan.ends.tolist() == [record.end for record in closed]
        assert (plan.lines[: len(found) - 1] + 1).tolist() == [record.line for record in found[1:]]


@quick
@given(
    cells=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), min_size=1, max_size=6)
)
def test_kept_cells_are_the_text_of_the_file(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "d.csv"
    quoted = [cell.replace('"', '""') for cell in cells]
    path.write_bytes(("n,t\n" + "".join(f'1,"{cell}"\n' for cell in quoted)).encode())
    with open_table(str(path), ["n"], 2, notice=lambda _: None, keep_cells=True) as reader:
        kept = [cell for block in reader for cell in block.cells["t"].to_pylist()]
    assert kept == cells


def test_lines_are_right_below_quoted_newlines_in_a_later_check(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text('x,note\n1,"two\nlines"\n2,"\n\n"\n-3,c\n4,d\n')
    with pytest.raises(DataError, match=r":7, column 'x': -3.0 is outside"):
        read_table(str(path), ColumnRequest(columns=["x"], kinds={"x": "positive"}), notice=lambda _: None)


def test_blocks_have_exactly_the_rows_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    numbers = np.random.default_rng(0).normal(size=(20_000, 3))
    path.write_text("a,b,c\n" + "".join(f"{x!r},{y!r},{z!r}\n" for x, y, z in numbers.tolist()))
    for keep in (False, True):
        blocks = list(read_blocks(str(path), ["c", "a", "b"], 777, notice=lambda _: None, keep_cells=keep))
        assert {len(block.values) for block in blocks[:-1]} == {777}
        assert np.array_equal(np.concatenate([block.values for block in blocks]), numbers[:, [2, 0, 1]])


def test_an_endless_quote_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(csv_reader, "MAX_RECORD_BYTES", 5000)
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n2\n" + '"3\n' + "4\n" * 100_000)
    with pytest.raises(DataError, match=":4: a quote opens on this line and is never closed"):
        list(read_blocks(str(path), None, 10, notice=lambda _: None))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst"])
def test_compressed_files(tmp_path: Path, ending: str) -> None:
    text = b"a\n" + b"".join(b"%d\n" % i for i in range(5000))
    packed = {".gz": gzip.compress, ".bz2": bz2.compress}.get(ending, lambda t: pa.compress(t, "zstd", asbytes=True))(
        text
    )
    path = tmp_path / f"d.csv{ending}"
    path.write_bytes(packed)
    assert read_table(str(path), notice=lambda _: None).values[:, 0].tolist() == list(range(5000))
    with pytest.raises(DataError, match="unpacks to more than 1000 bytes; --max-bytes"):
        read_table(str(path), options=ReadOptions(max_bytes=1000), notice=lambda _: None)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="damaged or cut short"):
        read_table(str(path), notice=lambda _: None)


SCORE = """
import sys
from flowcli.errors import FlowcliError
from flowcli.parallel.waiting import Waiting
from flowcli.table import open_table
try:
    with open_table("-", None, 100, notice=print) as table:
        print(sum(block.values.sum() for block in table))
except FlowcliError as error:
    sys.exit(f"{error.exit_code} {error}")
"""


def piped(data: bytes) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", SCORE], input=data, capture_output=True, check=False)
    return done.stdout.decode().strip(), done.stderr.decode().strip()


def test_standard_input() -> None:
    assert piped(b"a\n" + b"1\n" * 300_000) == ("300000.0", "")
    said = piped(b'a,t\n1,"x\ny"\n' + b"1,1\n" * 300_000)[1]
    assert said.startswith("3 standard input:2, column 't': 'x\\ny' is not a number; a quote that opens")
    assert piped(b"a\n" + b"1\n" * 300_000 + b"x\n")[1].startswith("3 standard input:300002, column 'a': 'x' is not")
    assert piped(b"")[1] == "3 standard input: is empty: there is no header and no row"


@pytest.mark.skipif(not hasattr(select, "poll"), reason="the system cannot say when a pipe has something")
@pytest.mark.parametrize("blocking", [True, False])
def test_a_pipe_says_where_it_waits(monkeypatch: pytest.MonkeyPatch, blocking: bool) -> None:
    monkeypatch.setattr(csv_reader, "CHUNK_BYTES", 4)
    read, write = os.pipe()
    os.set_blocking(read, blocking)
    with open(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        os.write(write, b"a\n1\n2\n3\n")
        with open_table("-", None, 1, notice=lambda _: None) as reader:
            parts = iter(reader.arriving())
            assert [next(parts).values.item() for _ in range(3)] == [1, 2, 3]
            assert next(parts) == Waiting(read)
            os.write(write, b"4\n")
            assert next(parts) == Waiting(read)  # two of four bytes
            threading.Timer(0.2, os.write, [write, b"5\n"]).start()  # asking for more waits for it
            assert [next(parts).values.item() for _ in range(2)] == [4, 5]
            os.close(write)
            assert list(parts) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    os.mkfifo(path)
    text = b"a\n" + b"1\n" * 300_000
    writer = threading.Thread(target=path.write_bytes, args=[text])
    writer.start()
    blocks = list(read_blocks(str(path), None, 1000, notice=lambda _: None))
    writer.join()
    assert [len(block.values) for block in blocks] == [1000] * 300


def test_a_terminal_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    try:
        with os.fdopen(slave) as terminal:
            monkeypatch.setattr(sys, "stdin", terminal)
            with pytest.raises(UsageError, match="is a terminal"):
                read_table("-", notice=lambda _: None)
    finally:
        os.close(master)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    rows = 1000
    table = pa.table(
        {
            "a.b": pa.array(range(rows), pa.int64()),
            "t": pa.array(["x"] * rows),
            "f": pa.array(np.arange(rows) / 4, pa.float32()),
            "d": pa.array(range(rows)).cast(pa.decimal128(19, 0)),
        }
    )
    pa.parquet.write_table(table, path, row_group_size=130)
    notices: list[str] = []
    blocks = list(read_blocks(str(path), ["f", "a.b", "d"], 77, notice=notices.append, keep_cells=True))
    assert {len(block.values) for block in blocks[:-1]} == {77}
    values = np.concatenate([block.values for block in blocks])
    assert np.array_equal(values, np.stack([np.arange(rows) / 4, np.arange(rows), np.arange(rows)], axis=1))
    assert pa.concat_tables([block.cells for block in blocks]).equals(table)
    assert notices == [f"{path}: ignoring 1 column that is not needed: 't'"]
    everything = ColumnRequest(columns=["a.b", "t", "f", "d"])
    assert read_table(str(path), everything, notice=lambda _: None).schema.columns[1].levels == ("x",)
    schema = read_table(str(path), ColumnRequest(columns=["a.b", "f", "d"]), notice=lambda _: None).schema
    assert [(c.integer, c.decimals) for c in schema.columns] == [(True, 0), (False, 2), (True, 0)]


@pytest.mark.parametrize(
    ("cell", "said"), [(None, "is missing"), (float("nan"), "is missing"), (float("inf"), "not finite")]
)
def test_parquet_faults_name_the_row(tmp_path: Path, cell: float | None, said: str) -> None:
    path = tmp_path / "d.parquet"
    pa.parquet.write_table(pa.table({"x": pa.array([1.0] * 300 + [cell] + [2.0])}), path)
    for rows in (1, 7, 1000):
        with pytest.raises(DataError, match=f"column 'x': row 301 .*{said}"):
            list(read_blocks(str(path), ["x"], rows, notice=lambda _: None))
    if said == "not finite":
        with pytest.raises(DataError, match="row 301"):
            read_table(str(path), notice=lambda _: None)
    else:
        table = read_table(str(path), notice=lambda _: None)
        assert np.flatnonzero(np.isnan(table.values)).tolist() == [300]
        column = table.schema.columns[0]
        assert column.missing
        blocks = list(read_blocks(str(path), [column], 7, notice=lambda _: None))
        assert np.array_equal(np.concatenate([block.values for block in blocks]), table.values, equal_nan=True)


def test_an_infinite_value_of_parquet_is_a_bad_cell_as_in_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, np.inf, 3.0, None], "y": [1.0, 2.0, np.nan, 4.0]})
    frame.to_parquet(tmp_path / "d.parquet")
    frame.to_csv(tmp_path / "d.csv", index=False)
    columns = [Column("x", missing=True), Column("y")]
    for name, row in (("d.parquet", ": row 3 is missing"), ("d.csv", ":4, column 'y'")):
        with open_table(str(tmp_path / name), columns, notice=lambda _: None, bad_rows="nan") as table:
            (block,) = table
        assert block.bad is not None
        assert block.bad.tolist() == [False, True, True, False]
        assert np.array_equal(block.values[[0, 3]], [[1, 1], [np.nan, 4]], equal_nan=True)
        with pytest.raises(DataError) as error:
            list(read_blocks(str(tmp_path / name), columns[1:], notice=lambda _: None))
        assert row in str(error.value)


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pa.parquet.write_table(pa.table({"x": np.random.default_rng(0).normal(size=1000)}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_table(str(path), notice=lambda _: None)
    path.write_bytes(whole[:4] + b"\xff" * 2000 + whole[2004:])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_table(str(path), notice=lambda _: None)
