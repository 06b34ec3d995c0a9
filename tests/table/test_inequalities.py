"""Columns that are never below others: which are found, and which are in order by accident."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from flowcli.errors import DataError
from flowcli.table import ColumnRequest, Schema, decision, from_frame, refuse_invalid

ROWS = 2000
RANDOM = np.random.default_rng(0)
LOW = RANDOM.normal(20, 5, ROWS)
ABOVE = RANDOM.gamma(1.5, 2, ROWS)
LOGS = RANDOM.normal(3, 1, ROWS)
DAYS = RANDOM.integers(18_000, 20_000, ROWS)


def schema(columns: Mapping[str, np.ndarray], notices: list[str] | None = None, **request) -> Schema:
    said = [] if notices is None else notices
    return from_frame(pd.DataFrame(columns), ColumnRequest(**request), notice=said.append).schema


def found(columns: Mapping[str, np.ndarray], **request) -> dict[str, str]:
    return {c.name: c.at_least for c in schema(columns, **request).columns if c.at_least is not None}


def dates(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype("datetime64[ns]")


ORDERED = {
    "floats": {"low": LOW, "high": LOW + ABOVE},
    "hundredths": {"low": LOW.round(2), "high": (LOW.round(2) + ABOVE.round(2)).round(2)},
    "dates": {"low": dates(DAYS), "high": dates(DAYS + RANDOM.geometric(0.05, ROWS) - 1)},
    "the higher one first, and some as high": {"high": LOW.round() + np.floor(ABOVE), "low": LOW.round()},
}


@pytest.mark.parametrize("columns", ORDERED.values(), ids=ORDERED.keys())
def test_a_column_that_is_never_below_another(columns: Mapping[str, np.ndarray]) -> None:
    assert found(columns) == {"high": "low"}


ACCIDENTS = {
    "apart": {"a": LOW, "b": 100 + LOW + ABOVE},
    "independent, and nearly apart": {"a": RANDOM.random(ROWS), "b": 0.99 + RANDOM.random(ROWS)},
    "other units": {"a": np.exp(LOGS), "b": np.exp(LOGS + RANDOM.normal(2.5, 0.5, ROWS))},
    "a row against it": {"a": LOW, "b": LOW + np.where(np.arange(ROWS) == 1234, -1, ABOVE)},
    "so few rows": {"a": LOW[:90], "b": (LOW + ABOVE)[:90]},
    "missing cells": {"a": np.where(np.arange(ROWS) == 7, np.nan, LOW), "b": LOW + ABOVE},
    "few values": {"a": np.floor(ABOVE % 3), "b": np.floor(ABOVE % 3) + np.floor(LOW % 3)},
    "whole numbers above fractions": {"a": LOW.round(1), "b": np.ceil(LOW.round(1) + ABOVE)},
}


@pytest.mark.parametrize("columns", ACCIDENTS.values(), ids=ACCIDENTS.keys())
def test_columns_that_are_in_order_by_accident_or_cannot_be_compared(columns: Mapping[str, np.ndarray]) -> None:
    assert found(columns) == {}


def test_an_upper_bound_is_not_given_up_for_an_order() -> None:
    high = RANDOM.random(ROWS)
    columns = {"low": high * RANDOM.random(ROWS), "high": high}
    assert schema(columns).columns[1].kind == "bounded"
    assert found(columns) == {}


def test_a_chain_is_taken_link_by_link() -> None:
    columns = {"c": LOW + ABOVE + ABOVE[::-1], "a": LOW, "b": LOW + ABOVE}
    assert found(columns) == {"c": "b", "b": "a"}


def test_what_was_said_of_a_column_counts_more() -> None:
    columns = ORDERED["floats"]
    assert found(columns, kinds={"high": "real"}) == {}
    assert found(columns, given=("low",)) == {}


def test_an_order_is_said_once() -> None:
    notices: list[str] = []
    _, high = schema(ORDERED["dates"], notices).columns
    assert notices == [
        "true in all rows, and so in all that are drawn: 'low' <= 'high';"
        " --kind 'high=real' models that column by itself"
    ]
    assert decision(high) == "at least low; the difference positive, in steps of 1 day"


def test_rows_in_the_wrong_order_are_refused_where_impossible_ones_are() -> None:
    columns = schema(ORDERED["floats"]).columns
    refuse_invalid(np.array([[1.0, 1.0]]), columns, "new.csv")
    with pytest.raises(DataError, match=r"'high': row 2: is below 'low'"):
        refuse_invalid(np.array([[1.0, 2.0], [1.0, 0.5]]), columns, "new.csv")
