"""Numbers with something around their digits."""

from __future__ import annotations

import numpy as np
import pytest

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
