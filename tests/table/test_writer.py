"""What is written: whole or not at all, and the same when it is read back."""

from __future__ import annotations

import csv
import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowcli.errors import DataError, ResourceError, UsageError
from flowcli.table import Column, Schema, open_table, open_writer, read_table, to_cells

quick = settings(
    derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@quick
@given(rows=st.lists(st.tuples(NUMBERS, TEXT, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8))
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[tuple[float, str, int]]) -> None:
    path = tmp_path / "d.csv"
    numbers, texts, integers = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"x": numbers, 'a "b",\n': pa.array(texts, pa.string()), "n": pa.array(integers, pa.int64())})
    with open_writer(str(path)) as writer:
        writer.write(table.slice(0, 1))
        writer.write(table.slice(1))
    with open_table(str(path), ["x"], 100, notice=lambda _: None, keep_cells=True) as reader:
        (block,) = reader
    assert np.array_equal(block.values[:, 0], numbers)
    assert block.cells is not None
    assert block.cells.schema.names == table.schema.names
    assert block.cells[1].to_pylist() == texts
    assert [int(cell) for cell in block.cells["n"].to_pylist()] == integers


def test_quotes_stand_only_where_they_must(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    cells = ["plain", "a,b", 'q"q', "", " sp", "new\nline", None, "NA"]
    with open_writer(str(path)) as writer:
        writer.write(pa.table({"x": [0.1, 1.0, 1e20, None, -0.0, 1e-7, 2.5, float("nan")], "a,b": cells}))
    assert path.read_bytes() == (
        b'x,"a,b"\n0.1,plain\n1,"a,b"\n1e+20,"q""q"\n,\n-0, sp\n1e-7,"new\nline"\n2.5,\nnan,NA\n'
    )
    with open_writer(str(path)) as writer:
        writer.write(pa.table({"t": ["", "x", None]}))
    assert path.read_bytes() == b't\n""\nx\n""\n'


@pytest.mark.parametrize("separator", [";", "\t", "|", "^", "]", " "])
def test_other_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "d.csv"
    cells = [f"a{separator}b", "a,b", "c\\d", "[e]", "f-g"]
    with open_writer(str(path), separator=separator) as writer:
        writer.write(pa.table({"t": cells, "n": [1, 2, 3, 4, 5]}))
    rows = list(csv.reader(io.StringIO(path.read_text()), delimiter=separator))
    assert rows == [["t", "n"], *([cell, str(i + 1)] for i, cell in enumerate(cells))]


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.csv.zst", "d.csv.bz2", "d.parquet"])
def test_every_ending(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    values = np.random.default_rng(0).normal(size=(3000, 2))
    with open_writer(str(path)) as writer:
        for start in range(0, 3000, 700):
            writer.write(pa.table({"a": values[start : start + 700, 0], "b": values[start : start + 700, 1]}))
    assert np.array_equal(read_table(str(path), notice=lambda _: None).values, values)
    assert os.listdir(tmp_path) == [name]


def test_a_table_of_no_rows_has_its_header(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.int64())])
    with open_writer(str(tmp_path / "d.csv"), schema=schema):
        pass
    assert (tmp_path / "d.csv").read_text() == "a,b\n"
    with open_writer(str(tmp_path / "d.parquet"), schema=schema):
        pass
    assert pa.parquet.read_table(tmp_path / "d.parquet").schema == schema


def write_and_stop(path: Path, error: type[BaseException]) -> None:
    before = path.read_text() if path.exists() else None
    with open_writer(str(path)) as writer:
        writer.write(pa.table({"a": [1.0]}))
        assert (path.read_text() if path.exists() else None) == before
        raise error("stop")


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.parquet"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, SystemExit])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    path = tmp_path / name
    with pytest.raises(error, match="stop"):
        write_and_stop(path, error)
    assert os.listdir(tmp_path) == []
    path.write_text("before")
    with pytest.raises(error, match="stop"):
        write_and_stop(path, error)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [name]


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("before")
    for output in (str(tmp_path), str(tmp_path / "none" / "d.csv"), "", str(tmp_path / "d.parquet.gz")):
        with pytest.raises(UsageError), open_writer(output):
            pass
    with pytest.raises(UsageError, match="--force"), open_writer(str(path), overwrite=False):
        pass
    with open_writer(str(tmp_path / "e.csv")) as writer:
        writer.write(pa.table({"a": [1.0]}))
        with pytest.raises(DataError, match="differ"):
            writer.write(pa.table({"b": [1.0]}))
    (tmp_path / "e.csv").unlink()
    with pytest.raises(DataError, match="cannot be written as CSV"), open_writer(str(path)) as writer:
        writer.write(pa.table({"a": [[1.0]]}))
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["d.csv"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
@pytest.mark.parametrize("ending", ["csv", "gz", "parquet"])
def test_a_full_disk(tmp_path: Path, ending: str) -> None:
    link = tmp_path / f"d.{ending}"
    link.symlink_to("/dev/full")
    table = pa.table({"a": np.random.default_rng(0).normal(size=100_000)})
    with pytest.raises(ResourceError, match="cannot be written: No space left"), open_writer(str(link)) as writer:
        writer.write(table)


def test_a_link_stays_and_the_mode_is_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "d.csv", tmp_path / "link.csv"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    with open_writer(str(link)) as writer:
        writer.write(pa.table({"a": [1.0]}))
    assert link.is_symlink()
    assert path.read_text() == "a\n1\n"
    assert path.stat().st_mode & 0o777 == 0o640


WRITE = """
import os, sys
import numpy as np, pyarrow as pa
from flowcli.table import open_writer
try:
    with open_writer("-") as writer:
        for _ in range(100):
            writer.write(pa.table({"a": np.zeros(10000)}))
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(141)
"""


def test_a_closed_pipe_is_told_apart() -> None:
    with subprocess.Popen([sys.executable, "-c", WRITE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"a\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 141


def test_gzip_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        with open_writer(str(tmp_path / name)) as writer:
            writer.write(pa.table({"a": [1.0, 2.0]}))
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"a\n1\n2\n"


def text_of(values: list[float], column: Column, tmp_path: Path) -> list[str]:
    cells = to_cells(np.array(values)[:, None], Schema((column,)))
    with open_writer(str(tmp_path / "d.csv")) as writer:
        writer.write(cells)
    written = (tmp_path / "d.csv").read_text().splitlines()[1:]
    # The text and the typed cell are the same number, so that CSV and Parquet agree.
    assert [float(text) for text in written] == cells.column(0).to_pylist()
    return written


FORMATS = [
    (Column("x", decimals=2), [1.0, 0.126, -0.001, 1e25], ["1.00", "0.13", "0.00", "10000000000000000905969664.00"]),
    (Column("x", decimals=2), [1.0, 0.126, 123456789.124], ["1.00", "0.13", "123456789.12"]),
    (Column("x", integer=True, decimals=0), [1.4, -2.6, 0.0], ["1", "-3", "0"]),
    (Column("x", integer=True, decimals=0), [1.4, 1e20], ["1", "100000000000000000000"]),
    (Column("x", step=0.25, decimals=2), [0.3, 1.9, -0.1], ["0.25", "2.00", "0.00"]),
    (Column("x", step=0.1), [0.33, 0.12], ["0.3", "0.1"]),
    (Column("x", step=1e-31), [3.3e-31, 1.2e-30], ["3e-31", "1.2e-30"]),
    (Column("x", step=1e-31), [1e300, -1e300], ["1e+300", "-1e+300"]),
    (Column("x", decimals=9), [0.0, -0.25, 12.1234567891], ["0.000000000", "-0.250000000", "12.123456789"]),
    (Column("x", step=5.0, integer=True, decimals=0), [7.6, -3.0], ["10", "-5"]),
    (Column("x", "constant", value=4.5, decimals=1), [np.nan, 1.0], ["4.5", "4.5"]),
    (Column("x", "constant", value=4.0, integer=True, decimals=0), [7.0], ["4"]),
    (Column("x", "positive", decimals=1), [0.001, 0.26], ["0.1", "0.3"]),
    (Column("x", "positive", decimals=1, step=0.1), [0.001, 0.26], ["0.0", "0.3"]),
    (Column("x", "bounded", lower=0.0, upper=1.0, decimals=1), [0.001, 0.999], ["0.1", "0.9"]),
    (Column("x", "bounded", lower=0.0, upper=1.0, step=0.6, decimals=1), [0.001, 0.999], ["0.0", "0.6"]),
    (Column("x"), [0.1, 1 / 3], ["0.1", "0.3333333333333333"]),
]


@pytest.mark.parametrize(("column", "values", "texts"), FORMATS)
def test_numbers_are_written_as_in_the_training_file(
    tmp_path: Path, column: Column, values: list[float], texts: list[str]
) -> None:
    assert text_of(values, column, tmp_path) == texts


@quick
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), digits=st.integers(0, 9))
def test_a_written_decimal_is_the_nearest(tmp_path: Path, values: list[float], digits: int) -> None:
    texts = text_of(values, Column("x", decimals=digits), tmp_path)
    for value, text in zip(values, texts, strict=True):
        assert abs(float(text) - value) <= 0.5 * 10.0**-digits * (1 + 1e-6)
        assert len(text.partition(".")[2]) == digits


def test_a_csv_file_keeps_its_formats(tmp_path: Path) -> None:
    source, copy = tmp_path / "d.csv", tmp_path / "copy.csv"
    rng = np.random.default_rng(0)
    pairs = zip(rng.integers(-9, 9, 500).tolist(), rng.normal(size=500).tolist(), strict=True)
    lines = [f"{k},{k / 4:.2f},{x:.3f},7.10,{x!r}" for k, x in pairs]
    source.write_text("n,q,x,c,full\n" + "\n".join(lines).replace("-0.000", "0.000") + "\n")
    table = read_table(str(source), notice=lambda _: None)
    with open_writer(str(copy)) as writer:
        writer.write(to_cells(table.values, table.schema))
    assert copy.read_text() == source.read_text()
