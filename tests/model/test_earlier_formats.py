"""Model files of every earlier format load, and say what they said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import flowcli
from flowcli.model import flow_density
from flowcli.random import Stream, numpy_generator

FILES = Path(__file__).parent / "files"
EXPECTED = json.loads((FILES / "expected.json").read_text())


def rows(model):
    return pd.read_csv(FILES / ("mixed.csv" if {"a", "kind"} & set(model.columns) else "numbers.csv"))


def test_every_file_has_its_figures_and_every_format_a_file():
    assert {path.stem for path in FILES.glob("*.flow")} == EXPECTED.keys()
    assert {name.partition("-")[0] for name in EXPECTED} == {"format1", "format2", "format3"}


def points_of_the_time(count, columns, width, rows, seed):
    """Points in the cells of rounded numbers, which were the same for every row: a Kronecker sequence, shifted."""
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (len(columns) + 1))
    shift = numpy_generator(seed, Stream.ROUNDING_POINTS).random(len(columns))
    for number in range(count):
        point = torch.full((len(rows.codes), width), 0.5, dtype=torch.float64)
        point[:, columns] = torch.from_numpy((number * (1 / root) ** np.arange(1, len(columns) + 1) + shift) % 1.0)
        yield point


@pytest.mark.parametrize("name", EXPECTED)
def test_log_densities_are_those_of_the_time(name, monkeypatch):
    monkeypatch.setattr(flow_density, "points", points_of_the_time)
    model = flowcli.load(FILES / f"{name}.flow")
    result = model.log_prob(rows(model), precision="float64")
    np.testing.assert_allclose(result, np.array(EXPECTED[name], dtype=float), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_that_is_written_again_says_the_same(name, tmp_path):
    model = flowcli.load(FILES / f"{name}.flow")
    model.save(tmp_path / "again.flow")
    again = flowcli.load(tmp_path / "again.flow")
    assert again.density.schema == model.density.schema
    np.testing.assert_array_equal(again.log_prob(rows(model)), model.log_prob(rows(model)))


@pytest.mark.parametrize("name", EXPECTED)
def test_draws_have_a_finite_density(name):
    model = flowcli.load(FILES / f"{name}.flow")
    given = [column.name for column in model.density.schema.columns if column.given]
    drawn = model.sample(50, seed=1, given=rows(model)[given].dropna().head(1) if given else None)
    assert np.isfinite(model.log_prob(drawn)).all()
