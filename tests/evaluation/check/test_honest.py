"""Densities that are correct pass: every shipped config on every sample table, and tables of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from flowcli import config
from flowcli.encoding import Encoder
from flowcli.evaluation.check import check
from flowcli.flows import MixedDensity
from flowcli.model import Ensemble, FlowDensity
from flowcli.table import frame_values
from flowcli.table.schema import Column, Schema
from tests.evaluation.check.models import SAMPLES, density, mixed, sample

CONFIGS = [name for name in config.names() if "/" not in name]
TABLES = ["magic", "penguins", "rings"]
MIXING = {"gaussianization", "glow", "nsf", "nsf-coupling"}
# Every config once, and auto, which is what people use, on every table; a table each for those that mix columns.
PAIRS = [
    *(("auto", rows) for rows in TABLES),
    *((name, TABLES[number % 3]) for number, name in enumerate(n for n in CONFIGS if n not in {"auto", *MIXING})),
    *((name, ("magic", "rings")[number % 2]) for number, name in enumerate(sorted(MIXING))),
]


def failures(*arguments, **options) -> list[tuple[str, str]]:
    """The lines that fail, and where; there must be some that do not."""
    result = list(check(*arguments, **options))
    assert result
    return [(finding.name, finding.where) for finding in result if finding.passed is False]


@pytest.mark.parametrize(("name", "rows"), PAIRS)
def test_every_config_passes_on_every_sample_table(name, rows):
    assert failures(sample(rows, name)) == []


def test_a_matrix_mixes_the_columns_that_a_row_has():
    assert failures(sample("penguins", "gaussianization")) == []


@pytest.mark.parametrize("given", [(), ("kind", "wind", "share")])
def test_tables_of_every_kind_pass(given):
    assert failures(mixed(*given)) == []


@pytest.mark.parametrize(("rows", "name", "seeds"), [("rings", "small", 10), ("penguins", "auto", 3)])
def test_no_seed_fails_by_chance(rows, name, seeds):
    model = sample(rows, name)
    assert [result for seed in range(1, seeds + 1) for result in failures(model, seed=seed)] == []


def test_rows_of_a_table_are_looked_at_too():
    model = sample("penguins", "auto")
    values = frame_values(pd.read_csv(SAMPLES / "penguins.csv"), model.schema.columns)
    assert failures(model, values[:1]) == []
    unknown = values.copy()
    unknown[:, 0] = np.where(np.arange(len(values)) % 2, 99, unknown[:, 0])  # no such category
    assert failures(model, unknown) == []


def test_constants_alone_pass():
    schema = Schema((Column("a", "constant", value=3.5, step=0.5), Column("b", "constant", value=0.0, levels=("x",))))
    encoder = Encoder.fit(schema, torch.tensor([[3.5, 0.0]] * 5, dtype=torch.float64))
    model = FlowDensity(encoder, MixedDensity(encoder.layout, None), config.load("auto"))
    assert [finding.name for finding in check(model)] == ["total mass"]
    assert failures(model) == []


@pytest.mark.parametrize("kind", ["real", "positive", "bounded", "circular", "category", "heavy", "atom"])
def test_a_single_column_passes(kind):
    random = np.random.default_rng(0)
    x, kinds = {
        "real": (random.normal(size=400), {"x": "real"}),
        "positive": (random.lognormal(0, 2, 400), {"x": "positive"}),
        "bounded": (random.beta(0.5, 0.5, 400), {"x": "bounded:0,1"}),
        "circular": (np.degrees(random.vonmises(3, 2, 400)) % 360, {"x": "circular:360"}),
        "category": (random.choice(["a", "b", "[/c]"], 400), {}),
        "heavy": (random.standard_cauchy(400), {"x": "real"}),
        "atom": (np.where(random.random(400) < 0.5, 0.0, random.lognormal(0, 1, 400)), {}),
    }[kind]
    model = density(pd.DataFrame({"x": x}), "auto", kinds=kinds)
    result = {finding.name: finding for finding in check(model)}
    assert [name for name, finding in result.items() if finding.passed is False] == []
    if kind != "category":
        assert result["total mass"].passed
        assert result["total mass"].where.endswith("quadrature")


def test_43_columns_pass():
    random = np.random.default_rng(1)
    values = random.normal(size=(300, 43)) @ (np.eye(43) + 0.1 * random.normal(size=(43, 43)))
    data = pd.DataFrame(values, columns=[f"c{i}" for i in range(43)])
    assert failures(density(data, "auto", ["train.epochs=1"])) == []


def test_an_ensemble_passes():
    one, other = sample("rings", "small"), sample("rings", "mixture")
    assert failures(Ensemble([one, other], np.array([0.25, 0.75]))) == []


def test_findings_repeat_by_seed():
    model = sample("rings", "small")
    first, again, other = (list(check(model, seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
