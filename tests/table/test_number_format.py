"""Numbers with something around their digits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flowcli.errors import DataError, UsageError
from flowcli.table import ColumnRequest, ReadOptions, from_frame, open_table, read_table, to_cells
from flowcli.table.values.number_format import NumberFormat, find_number_format

CELLS = {
    "dollars": (["$1,234.50", "$12.00", "-$3.10"], ".", [1234.5, 12, -3.1], 2),
    "percent": (["12.0%", "3.5%", "-0.1%"], ".", [12, 3.5, -0.1], 1),
    "blanks": (["1 234", "12", "1 000 000"], ".", [1234, 12, 1e6], 0),
    "commas": (["1,234", "567", "12,000", "9,999"], ".", [1234, 567, 12000, 9999], 0),
    "millions": (["1,234,567", "7,654,321"], ".", [1234567, 7654321], 0),
    "euros": (["1.234,50 €", "3,00 €"], ",", [1234.5, 3], 2),
    "euros without thousands": (["1,5 €", "-3,0 €"], ",", [1.5, -3], 1),
    "apostrophes": (["1'234", "12"], ".", [1234, 12], 0),
    "a code before": (["USD 12", "USD 1,200"], ".", [12, 1200], 0),
}


@pytest.mark.parametrize(("cells", "decimal", "numbers", "decimals"), CELLS.values(), ids=CELLS.keys())
def test_cells_are_numbers_and_come_back(cells, decimal, numbers, decimals):
    form = find_number_format(cells, decimal)
    assert form is not None
    assert np.array_equal(form.numbers(cells), numbers)
    assert form.decimals(cells) == decimals
    assert form.texts(np.array(numbers), decimals) == cells
    again = NumberFormat(form.text)  # all that a model file keeps of it
    assert np.array_equal(again.numbers(cells), numbers)
    assert again.texts(np.array(numbers), decimals) == cells


@pytest.mark.parametrize(
    "cells",
    [
        ["1,234", "5,678"],
        ["2", "2,500"],
        ["0,123", "1,234", "2,345", "5"],
        ["12", "13"],
        ["a 12"],
        ["1,2", "3,45"],
        ["1, 5, 8"],
    ],
)
def test_what_may_be_a_decimal_comma_or_is_plain_has_no_format(cells):
    assert find_number_format(cells, ".") is None


@pytest.mark.parametrize(
    ("cells", "numbers"), [(["1,234", "5,678"], [1234, 5678]), (["2", "2,500"], [2, 2500]), (["1,2", "3,45"], None)]
)
def test_what_separates_thousands_may_be_said(cells, numbers):
    form = find_number_format(cells, ".", ",")
    assert numbers == (None if form is None else form.numbers(cells).tolist())
    assert find_number_format(cells, ".", "'") is None


def test_thousands_that_were_said_are_read_and_written_and_kept(tmp_path):
    path, options = tmp_path / "d.csv", ReadOptions(separator=";")
    cells = [f"{number:,}" for number in np.random.default_rng(1).integers(1000, 99_999, 60).tolist()]
    path.write_text("\n".join(["x", *cells]) + "\n")
    with pytest.raises(DataError, match=r"thousands .* are not read; .*; fit reads them with --thousands ,$"):
        read_table(str(path), options=options, notice=print)
    table = read_table(str(path), ColumnRequest(thousands=","), options, notice=print)
    assert to_cells(table.values, table.schema).column(0).to_pylist() == cells
    with open_table(str(path), table.schema.columns, options=options, notice=print) as reader:
        assert np.array_equal(reader.values(), table.values)
    frame = from_frame(pd.DataFrame({"x": cells}), ColumnRequest(thousands=","), notice=print)
    assert np.array_equal(frame.values, table.values)


@pytest.mark.parametrize("mark", [".", "", ";", ",,"])
def test_what_separates_no_thousands_is_refused(tmp_path, mark):
    (tmp_path / "d.csv").write_text("x\n1\n2\n")
    with pytest.raises(UsageError, match="--thousands"):
        read_table(str(tmp_path / "d.csv"), ColumnRequest(thousands=mark), notice=print)
