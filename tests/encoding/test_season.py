"""The days of a week as outcomes of a date's column."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import flowcli
from flowcli.encoding.season import season_of
from flowcli.evaluation.check import check
from flowcli.table.inference.season import seasonal_period
from flowcli.table.schema import Column

DAYS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m-%d", seasonal_period=7)
MINUTES = Column("when", "real", step=60.0, origin=30.0, format="%Y-%m-%dT%H:%M:%S", seasonal_period=7)
UNROUNDED = Column("when", "real", format="%Y-%m-%dT%H:%M:%S", seasonal_period=7)
MONTHS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m", seasonal_period=12)
QUARTERS = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-Q%q", seasonal_period=4)

COLUMNS = [DAYS, MINUTES, UNROUNDED, MONTHS, QUARTERS]
COLUMNS += [replace(column, seasonal_period=period) for column in COLUMNS[:3] for period in (12, 84)]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: f"{c.format}, {c.step}, {c.seasonal_period}")
def test_outcome_and_place_are_the_date_one_to_one(column):
    season = season_of(column)
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
    reach = 200 if season.count > 7 and column.format != "%Y-%m" else season.count
    assert (y.detach() - x.detach()).abs().max() <= reach * season._length


def test_the_first_outcome_of_days_is_a_monday():
    dates = pd.date_range("1950-01-01", "2050-01-01", freq="13D")
    numbers = torch.from_numpy((dates - pd.Timestamp(0)).days.to_numpy(dtype=float))
    assert season_of(DAYS).codes(numbers).tolist() == dates.day_of_week.tolist()
    assert season_of(UNROUNDED).codes(numbers * 86_400 + 86_399.0).tolist() == dates.day_of_week.tolist()
    of_month, of_both = (replace(DAYS, seasonal_period=period) for period in (12, 84))
    assert season_of(of_month).codes(numbers).tolist() == (dates.month - 1).tolist()
    assert season_of(of_both).codes(numbers).tolist() == (7 * (dates.month - 1) + dates.day_of_week).tolist()


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


def months(rows: int, seed: int, *, weekdays: bool = False) -> pd.DataFrame:
    """Sales of ten years: high in December, and without it as they were the day before, and on the whole rising."""
    random = np.random.default_rng(seed)
    dates = pd.Timestamp("2012-03-10") + pd.to_timedelta(random.integers(0, 3700, rows), "D")
    if weekdays:
        dates = dates[(dates.day_of_week < 5) | (random.random(rows) < 0.1)]
    drift = np.cumsum(random.normal(0, 0.1, 3700))[(dates - dates.min()).days]
    sold = 10.0 * (dates.month == 12) + drift + random.normal(0, 1, len(dates))
    return pd.DataFrame({"date": dates.strftime("%d.%m.%Y"), "sold": sold})


def test_what_differs_from_month_to_month_reaches_the_density():
    model = flowcli.fit(months(4000, 0), seed=0, overrides=["train.epochs=25"])
    assert model.density.schema.columns[0].seasonal_period == 12
    drawn = model.sample(5000, seed=1)
    month = pd.to_datetime(drawn["date"], format="%d.%m.%Y").dt.month
    means = drawn["sold"].groupby(month).mean()
    assert means[12] - means[:11].max() > 6
    assert np.isfinite(model.log_prob(drawn)).all()
    rows = pd.DataFrame({"date": ["15.12.2015", "15.11.2015"] * 2, "sold": [11.0, 11.0, 1.0, 1.0]})
    december, too_much, too_little, november = model.log_prob(rows)
    assert min(december, november) > max(too_much, too_little) + 4
    findings = {finding.name: finding.passed for finding in check(model.density)}
    assert findings["total mass"]
    assert False not in findings.values()
    # The training rows end on 2022-04-26: a month later is a little less likely, and not out of the world.
    later = model.log_prob(pd.DataFrame({"date": ["20.04.2022", "26.05.2022", "30.06.2022"], "sold": [1.0, 1.0, 1.0]}))
    assert later.min() > later[0] - 15


def test_months_and_days_of_the_week_together_add_up_to_one():
    frame = months(4000, 1, weekdays=True)
    model = flowcli.fit(frame, seed=0, overrides=["train.epochs=4"])
    assert model.density.schema.columns[0].seasonal_period == 84
    drawn = model.sample(4000, seed=1)
    assert abs((pd.to_datetime(drawn["date"], format="%d.%m.%Y").dt.day_of_week >= 5).mean() - 0.04) < 0.02
    busy = months(20_000, 2, weekdays=True)[["date"]]
    kept = busy["date"].str.contains(".12.", regex=False) | (np.random.default_rng(3).random(len(busy)) < 0.3)
    alone = flowcli.fit(busy[kept], seed=0, overrides=["train.epochs=4"])
    assert alone.density.schema.columns[0].seasonal_period == 84
    every = pd.DataFrame({"date": pd.date_range("1995-01-01", "2040-01-01").strftime("%d.%m.%Y")})
    assert math.isclose(np.exp(alone.log_prob(every)).sum(), 1.0, abs_tol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_series_that_wanders_has_no_months(seed):
    random = np.random.default_rng(seed)
    days = np.arange(15_000, 15_000 + 2600, dtype=float)
    wandering = np.cumsum(random.normal(0, 1, (len(days), 6)), axis=0) + 0.01 * days[:, None]
    plain = Column("when", "real", step=1.0, integer=True, decimals=0, format="%Y-%m-%d")
    assert seasonal_period(plain, np.column_stack([days, wandering]), 0) is None
    wandering[:, 3] += np.where((days % 365.25) < 31, 40, 0)
    assert seasonal_period(plain, np.column_stack([days, wandering]), 0) == 12
