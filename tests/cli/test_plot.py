"""``flowcli plot``: files that are whole and of the right kind, and mistakes that are told."""

from __future__ import annotations

import io
import os
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from flowcli.cli.views.terminal_plot import terminal_plot
from flowcli.evaluation import plots
from flowcli.table import Column, Schema
from tests.cli.terminal import fitted, flowcli, process, rows

START = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
END = {"png": b"IEND\xaeB`\x82", "svg": b"</svg>\n", "pdf": b"%%EOF\n"}
FEW = ("-n", 200)


def plot(*arguments, **options):
    return flowcli("plot", *arguments, "--threads", 1, **options)


@pytest.mark.parametrize("form", START)
def test_a_picture_is_whole_and_the_same_every_time(data, model, form, tmp_path):
    contents = []
    for name in ("first", "second"):
        done = plot(model, data, "-o", f"{name}.{form}", *FEW)
        assert (done.code, done.out, done.err) == (0, b"", "")
        contents.append((tmp_path / f"{name}.{form}").read_bytes())
    assert contents[0].startswith(START[form])
    assert contents[0].endswith(END[form])
    assert contents[0] == contents[1]
    plot(model, data, "-o", f"third.{form}", *FEW, "--seed", 1)
    assert (tmp_path / f"third.{form}").read_bytes() != contents[0]
    assert sorted(os.listdir()) == [f"first.{form}", f"second.{form}", f"third.{form}"]


def test_all_pictures_are_pages_or_files(data, model, tmp_path):
    done = plot(model, data, "--what", "all", "-o", "p.pdf", *FEW)
    assert done.code == 0
    assert "left out density: the density itself can be drawn for models of one or two" in done.err
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "p.pdf").read_bytes())) == 5
    done = plot(model, data, "--what", "all", "-o", "p.PNG", *FEW)
    names = ["p-calibration.PNG", "p-corner.PNG", "p-latents.PNG", "p-marginals.PNG", "p-training.PNG"]
    assert sorted(os.listdir()) == [*names, "p.pdf"]
    assert all(f"wrote {name}" in done.err for name in names)
    done = plot(model, "--what", "all", "-o", "q.pdf", *FEW, "-q")
    assert (done.code, done.err) == (0, "")
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "q.pdf").read_bytes())) == 3


@pytest.mark.parametrize("what", ["marginals", "training", "calibration", "latents"])
def test_each_picture_alone(data, model, tmp_path, what):
    assert plot(model, data, "--what", what, "-o", "p.png", *FEW).code == 0
    assert (tmp_path / "p.png").stat().st_size > 10_000


MISTAKES = {
    "no place": (["m.flow", "d.csv"], "say where the picture goes with -o FILE.png, or give --terminal"),
    "no ending": (["m.flow", "d.csv", "-o", "p"], "-o p: the name of a picture ends with .png, .svg or .pdf"),
    "ending": (["m.flow", "d.csv", "-o", "p.jpg"], "-o p.jpg: the name of a picture ends with .png, .svg or .pdf"),
    "stdout": (["m.flow", "d.csv", "-o", "-"], "-o -: a picture is a file"),
    "no folder": (["m.flow", "d.csv", "-o", "no/p.png"], "no/p.png: there is no folder"),
    "folder": (["m.flow", "d.csv", "-o", "x.png"], "-o x.png: is a folder"),
    "over the data": (["m.flow", "d.png", "-o", "d.png"], "d.png: input and output are the same file"),
    "over the model": (["d.png", "d.csv", "-o", "d.png"], "d.png: input and output are the same file"),
    "what": (["m.flow", "d.csv", "-o", "p.png", "--what", "pie"], "--what: 'pie' is not one of 'corner', 'marginals'"),
    "unknown column": (["m.flow", "d.csv", "-o", "p.png", "--columns", "a,z"], "--columns: there is no column 'z'"),
    "columns": (["m.flow", "-o", "p.png", "--what", "training", "--columns", "a"], "training has no columns to choose"),
    "no rows": (["m.flow", "-o", "p.png", "--what", "latents"], "--what latents compares the model with rows"),
    "no map": (["m.flow", "d.csv", "-o", "p.png", "--what", "density", *map(str, FEW)], "this is one of 3 columns"),
    "terminal": (["m.flow", "d.csv", "--terminal", "--what", "latents"], "--what is for pictures in files"),
    "no data": (["m.flow", "none.csv", "-o", "p.png"], "none.csv: there is no such file"),
    "no samples": (["m.flow", "-o", "p.png", "-n", "0"], "--samples: 0 is not from 1 to 1000000"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_2_and_leaves_everything_as_it_was(tmp_path, data, model, arguments, message):
    (tmp_path / "d.csv").write_bytes(data.read_bytes())
    (tmp_path / "d.png").write_bytes(data.read_bytes())
    (tmp_path / "m.flow").write_bytes(model.read_bytes())
    (tmp_path / "x.png").mkdir()
    before = sorted(os.listdir())
    done = plot(*arguments)
    assert (done.code, done.out) == (2, b"")
    assert message in done.complaint
    assert sorted(os.listdir()) == before
    assert (tmp_path / "d.png").read_bytes() == data.read_bytes()


FAULTS = {
    "header alone": ("a,b,c\n", "d.csv: has a header but no rows"),
    "no column": ("a,b\n1,2\n", "there is no column 'c'"),
    "text": ("a,b,c\n1,2,3\n1,x,3\n", "d.csv:3, column 'b': 'x' is not a number"),
    "missing": ("a,b,c\n1,2,3\n1,,3\n", "the cell is missing"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_data_that_cannot_be_used_are_3(tmp_path, model, text, message):
    (tmp_path / "d.csv").write_text(text)
    done = plot(model, "d.csv", "-o", "p.png")
    assert (done.code, sorted(os.listdir())) == (3, ["d.csv"])
    assert message in done.complaint


def test_bad_rows_are_left_out_and_counted(tmp_path, model):
    (tmp_path / "d.csv").write_text("a,b,c,more\n1,2,3,4\n1,x,3,4\n2,,4,4\n")
    done = plot(model, "d.csv", "-o", "p.png", "--bad-rows", "nan", *FEW)
    assert done.code == 0
    assert "left out 2 rows that cannot be used" in done.err
    assert "ignoring 1 column" in done.err
    (tmp_path / "d.csv").write_text("a,b,c\n1,x,3\n")
    done = plot(model, "d.csv", "-o", "q.png", "--bad-rows", "nan")
    assert (done.code, done.complaint) == (3, "d.csv: has no row that can be used")


def test_a_damaged_model_is_4(tmp_path, data, model):
    (tmp_path / "m.flow").write_bytes(model.read_bytes()[:-7])
    assert plot("m.flow", data, "-o", "p.png").code == 4
    assert os.listdir() == ["m.flow"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_6(tmp_path, data, model):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert plot(model, data, "-o", "locked/p.png").code == 6


def test_rows_come_from_a_pipe_and_one_is_enough(data, model, tmp_path):
    assert plot(model, "-", "--what", "all", "-o", "p.pdf", *FEW, stdin=b"c,a,b\n1,2,3\n").code == 0
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "p.pdf").read_bytes())) == 5


def test_a_model_that_is_conditioned_draws_given_the_rows(data, tmp_path):
    fitted(data, tmp_path / "g.flow", "--given", "b")
    done = plot("g.flow", "-o", "p.png")
    assert done.code == 2
    assert "the model is conditioned on b: give DATA" in done.complaint
    done = plot("g.flow", data, "--what", "all", "-o", "p.pdf", *FEW)
    assert done.code == 0
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "p.pdf").read_bytes())) == 5
    # The given column is that of the rows, to the last one.
    lines = plot("g.flow", data, "--terminal", "-n", 300).lines
    for name, same in (("a", False), ("b", True)):
        shares = [re.findall(r"[<>.\d]+%", line) for line in lines[lines.index(name) + 2 :][:8]]
        assert all(len(both) == 2 for both in shares)
        assert all(of_data == of_samples for of_data, of_samples in shares) == same


def test_what_is_drawn_is_draws_of_the_model_and_rows_of_the_file(data, model, monkeypatch):
    seen = {}
    plain = plots.corner

    def corner(samples, rows, schema, **options):
        seen.update(samples=samples, rows=rows, **options)
        return plain(samples, rows, schema, **options)

    monkeypatch.setattr(plots, "corner", corner)
    assert plot(model, data, "-o", "p.png", *FEW, "--seed", 3, "--columns", "c,a").code == 0
    np.testing.assert_array_equal(seen["rows"], np.genfromtxt(data, delimiter=",", skip_header=1))
    drawn = flowcli("sample", model, "-n", 200, "--seed", 3, "--threads", 1).lines[1:]
    np.testing.assert_allclose(seen["samples"], [[float(cell) for cell in line.split(",")] for line in drawn])
    assert (seen["columns"], seen["total"], seen["seed"]) == (["c", "a"], 300, 3)


def test_of_a_conditioned_model_each_row_is_compared_with_draws_given_its_own_values(data, tmp_path, monkeypatch):
    seen = []
    plain = plots.calibration

    def calibration(rows, samples, schema, **options):
        seen.append((rows, samples))
        return plain(rows, samples, schema, **options)

    monkeypatch.setattr(plots, "calibration", calibration)
    fitted(data, tmp_path / "g.flow", "--given", "b")
    assert plot("g.flow", data, "--what", "calibration", "-o", "p.png").code == 0
    ((rows, samples),) = seen
    assert samples.shape == (300, 49, 3)
    np.testing.assert_array_equal(samples[:, :, 1], np.repeat(rows[:, 1:2], 49, axis=1))
    assert (samples[0, 0, 0] != samples[0, 1:, 0]).all()


def test_a_full_disk_is_6_and_leaves_nothing(data, model, monkeypatch):
    def full(figure, file, form):
        file.write(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowcli.evaluation.plots.write_picture", full)
    done = plot(model, data, "-o", "p.png", *FEW)
    assert (done.code, done.complaint) == (6, "p.png: cannot be written: No space left on device")
    assert os.listdir() == []


def test_an_ensemble(data, tmp_path):
    fitted(data, tmp_path / "e.flow", "--ensemble", 2)
    assert plot("e.flow", data, "--what", "all", "-o", "p.pdf", *FEW).code == 0
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "p.pdf").read_bytes())) == 5


STRANGE = ["[/x]\x1b[31mred", "$\\frac{", "a" * 100]


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A model of columns with strange names, and its data."""
    folder = tmp_path_factory.mktemp("strange")
    text = rows(200).replace("a,b,c", ",".join(STRANGE), 1)
    (folder / "d.csv").write_text(text)
    return fitted(folder / "d.csv", folder / "m.flow"), folder / "d.csv"


def test_strange_names_are_drawn_and_printed_as_they_are(strange, tmp_path):
    model, data = strange
    assert plot(model, data, "-o", "p.svg", *FEW, "--columns", ",".join(STRANGE[:2])).code == 0
    done = plot(model, data, "--terminal", *FEW)
    assert done.code == 0
    assert b"\x1b" not in done.out
    assert "[/x]\\x1b[31mred" in done.text
    assert sum(line == 20 * "a" for line in done.lines) == 5


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_sketch_fits_the_terminal(strange, monkeypatch, width):
    model, data = strange
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((width, 24)))
    for done in (plot(model, data, "--terminal", *FEW), plot(model, "--terminal", *FEW)):
        assert done.code == 0
        assert max(cell_len(line) for line in done.lines) <= width
        assert sum("━" in line for line in done.lines) >= 10


def test_a_sketch_compares_what_it_says(data, model):
    done = plot(model, data, "--terminal", *FEW)
    own = np.genfromtxt(data, delimiter=",", skip_header=1)[:, 0]
    assert done.lines[0].split() == ["column", "data", "samples"]
    first = done.lines.index("a")
    least, median, most = map(float, re.findall(r"-?[\d.]+", done.lines[first + 1])[:3])
    np.testing.assert_allclose([least, median, most], [own.min(), np.median(own), own.max()], rtol=5e-3)
    bins = done.lines[first + 2 : first + 10]
    shares = [float(re.findall(r"([.\d]+)%", line)[0]) for line in bins]
    assert sum(shares) == pytest.approx(100, abs=4)
    below, beyond = float(bins[0].split()[1]), float(bins[-1].split()[1])
    assert shares[0] == pytest.approx(100 * (own < below).mean(), abs=0.6)
    assert shares[-1] == pytest.approx(100 * (own >= beyond).mean(), abs=0.6)
    lengths = [line[20:50].count("━") + line[20:50].count("╸") / 2 for line in bins]
    assert np.corrcoef(lengths, shares)[0, 1] > 0.99


def test_a_terminal_without_unicode_gets_ascii(strange):
    model, data = strange
    done = process("plot", model, data, "--terminal", *FEW, "--threads", 1, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.code, done.err) == (0, "")
    assert done.text.isascii()
    assert "-----" in done.text


class Drawn:
    """What a sketch is made of."""

    def __init__(self, schema, samples, rows=None):
        self.density = type("Density", (), {"schema": schema})
        self.samples, self.rows, self.columns = samples, rows, None


def test_a_sketch_of_many_kinds():
    from tests.evaluation.plots.tables import mixed

    schema, data = mixed(43, 200)
    inputs = Drawn(schema, mixed(43, 300, seed=1)[1], data)
    text = terminal_plot(inputs, Console(width=80))
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "missing" in text
    assert "\x1b" not in text
    colours = {
        no_color: Console(width=80, force_terminal=True, color_system="standard", no_color=no_color)
        for no_color in (False, True)
    }
    assert "\x1b[" in terminal_plot(inputs, colours[False])
    assert "\x1b" not in terminal_plot(inputs, colours[True])
    assert terminal_plot(inputs, Console(width=80, file=io.TextIOWrapper(io.BytesIO(), "ascii"))).isascii()


def test_a_sketch_without_any_value():
    schema = Schema((Column("x", missing=True), Column("y", missing=True)))
    empty = np.full((5, 2), np.nan)
    text = terminal_plot(Drawn(schema, empty, empty), Console(width=80))
    assert text.count("100%") == 4


def test_of_many_rows_some_are_drawn_whatever_the_blocks(tmp_path, monkeypatch):
    from flowcli.table import Column, ReadOptions
    from flowcli.table.io import reservoir as module

    (tmp_path / "d.csv").write_text("x\n" + "".join(f"{i}\n" for i in range(5000)))
    found = []
    for block in (7, 1000, 65_536):
        monkeypatch.setattr(module, "_BLOCK", block)
        found.append(module.read_subset("d.csv", [Column("x")], 500, 0, ReadOptions(), notice=print))
    assert [each.total for each in found] == [5000] * 3
    for each in found:
        np.testing.assert_array_equal(each.values, found[0].values)
    values = found[0].values[:, 0]
    assert len(np.unique(values)) == 500
    assert (np.diff(values) > 0).all()
    assert abs(values.mean() - 2500) < 200
    other = module.read_subset("d.csv", [Column("x")], 500, 1, ReadOptions(), notice=print)
    assert (other.values != found[0].values).any()
