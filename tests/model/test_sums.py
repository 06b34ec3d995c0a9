"""Columns that are sums of others: every row that is drawn keeps the sum, is possible, and has a finite density."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import flowcli
from flowcli.model import load, save
from flowcli.table import ColumnRequest, decision, from_frame

ROWS = 900
RANDOM = np.random.default_rng(0)
A, B, C = (RANDOM.gamma(3, scale, ROWS).round(2) for scale in (5, 9, 2))
G, J, K = (RANDOM.poisson(mean, ROWS) for mean in (7, 20, 3))
X, Y, Z = RANDOM.normal(size=(3, ROWS))
SHARES = RANDOM.dirichlet([0.8, 3, 4], ROWS)
colour = RANDOM.integers(0, 3, ROWS)
DAYS = pd.to_datetime("2020-01-01") + pd.to_timedelta(30 * G, unit="D")

Check = Callable[[pd.DataFrame], "pd.Series | np.ndarray"]


def near(one: pd.Series, other: pd.Series | np.ndarray, tolerance: float = 1e-9) -> pd.Series:
    return (one - other).abs() <= tolerance * (1 + one.abs())


def one_hot(frame: pd.DataFrame) -> pd.Series:
    return frame[["r", "g", "b"]].astype(int).sum(axis=1) == 1


TABLES: dict[str, tuple[dict[str, object], Check]] = {
    "a total": ({"i": G, "j": J, "t": G + J}, lambda f: f.i + f.j == f.t),
    "of amounts": ({"a": A, "b": B, "t": (A + B).round(2)}, lambda f: near(f.a + f.b, f.t)),
    "with factors": ({"i": G, "j": J, "t": 2 * G + 3 * J}, lambda f: 2 * f.i + 3 * f.j == f.t),
    "a half": ({"i": G, "j": J, "t": (G + J) / 2}, lambda f: f.i + f.j == 2 * f.t),
    "a third": ({"a": A, "b": B, "c": C, "t": (A + B + C) / 3}, lambda f: near(f.a + f.b + f.c, 3 * f.t)),
    "a rounded third": (
        {"a": A, "b": B, "c": C, "t": ((A + B + C) / 3).round(2)},
        lambda f: near(f.a + f.b + f.c, 3 * f.t, 0.015 + 1e-9),
    ),
    "a rational factor": ({"inch": G, "cm": (2.54 * G).round(2), "y": Y}, lambda f: near(f.cm, 2.54 * f.inch)),
    "a constant": ({"born": 1960 + G, "age": 60 - G, "y": Y}, lambda f: f.born + f.age == 2020),
    "a chain": (
        {"a": G, "b": J, "ab": G + J, "c": K, "abc": G + J + K},
        lambda f: (f.a + f.b == f.ab) & (f.ab + f.c == f.abc),
    ),
    "two with one part": (
        {"a": G, "b": J, "c": K, "ab": G + J, "ac": G + K},
        lambda f: (f.a + f.b == f.ab) & (f.a + f.c == f.ac),
    ),
    "dates": ({"from": DAYS, "to": DAYS + pd.to_timedelta(J, unit="D"), "days": J},
              lambda f: pd.to_datetime(f["to"]) - pd.to_datetime(f["from"]) == pd.to_timedelta(f.days, unit="D")),
    "floats": ({"x": X, "y": Y, "t": X + 2 * Y}, lambda f: near(f.x + 2 * f.y, f.t)),
    "a copy": ({"x": X, "y": Y, "again": X}, lambda f: f.x == f.again),
    "other units": ({"x": X, "y": Y, "thousandths": 1000 * X}, lambda f: near(1000 * f.x, f.thousandths)),
    "shares": (
        {name: SHARES[:, k].round(3) for k, name in enumerate("pqr")},
        lambda f: near(f.p + f.q + f.r, np.ones(len(f)), 0.00101) & (f.min(axis=1) >= 0) & (f.max(axis=1) <= 1),
    ),
    "exact shares": (
        {name: SHARES[:, k] for k, name in enumerate("pqr")},
        lambda f: near(f.p + f.q + f.r, np.ones(len(f))) & (f.min(axis=1) >= 0) & (f.max(axis=1) <= 1),
    ),
    "what is left of a hundred": (
        {"a": 4 * G, "b": J, "c": np.maximum(0, 100 - 4 * G - J), "y": Y},
        lambda f: (f.a + f.b + f.c == 100) & (f.c >= 0),
    ),
    "dummies": ({name: (colour == k) * 1 for k, name in enumerate("rgb")} | {"y": Y + colour}, one_hot),
    "dummies of true and false": ({name: colour == k for k, name in enumerate("rgb")} | {"y": Y + colour}, one_hot),
    "a flag and its opposite": ({"u": (K > 3) * 1, "v": (K <= 3) * 1, "y": Y}, lambda f: f.u + f.v == 1),
    "a number of flags": (
        {"r": X > 0, "g": Y > 0.3, "b": Z > 0.7, "n": (X > 0) * 1 + (Y > 0.3) * 1 + (Z > 0.7) * 1},
        lambda f: f[["r", "g", "b"]].astype(int).sum(axis=1) == f.n,
    ),
    "a total that may be missing": (
        {"i": G, "j": J, "t": np.where(np.arange(ROWS) % 9 == 0, np.nan, G + J)},
        lambda f: (f.i + f.j == f.t) | f.t.isna(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_row_that_is_drawn_keeps_the_sum(name, tmp_path):
    columns, holds = TABLES[name]
    frame = pd.DataFrame(columns)
    if name == "what is left of a hundred":
        frame = frame[frame.a + frame.b + frame.c == 100].reset_index(drop=True)
    assert holds(frame).all()
    model = flowcli.fit(frame, overrides=["train.epochs=1"])
    drawn = model.sample(3000, seed=1)
    assert holds(drawn).all()
    log_prob = model.log_prob(drawn)
    assert np.isfinite(log_prob).all()
    assert np.isfinite(model.log_prob(frame)).all()
    save(model.density, tmp_path / "m.flow")
    again = load(tmp_path / "m.flow")
    assert np.array_equal(
        again.log_prob(model.density.sample(100, seed=2)), model.density.log_prob(again.sample(100, seed=2))
    )


def sums_of(columns: dict[str, object], **request) -> dict[str, tuple[tuple[str, float], ...]]:
    schema = from_frame(pd.DataFrame(columns), ColumnRequest(**request), notice=lambda _: None).schema
    return {c.name: c.subtracted_columns for c in schema.columns if c.subtracted_columns and c.at_least is None}


def test_flags_that_agree_by_chance_are_no_sum():
    rare = (np.arange(ROWS) < 3) * 1
    assert sums_of({"a": rare, "b": rare, "y": Y}) == {}
    assert sums_of({"a": (K > 3) * 1, "b": (K > 3) * 1, "y": Y}) == {"a": (("b", 1.0),)}
    broken = np.where(np.arange(ROWS) == 500, 1 - (K > 3), K > 3) * 1
    assert sums_of({"a": (K > 3) * 1, "b": broken, "y": Y}) == {}


def test_flags_of_two_categories_are_told_apart():
    size = RANDOM.integers(0, 2, ROWS)
    columns = {name: (colour == k) * 1 for k, name in enumerate("rgb")} | {"small": 1 - size, "large": size}
    assert sums_of(columns) == {"r": (("g", -1.0), ("b", -1.0)), "small": (("large", -1.0),)}


def test_rows_with_an_impossible_sum_have_no_density_and_the_others_all_of_it():
    """Counts of three that add up to four, of which the probabilities of all that there is add up to one."""
    rows = RANDOM.multinomial(4, [0.2, 0.3, 0.5], 2000)
    model = flowcli.fit(pd.DataFrame(rows, columns=list("abc")), overrides=["train.epochs=2"])
    grid = np.array([[a, b, 4 - a - b] for a in range(5) for b in range(5)], dtype=np.float64)
    possible = grid[:, 2] >= 0
    log_prob = model.density.log_prob(grid, draws=64)
    assert (log_prob[~possible] == -math.inf).all()
    assert model.density.encoder.log_possible < -1e-3
    unseen = model.density.schema.columns[1].has_unseen_values
    assert not unseen
    assert np.exp(log_prob[possible]).sum() == pytest.approx(1.0, abs=4e-3)


def test_what_may_go_below_zero_has_a_density_there():
    """Degrees of two scales, both above zero in all rows, and dates after 1970."""
    celsius = np.abs(10 + 5 * X).round(1)
    frame = pd.DataFrame({"c": celsius, "f": (1.8 * celsius + 32).round(2), "y": Y})
    model = flowcli.fit(frame, overrides=["train.epochs=1"])
    assert all(column.least is None for column in model.density.schema.columns)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("with factors", "2 i + 3 j, exactly"),
        ("a constant", "2020 - age, exactly"),
        ("shares", "1 - p - q, but for rounding"),
        ("dummies", "1 - g - b, exactly"),
        ("floats", "t - 2 y, exactly"),
    ],
)
def test_a_sum_is_said_in_words(name, words):
    schema = from_frame(pd.DataFrame(TABLES[name][0]), ColumnRequest(), notice=lambda _: None).schema
    assert words in [decision(column) for column in schema.columns]
