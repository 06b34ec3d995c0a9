"""A number off its column's lattice has no density, whatever the column's kind; one that printing moved has its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowcli.encoding.encoder import Encoder
from flowcli.errors import UsageError
from flowcli.table import read_cell
from flowcli.table.schema import Column, Schema

WHOLE = np.arange(1.0, 13.0)

# A column, its training values, numbers that it holds, and numbers that it does not.
COLUMNS = {
    "real": (Column("x", step=1.0, integer=True), WHOLE, [7, -3, 1e9], [12.34, 12.01, 0.5]),
    "real in quarters": (Column("x", step=0.25, decimals=2), WHOLE / 4, [0.75, -2], [0.07, 0.3]),
    "real in hundredths": (Column("x", step=0.01, decimals=2), WHOLE / 100, [0.07, 0.1 + 0.2, 0.075, 0.301], []),
    "any step": (Column("x", step=1 / 12, origin=0.01, decimals=4), 0.01 + WHOLE / 12, [0.0933, 0.4267], [0.12, 0.05]),
    "float32": (Column("x", step=0.2), WHOLE / 5, [float(np.float32(1000.2)), 0.6], [0.25, 0.61]),
    "positive": (Column("x", "positive", step=1.0, integer=True), WHOLE, [1, 40], [0.3, 2.5, -1]),
    "counts": (Column("x", "positive", lower=-0.5, straight_above=2.0, step=1.0), WHOLE, [0, 13], [0.3, -1]),
    "bounded": (Column("x", "bounded", lower=0.0, upper=20.0, step=0.5), WHOLE, [0, 0.5, 20], [0.3, 20.5]),
    "circular": (Column("x", "circular", lower=0.0, upper=360.0, step=1.0), WHOLE, [0, 359, 360], [12.34, 361]),
    "discrete": (Column("x", "discrete", values=(0.0, 1.0), step=1.0), WHOLE % 2, [0, 1], [0.3, 2]),
    "discrete tenths": (Column("x", "discrete", values=(0.0, 0.1), step=0.1, decimals=1), WHOLE % 2 / 10, [0], [0.05]),
    "discrete with others": (
        Column("x", "discrete", values=(1.0, 2.0), step=1.0, has_unseen_values=True),
        WHOLE,
        [1, 9],
        [1.5, 0.3],
    ),
    "constant": (Column("x", "constant", value=5.0, step=1.0), WHOLE * 0 + 5, [5], [5.3, 6]),
    "an atom": (Column("x", atoms=(0.25,), step=1.0), WHOLE, [0.25, 3], [0.3, 3.25]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_number_that_is_none_of_its_columns_is_impossible(name):
    column, train, held, others = COLUMNS[name]
    encoder = Encoder.fit(Schema((column,)), torch.from_numpy(train[:, None]))
    for values, expected in ((held, True), (others, False)):
        rows = torch.tensor(values, dtype=torch.float64)[:, None]
        assert (encoder.holds(rows) == expected).all(), values
        shares = torch.full_like(rows, 0.3)  # as scores take them, at points of each interval
        assert ((encoder.forward(encoder.prepare(rows), shares)[1] > -math.inf) == expected).all(), values


def test_a_given_number_may_lie_between_those_that_were_seen():
    """It has no density of its own, and what depends on it is read off in between."""
    schema = Schema((Column("x", step=1.0, given=True), Column("y")))
    encoder = Encoder.fit(schema, torch.from_numpy(np.stack([WHOLE, WHOLE], axis=1)))
    assert encoder.holds(torch.tensor([[3.5, 0.0]], dtype=torch.float64)).all()
    assert read_cell("3.5", schema.columns[0]) == 3.5


def test_a_total_with_digits_that_it_never_has_is_not_taken_for_the_nearest():
    parts = np.stack([WHOLE, WHOLE[::-1]], axis=1)
    total = Column("t", "discrete", values=(0.0,), has_unseen_values=True, step=1.0, integer=True,
                   subtracted_columns=(("a", 1.0), ("b", 1.0)))  # fmt: skip
    schema = Schema((Column("a"), Column("b"), total))
    rows = torch.from_numpy(np.column_stack([parts, parts.sum(axis=1)]))
    encoder = Encoder.fit(schema, rows)
    held = encoder.holds(encoder.relations.residuals(torch.tensor([[1, 2, 3.0], [1, 2, 4], [1, 2, 3.2]]).double()))
    assert held[:, 2].tolist() == [True, True, False]


def test_a_number_to_be_given_that_the_column_never_has_is_refused():
    with pytest.raises(UsageError, match=r"^month=2\.5: 2\.5 is none of the column's numbers, which lie 1 apart$"):
        read_cell("2.5", Column("month", step=1.0))
