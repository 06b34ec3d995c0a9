"""The days of a week as outcomes of a date's column."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

import flowcli
from flowcli.encoding.season import Season
from flowcli.evaluation.check import check
from flowcli.table.inference.season import seasonal_period
from flowcli.table.schema import Column

DAYS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m-%d", seasonal_period=7)
MINUTES = Column("when", "real", step=60.0, origin=30.0, format="%Y-%m-%dT%H:%M:%S", seasonal_period=7)
UNROUNDED = Column("when", "real", format="%Y-%m-%dT%H:%M:%S", seasonal_period=7)
MONTHS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m", seasonal_period=12)
QUARTERS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-Q%q", seasonal_period=4)


@pytest.mark.parametrize("column", [DAYS, MINUTES, UNROUNDED, MONTHS, QUARTERS], ids=lambda c: f"{c.format}, {c.step}")
def test_outcome_and_place_are_the_date_one_to_one(column):
    season = Season(column)
    numbers = np.random.default_rng(0).uniform(-3e4, 3e4, 5000) * (86_400 if "%H" in column.format else 1)
    x = torch.from_numpy(column.nearest(numbers) if column.step else numbers)
    x.requires_grad_()
    y = season.forward(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(season.log_masses(season.codes(x), x), slope.log())
    codes = season.codes(x)
    assert torch.allclose(season.inverse(y, codes), x, rtol=0, atol=1e-4)
    assert sorted(codes.unique().tolist()) == list(range(season.count))
    # All of the line is some date's, and no two places of one outcome are the same date's.
    places = y.detach()[codes == 2].sort().values + torch.rand(int((codes == 2).sum()), dtype=torch.float64)
    for code in range(season.count):
        there = season.inverse(places, torch.full_like(codes[: len(places)], code))
        assert (season.codes(there) == code).all()
        assert torch.allclose(season.forward(there), places, rtol=0, atol=1e-3)
    assert (y.detach() - x.detach()).abs().max() <= season.count * season._length


def test_the_first_outcome_of_days_is_a_monday():
    dates = pd.date_range("1950-01-01", "2050-01-01", freq="13D")
    numbers = torch.from_numpy((dates - pd.Timestamp(0)).days.to_numpy(dtype=float))
    assert Season(DAYS).codes(numbers).tolist() == dates.day_of_week.tolist()
    assert Season(UNROUNDED).codes(numbers * 86_400 + 86_399.0).tolist() == dates.day_of_week.tolist()


def orders(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    dates = pd.Timestamp("2023-01-02") + pd.to_timedelta(random.integers(0, 730, rows), "D")
    dates = dates[(dates.day_of_week < 5) | (random.random(rows) < 0.1)]
    spent = 10.0 * (dates.day_of_week == 4) + random.normal(0, 1, len(dates))
    return pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), "spent": spent})


def test_what_differs_from_day_to_day_reaches_the_density():
    model = flowcli.fit(orders(4000, 0), seed=0, overrides=["train.epochs=25"])
    column = model.density.schema.columns[0]
    assert column.seasonal_period == 7
    drawn = model.sample(5000, seed=1)
    day = pd.to_datetime(drawn["date"]).dt.day_of_week
    assert abs((day >= 5).mean() - 0.04) < 0.02
    means = drawn["spent"].groupby(day).mean()
    assert abs(means[4] - 10) < 1
    assert means[[0, 1, 2, 3]].abs().max() < 1
    assert np.isfinite(model.log_prob(drawn)).all()
    # Friday's mass is Friday's: ten cannot be spent on a Thursday, nor nothing on a Friday.
    rows = pd.DataFrame({"date": ["2024-05-03", "2024-05-02", "2024-05-03", "2024-05-02"], "spent": [10.0, 10.0, 0, 0]})
    friday, thursday_too_much, friday_too_little, thursday = model.log_prob(rows)
    assert min(friday, thursday) > max(thursday_too_much, friday_too_little) + 4
    # Beyond all training rows the density is small, and not zero.
    assert np.isfinite(model.log_prob(rows.assign(date="2027-01-01"))).all()


def test_the_masses_of_all_dates_add_up_to_one():
    model = flowcli.fit(orders(3000, 2)[["date"]], seed=0, overrides=["train.epochs=5"])
    every = pd.DataFrame({"date": pd.date_range("2015-01-01", "2032-01-01").strftime("%Y-%m-%d")})
    assert math.isclose(np.exp(model.log_prob(every)).sum(), 1.0, abs_tol=0.02)
    findings = {finding.name: finding.passed for finding in check(model.density)}
    assert findings["total mass"]
    assert findings["log-det of the columns"]
    assert False not in findings.values()


def test_days_that_do_not_differ_are_left_together():
    random = np.random.default_rng(3)
    values = np.stack([random.integers(18_000, 19_000, 5000).astype(float), random.normal(0, 1, 5000)], 1)
    plain = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m-%d")
    assert seasonal_period(plain, values, 0) is None
    values[:, 1] += 0.3 * (values[:, 0] % 7 == 1)
    assert seasonal_period(plain, values, 0) == 7
