"""Fitted densities that the checks are tried on, made once."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import pandas as pd

from flowcli import config, training
from flowcli.evaluation.check import mass, proposal, quadrature, suite
from flowcli.model import FlowDensity
from flowcli.table import ColumnRequest, from_frame
from tests.fits import SHORT, last, run
from tests.model.test_tables import KINDS, frame

SAMPLES = Path(__file__).resolve().parents[3] / "sample_data"


SMALL = {
    "flow": {
        "layers": [
            {"marginal": "quantile"},
            {
                "repeat": 2,
                "layers": [
                    {"linear": "lu"},
                    {
                        "autoregressive": {
                            "transform": {"spline": {"bins": 4, "bound": 5}},
                            "net": {"hidden": [16], "residual": False, "dropout": 0},
                        }
                    },
                ],
            },
        ],
        "base": "normal",
    },
    "train": {"learning_rate": 2e-3},
}


def few_points(monkeypatch) -> None:
    """Fewer points than users get, so that tests take no time; limits follow from the number of points."""
    for module, name, value in (
        (suite, "DRAWN", 8_000),
        (suite, "WRITTEN", 2_000),
        (suite, "TRIED", 200),
        (proposal, "FIT_ROWS", 2_000),
        (proposal, "COMPONENTS", (8, 8, 4)),
        (mass, "ROUNDS", 2),
        (mass, "ROUND_ROWS", 4_000),
        (quadrature, "MOST_POINTS", 40_000),
    ):
        monkeypatch.setattr(module, name, value)


def density(data: pd.DataFrame, name: str, changes=(), **options) -> FlowDensity:
    """The density after a short fit."""
    table = from_frame(data, ColumnRequest(**options), notice=lambda _: None)
    short = [*SHORT, *changes]
    request = config.from_mapping(SMALL, short) if name == "small" else config.load(name, short)
    return last(run(training.prepare_fit(table, request, notice=lambda _: None)))


@cache
def _sample(table: str, name: str) -> FlowDensity:
    data = pd.read_csv(SAMPLES / f"{table}.csv")
    return density(data.sample(min(len(data), 600), random_state=0), name)


def sample(table: str, name: str) -> FlowDensity:
    """Of a sample table, with a shipped config; a copy of one's own."""
    return copy.deepcopy(_sample(table, name))


@cache
def _mixed(given: tuple[str, ...]) -> FlowDensity:
    data = frame(600)
    data["always"] = 7
    return density(data, "auto", kinds=KINDS, given=given)


def mixed(*given: str) -> FlowDensity:
    """Of categories, angles, missing cells, atoms, counts, rounded numbers and a constant; a copy of one's own."""
    return copy.deepcopy(_mixed(given))
