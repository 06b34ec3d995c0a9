"""``flowcli logprob``: one row out for each row in, whatever comes in."""

from __future__ import annotations

import gzip
import math
import os
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import flowcli as package
from tests.cli.terminal import fitted, flowcli


def scores(done):
    assert done.code == 0, done.err
    name, *lines = done.lines
    return name, [float(line) for line in lines]


def test_rows_come_from_a_file_or_from_standard_input(data, model):
    done = flowcli("logprob", model, data)
    name, values = scores(done)
    assert (name, len(values), done.err) == ("logprob", 300, "")
    assert all(math.isfinite(value) for value in values)
    for arguments in ([], ["-"]):
        assert flowcli("logprob", model, *arguments, stdin=data.read_bytes()).out == done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("logprob", "{model}", "{data}"),
        ("logprob", "{model}", "{data}", "--with-input", "--terms"),
        ("sample", "{model}", "-n", "3"),
    ],
    ids=["logprob", "with-input", "sample"],
)
def test_a_few_rows_need_little_more_than_torch(data, model, arguments):
    # Each of these would cost a tenth of the command, or as much as the rest of it.
    heavy = {"pandas", "scipy", "sklearn", "rich", "sympy", "torch._dynamo", "torch._inductor", "pyarrow.parquet"}
    script = (
        "import sys\n"
        "from flowcli.cli.main import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        f"assert not {heavy} & set(sys.modules), sorted({heavy} & set(sys.modules))\n"
    )
    words = [word.format(model=model, data=data) for word in arguments]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_samples_can_be_scored_in_a_pipe(model):
    drawn = flowcli("sample", model, "-n", 1000)
    scored = flowcli("logprob", model, "-", stdin=drawn.out)
    assert len(scored.lines) == 1001


def test_the_numbers_are_those_of_the_model(data, model):
    import pandas as pd

    loaded, frame = package.load(model), pd.read_csv(data)
    assert scores(flowcli("logprob", model, data))[1] == loaded.log_prob(frame).tolist()
    double = scores(flowcli("logprob", model, data, "--precision", "float64"))[1]
    assert double == loaded.log_prob(frame, precision="float64").tolist()
    np.testing.assert_allclose(double, loaded.log_prob(frame), atol=1e-3)


def test_the_order_of_columns_is_of_no_matter_and_extra_ones_are_noticed(data, model, tmp_path):
    lines = [line.split(",") for line in data.read_text().splitlines()]
    text = "\n".join(f"{c},note {i},{a},{b}" if i else "c,remark,a,b" for i, (a, b, c) in enumerate(lines))
    done = flowcli("logprob", model, stdin=text.encode())
    assert done.out == flowcli("logprob", model, data).out
    assert "ignoring 1 column that is not needed: 'remark'" in done.err
    assert flowcli("logprob", model, "-q", stdin=text.encode()).err == ""


INPUT = 'who,c,a,b,"odd ""name"", too"\n"Smith, J.",1.50,1e-1,3,\n"a ""b""",2,+.5,007,NA\n"two\nlines",0.10,-0,"4",é\n'


def test_with_input_keeps_every_cell_as_it_was(model):
    done = flowcli("logprob", model, "--with-input", stdin=INPUT.encode())
    assert done.code == 0
    import csv
    import io

    before, after = (list(csv.reader(io.StringIO(text, newline=""))) for text in (INPUT, done.text))
    assert [row[:-1] for row in after] == before
    assert [row[-1] for row in after] == flowcli("logprob", model, "-q", stdin=INPUT.encode()).lines
    assert '"Smith, J.",1.50,1e-1,3,,' in done.text


def test_with_input_keeps_the_types_of_parquet(tmp_path, model):
    table = pa.table(
        {
            "when": pa.array([1, 2], pa.timestamp("ms")),
            "b": pa.array([3, 4], pa.int8()),
            "a": pa.array([0.25, -1], pa.float32()),
            "c": pa.array([1.5, 2.5], pa.float64()),
            "tag": pa.array(["x", None]),
        }
    )
    pyarrow.parquet.write_table(table, "in.parquet")
    assert flowcli("logprob", model, "in.parquet", "--with-input", "-o", "out.parquet").code == 0
    out = pyarrow.parquet.read_table("out.parquet")
    assert out.drop_columns("logprob").equals(table)
    pyarrow.parquet.write_table(table.slice(0, 0), "in.parquet")
    assert flowcli("logprob", model, "in.parquet", "--with-input", "-o", "none.parquet").code == 0
    assert pyarrow.parquet.read_table("none.parquet").schema.equals(out.schema)


def test_a_csv_becomes_parquet_with_numbers(data, model):
    for text in (data.read_bytes(), b"a,who,b,c\n"):
        assert flowcli("logprob", model, "--with-input", "-o", "out.parquet", "-q", stdin=text).code == 0
        out = pyarrow.parquet.read_table("out.parquet")
        assert {str(kind) for name, kind in zip(out.column_names, out.schema.types, strict=True) if name != "who"} == {
            "double"
        }
    assert out.schema.field("who").type == pa.string()


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ([], "logprob"),
        (["--with-input"], "a,b,c,logprob"),
        (["--terms"], "z1,z2,z3,base_logprob,log_det,cell_correction,logprob"),
        (["--name", "nats"], "nats"),
    ],
)
def test_a_header_alone_gives_a_header(model, options, header):
    done = flowcli("logprob", model, *options, stdin=b"a,b,c\n")
    assert (done.code, done.text, done.err) == (0, f"{header}\n", "")


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_terms_add_up_exactly_as_written(data, model, precision):
    done = flowcli("logprob", model, data, "--terms", "--precision", precision)
    header, *lines = done.lines
    assert header == "z1,z2,z3,base_logprob,log_det,cell_correction,logprob"
    cells = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    np.testing.assert_allclose(cells[:, 3:6].sum(axis=1), cells[:, 6], rtol=0, atol=1e-12)
    normal = -0.5 * (cells[:, :3] ** 2).sum(1) - 1.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(cells[:, 3], normal, atol=1e-12 if precision == "float64" else 1e-5)
    assert cells[:, 6].tolist() == scores(flowcli("logprob", model, data, "--precision", precision))[1]


def test_a_name_that_is_taken(data, model):
    text = b"a,b,c,logprob,z2\n1,2,3,4,5\n"
    done = flowcli("logprob", model, "--with-input", stdin=text)
    assert (done.code, done.out) == (2, b"")
    assert "a column 'logprob' already; choose another with --name" in done.complaint
    assert flowcli("logprob", model, "--with-input", "--name", "nats", stdin=text).lines[0].endswith("z2,nats")
    done = flowcli("logprob", model, "--with-input", "--terms", "--name", "nats", stdin=text)
    assert (done.code, "a column 'z2' already; leave out what asks for it, or --with-input" in done.complaint) == (
        2,
        True,
    )


@pytest.mark.parametrize("options", [[], ["--with-input", "--terms"]])
def test_the_size_of_a_batch_changes_nothing(data, model, options, tmp_path):
    text = b"a,b,c\n" + b"".join(data.read_bytes().splitlines(keepends=True)[1:] * 20)
    whole = flowcli("logprob", model, *options, stdin=text)
    assert len(whole.lines) == 6001
    for rows in (1, 1000, 5000):
        assert flowcli("logprob", model, *options, "--batch-rows", rows, stdin=text).out == whole.out


def test_an_output_appears_whole_or_not_at_all(data, model, tmp_path):
    plain = flowcli("logprob", model, data).out
    for name, read in (
        ("s.csv", lambda path: path.read_bytes()),
        ("s.csv.gz", lambda path: gzip.decompress(path.read_bytes())),
    ):
        done = flowcli("logprob", model, data, "-o", name)
        assert (done.code, done.out, read(tmp_path / name)) == (0, b"", plain)
    assert flowcli("logprob", model, data, "-o", "s.parquet").code == 0
    assert (
        pyarrow.parquet.read_table("s.parquet").column("logprob").to_pylist()
        == scores(flowcli("logprob", model, data))[1]
    )
    present = sorted(os.listdir())
    bad = data.read_bytes() + b"1,x,3\n"
    for name in ("s.csv", "s.csv.gz", "s.parquet", "new.csv"):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        assert flowcli("logprob", model, "-o", name, stdin=bad).code == 3
        assert sorted(os.listdir()) == present
        assert before is None or (tmp_path / name).read_bytes() == before


def test_how_the_file_is_written_can_be_said(data, model):
    text = data.read_text().replace(",", ";").replace(".", ",").encode()
    assert flowcli("logprob", model, stdin=text).code == 3
    assert (
        flowcli("logprob", model, "--sep", ";", "--decimal", ",", stdin=text).out == flowcli("logprob", model, data).out
    )


def test_compressed_input_and_its_cap(data, model, tmp_path):
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(data.read_bytes()))
    assert flowcli("logprob", model, "d.csv.gz").out == flowcli("logprob", model, data).out
    done = flowcli("logprob", model, "d.csv.gz", "--max-bytes", 100)
    assert (done.code, "unpacks to more than 100 bytes; --max-bytes" in done.complaint) == (3, True)


def test_a_link_to_the_input_is_the_input(data, model, tmp_path):
    (tmp_path / "d.csv").write_bytes(data.read_bytes())
    (tmp_path / "link.csv").symlink_to("d.csv")
    done = flowcli("logprob", model, "d.csv", "-o", "link.csv")
    assert (done.code, "same file" in done.complaint) == (2, True)
    assert (tmp_path / "d.csv").read_bytes() == data.read_bytes()


def test_far_points_have_a_density_too(model):
    _, values = scores(flowcli("logprob", model, stdin=b"a,b,c\n1e300,2,3\n-1e30,1e30,1e30\n0,0,1e-300\n"))
    assert not any(math.isnan(value) for value in values)
    assert values[0] < -100


def test_without_a_header_columns_are_c1_c2(data, tmp_path):
    body = data.read_bytes().partition(b"\n")[2]
    (tmp_path / "body.csv").write_bytes(body)
    model = fitted(tmp_path / "body.csv", tmp_path / "body.flow", "--no-header")
    done = flowcli("logprob", model, "--no-header", "--with-input", stdin=body)
    assert (done.code, done.lines[0], len(done.lines)) == (0, "c1,c2,c3,logprob", 301)
    assert flowcli("logprob", model, "--with-input", stdin=body).code == 3


def test_units_move_the_density_by_the_log_scale(data, tmp_path):
    header, *lines = data.read_text().splitlines()
    scaled = [f"{float(a) * 1024!r},{b},{c}" for a, b, c in (line.split(",") for line in lines)]
    (tmp_path / "scaled.csv").write_text("\n".join([header, *scaled]) + "\n")
    nats = scores(flowcli("logprob", fitted(data, tmp_path / "one.flow"), data, "--precision", "float64"))[1]
    moved = scores(
        flowcli(
            "logprob", fitted(tmp_path / "scaled.csv", tmp_path / "two.flow"), "scaled.csv", "--precision", "float64"
        )
    )[1]
    np.testing.assert_allclose(np.subtract(nats, moved), math.log(1024), rtol=1e-9)


def test_numbers_read_back_as_the_same_float64(data, model):
    for line in flowcli("logprob", model, data).lines[1:]:
        assert struct.pack("d", float(line)) == struct.pack("d", float(repr(float(line))))
        assert float(line) < 0
