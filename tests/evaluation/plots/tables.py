"""Tables of all kinds of columns, ugly ones among them, and draws that resemble them."""

from __future__ import annotations

import numpy as np

from flowcli.table import Column, Schema

LONG = "a very long name that goes on for about a hundred characters to see what becomes of it on a page [units/x]"
MANY = tuple(f"level number {i:02} with a text" for i in range(30))

KINDS = (
    Column("x"),
    Column("kind", "category", levels=("Adelie", "Chinstrap", "Gentoo of the islands"), missing=True),
    Column("price", "positive", linear_below=0.01),
    Column(LONG, missing=True),
    Column("[/x]\x1b[31m$a_{1}$ \\frac{", "discrete", values=(0.0, 1.0, 2.0, 3.0)),
    Column("angle", "circular", lower=0.0, upper=360.0, step=1.0),
    Column("seen", "boolean", levels=("false", "true")),
    Column("many", "category", levels=MANY, missing=True),
    Column("unix time", step=1.0),
    Column("tiny"),
    Column("heavy"),
    Column("always", "constant", value=3.0),
    Column("share", "bounded", lower=0.0, upper=1.0),
    Column("日本", "category", levels=("はい", "no")),
)


def mixed(count, rows, seed=0):
    """A schema of so many columns, and rows of it."""
    random = np.random.default_rng(seed)
    columns = [KINDS[i] if i < len(KINDS) else Column(f"x{i}") for i in range(count)]
    values = np.stack([_cells(column, rows, random) for column in columns], axis=1)
    return Schema(tuple(columns)), values


def _cells(column, rows, random):
    cells = {
        "kind": lambda: random.integers(0, 3, rows).astype(float),
        "price": lambda: np.exp(2 * random.normal(size=rows)),
        "angle": lambda: np.round(random.vonmises(1, 2, rows) / np.pi * 180 % 360),
        "seen": lambda: (random.random(rows) < 0.3).astype(float),
        "many": lambda: np.minimum(random.geometric(0.1, rows) - 1.0, 29),
        "unix time": lambda: 1.7e9 + random.integers(0, 31_536_000, rows),
        "tiny": lambda: 1e-30 * random.normal(size=rows),
        "heavy": lambda: 1e6 * random.standard_t(1.1, rows),
        "always": lambda: np.full(rows, 3.0),
        "share": lambda: random.beta(0.5, 0.8, rows),
        "日本": lambda: random.integers(0, 2, rows).astype(float),
    }.get(column.name)
    if column.kind == "discrete":
        values = random.integers(0, 4, rows).astype(float)
    else:
        values = random.normal(size=rows) if cells is None else cells()
    if column.missing:
        values[random.random(rows) < 0.2] = np.nan
    return values
