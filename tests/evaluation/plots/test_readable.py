"""Whatever a table is like, the words on its pictures are whole and lie beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.errors import UsageError
from flowcli.evaluation.plots import calibration, corner, marginals
from flowcli.table import Column, Schema
from tests.evaluation.plots.reading import assert_readable, said, texts
from tests.evaluation.plots.tables import KINDS, LONG, mixed

COUNTS = [1, 2, 5, 10, 43]
PICTURES = {
    "corner": corner,
    "marginals": marginals,
    "calibration": lambda samples, rows, schema, **options: calibration(rows, samples, schema, **options),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", PICTURES)
def test_words_are_whole_and_apart(count, name):
    schema, rows = mixed(count, 300)
    samples = mixed(count, 500, seed=1)[1]
    assert_readable(PICTURES[name](samples, rows, schema, model="a model of [/x] $1$.flow"))


@pytest.mark.parametrize("column", KINDS, ids=range(len(KINDS)))
def test_a_column_of_each_kind_alone(column):
    rows = mixed(len(KINDS), 100)[1][:, [KINDS.index(column)]]
    assert_readable(corner(rows, rows[:50], Schema((column,))))


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("name", PICTURES)
def test_hardly_any_rows(rows, name):
    schema, values = mixed(4, 40)
    if name == "calibration" and not rows:
        with pytest.raises(UsageError, match="needs rows"):
            PICTURES[name](values, values[:0], schema)
        return
    assert_readable(PICTURES[name](values[: 1 + 39 * rows], values[:rows], schema))


@pytest.mark.parametrize("name", ["corner", "marginals"])
def test_cells_that_all_are_missing(name):
    schema, rows = mixed(4, 50)
    rows[:, 3] = np.nan
    samples = rows.copy()
    samples[:, 1] = np.nan
    figure = PICTURES[name](samples, rows, schema)
    assert_readable(figure)
    assert "missing 100% | 100%" in texts(figure)


def test_columns_whose_names_differ_in_their_middles_stay_apart():
    names = [f"{'a' * 60}{i}{'b' * 60}" for i in range(3)]
    schema = Schema(tuple(Column(name) for name in names))
    values = np.random.default_rng(0).normal(size=(100, 3))
    assert_readable(corner(values, values, schema))


def test_a_long_name_keeps_its_beginning_and_its_end():
    schema, rows = mixed(5, 100)
    (shown,) = [text for text in texts(marginals(rows, rows, schema)) if text.startswith("a very")]
    assert "…" in shown
    assert shown.endswith("x]")
    assert len(shown) < len(LONG)


def test_numbers_at_the_ends_of_what_numbers_can_be():
    values = np.array([[1e300, 1e-300], [-1e300, 2e-300], [0.0, 0.0], [1.0, 5e-324]] * 30)
    figure = corner(values, values[:10], Schema((Column("large"), Column("small"))))
    assert_readable(figure)


def test_a_picture_alone_says_what_it_shows():
    schema, rows = mixed(2, 100)
    text = said(corner(rows, rows[:40], schema, model="m.flow", total=70_000))
    assert "m.flow: samples over data" in text
    assert "100 samples of the model" in text
    assert "the data, 40 of 70,000 rows at random" in text
    assert "the data" not in said(corner(rows, None, schema))
