"""Rows that are kept for meeting a condition."""

from __future__ import annotations

import numpy as np
import pytest

from flowcli.conditional.rejection import Rejection, usual_budget
from flowcli.errors import NumericsError


def blocks(count, size=10):
    """Blocks of rows that are numbered, with log-densities."""
    for number in range(count):
        values = np.arange(number * size, (number + 1) * size, dtype=float)
        yield values[:, None], -values


def third(values):
    return values[:, 0] % 3 == 0


@pytest.mark.parametrize("wanted", [1, 2, 4, 5, 33])
def test_the_first_rows_that_meet_it_are_kept(wanted):
    chosen = Rejection(third, wanted)
    values, log_prob = (np.concatenate(part) for part in zip(*chosen.accepted(blocks(10)), strict=True))
    assert values[:, 0].tolist() == [3 * i for i in range(wanted)]
    assert log_prob.tolist() == [-3 * i for i in range(wanted)]
    assert (chosen.kept, chosen.drawn) == (wanted, 3 * (wanted - 1) + 1)


def test_nothing_more_is_drawn_than_needed():
    seen = []

    def watched():
        for block in blocks(1_000):
            seen.append(block)
            yield block

    list(Rejection(third, 5).accepted(watched()))
    assert len(seen) == 2
    list(Rejection(third, 0).accepted(watched()))
    assert len(seen) == 2


def test_too_few_is_an_error_that_counts():
    chosen, result = Rejection(lambda values: values[:, 0] == 7, 2), []
    with pytest.raises(NumericsError, match="only 1 of 30 drawn rows meet the condition, and 2 were asked for"):
        result.extend(chosen.accepted(blocks(3)))
    assert [values.tolist() for values, _ in result] == [[[7.0]]]


def test_the_usual_budget():
    assert [usual_budget(rows) for rows in (1, 1_000, 10_000)] == [1_000_000, 1_000_000, 10_000_000]
