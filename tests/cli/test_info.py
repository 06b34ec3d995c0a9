"""``flowcli info``: readable on a screen of 80 columns, and JSON for programs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import yaml

from tests.cli.terminal import fitted, flowcli


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model of 60 columns with long and strange names, of every kind."""
    folder = tmp_path_factory.mktemp("wide")
    names = [f"a_rather_long_name_of_a_column_that_goes_on_and_on_{i}" for i in range(57)]
    names += ["[/bold]\x1b[31mred", "x" * 100, "constant"]
    random = np.random.default_rng(0)
    values = random.uniform(1, 2, (200, 60))
    values[:, 59] = 7
    header = ",".join(names)
    np.savetxt(folder / "d.csv", values, delimiter=",", header=header, comments="", fmt="%.8g", encoding="utf-8")
    kinds = ["--kind", f"{names[0]}=positive", "--kind", f"{names[1]}=bounded:0.123456,2.123456"]
    return fitted(folder / "d.csv", folder / "d.flow", *kinds)


def test_it_says_what_a_model_is(model):
    done = flowcli("info", model)
    assert (done.code, done.err) == (0, "")
    text = done.text
    for part in (
        "nats per row, relative to Lebesgue measure on 3 continuous columns",
        "fitted to     270 rows, 30 held out",
        "  column  step  taken for\n  a             real\n  b       1     from 0 up, in steps of 1\n",
        "\n  c       0.01  positive, in steps of 0.01\n",
    ):
        assert part in text
    assert yaml.safe_load(text[text.index("flow:") :])["flow"]["base"] == {"normal": {"learnable": False}}


@pytest.mark.parametrize("which", ["model", "wide"])
def test_it_fits_a_screen(request, which):
    lines = flowcli("info", request.getfixturevalue(which)).lines
    assert all(line == line.rstrip() for line in lines)
    long = [line for line in lines if len(line) > 80]
    assert all(line.startswith(("  " + "x" * 100, "model ")) or "bounded" in line for line in long)
    assert all(line.isprintable() for line in lines)


def test_names_are_whole_and_literal(wide):
    text = flowcli("info", wide).text
    assert "  [/bold]\\x1b[31mred " in text
    assert re.search("\n  a_rather_long_name_of_a_column_that_goes_on_and_on_56 +real\n", text)
    assert "bounded, 0.123456 to 2.12346\n" in text
    assert "constant, 7\n" in text
    assert "counting measure on 1 discrete or constant column" in " ".join(text.split())


def test_json_has_everything(wide):
    document = json.loads(flowcli("info", wide, "--json").text, parse_constant=pytest.fail)
    assert [column["name"] for column in document["columns"]][57] == "[/bold]\x1b[31mred"
    assert {"format", "version", "config", "columns", "summary", "parameters", "measure"} <= set(document)
    assert document["summary"]["history"][0]["step"] == 0


def test_no_path_and_no_row_is_in_a_model_file(wide):
    content = wide.read_bytes()
    assert str(wide.parent).encode() not in content
    assert b"d.csv" not in content
