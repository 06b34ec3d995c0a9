"""A smooth, strictly increasing bijection of the whole line, whatever rows it was fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowcli.encoding import QuantileMap

RANDOM = np.random.default_rng(5)
NORMAL = RANDOM.normal(size=(2000, 1))
ROWS = {
    "normal": NORMAL,
    "lognormal": np.exp(2 * NORMAL),
    "cauchy": RANDOM.standard_cauchy(size=(3000, 1)),
    "two-humps": np.concatenate([NORMAL - 30, NORMAL + 30]),
    "outlier": np.append(NORMAL, [[1e30]], axis=0),
    "far-outlier": np.append(NORMAL, [[1e140]], axis=0),
    "half-zeros": np.where(NORMAL > 0, NORMAL, 0.0),
    "nearly-all-zeros": np.where(np.abs(NORMAL) > 2, NORMAL, 0.0),
    "integers": np.round(NORMAL * 2),
    "all-equal": np.full((100, 1), 3.7),
    "all-equal-far": np.full((100, 1), -1e9),
    "one-row": np.array([[0.3]]),
    "two-rows": np.array([[0.3], [-1.0]]),
    "three-rows": np.array([[0.3], [-1.0], [2.0]]),
    "five-rows": np.array([[0.3], [-1.0], [2.0], [2.1], [0.0]]),
    "uniform": RANDOM.uniform(size=(500, 1)),
}


@pytest.fixture(params=ROWS)
def rows(request):
    return torch.from_numpy(ROWS[request.param])


def derivative(quantile_map, x):
    return torch.exp(quantile_map.forward(x[:, None])[1][:, 0])


def indices(rows, quantile_map):
    """The rows, points between and outside of them, and points around every knot."""
    knots = quantile_map.positions[0]
    width = float(knots[-1] - knots[0])
    return torch.cat(
        [
            rows[:, 0],
            knots,
            torch.lerp(knots[:-1], knots[1:], 0.01),
            torch.lerp(knots[:-1], knots[1:], 0.7),
            torch.stack([knots[0] - width, knots[-1] + width, knots[0] - 10 * width, knots[-1] + 10 * width]),
        ]
    ).unique()


def test_knots_and_slopes_are_finite_and_increasing(rows):
    fitted = QuantileMap.fit(rows)
    for part in (fitted.positions, fitted.heights, fitted.slopes):
        assert part.isfinite().all()
        assert part.shape == fitted.positions.shape
    assert (fitted.positions.diff() > 0).all()
    assert (fitted.heights.diff() > 0).all()
    assert (fitted.slopes > 0).all()


def test_strictly_increasing_with_a_finite_derivative(rows):
    fitted = QuantileMap.fit(rows)
    x = indices(rows, fitted)
    z, log_derivative = fitted.forward(x[:, None])
    assert log_derivative.isfinite().all()
    assert (z[:, 0].diff() >= 0).all()
    # On the way to an outlier a step of x can be lost in the rounding of z.
    flattest = torch.exp(torch.minimum(log_derivative[1:, 0], log_derivative[:-1, 0]))
    visible = flattest * x.diff() > 1e-12
    assert visible.sum() > len(x) / 2
    assert (z[:, 0].diff()[visible] > 0).all()


def test_inverse_undoes_forward_and_forward_undoes_inverse(rows):
    fitted = QuantileMap.fit(rows)
    z = torch.linspace(-6, 6, 2001, dtype=torch.float64)[:, None]
    x = fitted.inverse(z)
    assert (x.diff(dim=0) > 0).all() or len(rows) < 3 or float(rows.std()) == 0
    again, log_derivative = fitted.forward(x)
    # As near as the rounding of x allows.
    slack = 1e-10 + 1e-14 * x.abs() * torch.exp(log_derivative)
    assert ((again - z).abs() <= slack).all()
    x = indices(rows, fitted)[:, None]
    z, log_derivative = fitted.forward(x)
    slack = 1e-10 * x.abs() + 1e-14 * (1 + z.abs()) * torch.exp(-log_derivative) + 1e-13
    assert ((fitted.inverse(z) - x).abs() <= slack).all()


def test_log_derivative_is_that_of_autograd(rows):
    fitted = QuantileMap.fit(rows)
    x = indices(rows, fitted)[:, None].requires_grad_()
    z, log_derivative = fitted.forward(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    # At a knot there are two branches, and far out on the way to an outlier autograd's difference is all rounding.
    difference = ~torch.isin(x, fitted.positions[0]) & (log_derivative + torch.log(x.abs() + 1) > -20)
    assert difference.sum() > len(x) / 4 or len(rows) < 3 or float(rows.std()) == 0
    torch.testing.assert_close(log_derivative[difference], torch.log(slope)[difference], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["normal", "lognormal", "two-humps", "five-rows", "uniform", "half-zeros"])
def test_log_derivative_is_that_of_finite_differences(name):
    rows = torch.from_numpy(ROWS[name])
    fitted = QuantileMap.fit(rows)
    knots = fitted.positions[0]
    x = torch.cat([torch.lerp(knots[:-1], knots[1:], 0.4), knots[:1] - 1.0, knots[-1:] + 1.0])[:, None]
    gap = 1e-5 * torch.cat([knots.diff(), knots.diff()[:1], knots.diff()[-1:]])[:, None]
    slope = (fitted.forward(x + gap)[0] - fitted.forward(x - gap)[0]) / (2 * gap)
    torch.testing.assert_close(torch.log(slope), fitted.forward(x)[1], rtol=1e-4, atol=1e-4)


def test_value_and_slope_are_continuous_at_every_knot(rows):
    fitted = QuantileMap.fit(rows)
    knots, heights, slopes = fitted.positions[0], fitted.heights[0], fitted.slopes[0]
    below, above = (torch.nextafter(knots, torch.full_like(knots, end)) for end in (-torch.inf, torch.inf))
    rounding = 1e-12 + 4e-16 * knots.abs() * slopes
    for x in (below, knots, above):
        z, log_derivative = fitted.forward(x[:, None])
        assert ((z[:, 0] - heights).abs() <= rounding).all()
        # The slope moves by as much as its rate of change makes of one rounding of x.
        widths = torch.minimum(
            torch.cat([knots.diff(), knots.diff()[-1:]]), torch.cat([knots.diff()[:1], knots.diff()])
        )
        steepest = torch.cat([slopes[1:] / slopes[:-1], slopes[:-1] / slopes[1:]]).max()
        slack = 1e-9 + 100 * steepest * 2.3e-16 * knots.abs() / widths
        assert ((log_derivative[:, 0] - torch.log(slopes)).abs() <= slack).all()


def test_rows_come_out_near_normal():
    for name in ("normal", "lognormal", "cauchy", "two-humps", "uniform"):
        rows = torch.from_numpy(ROWS[name])
        z, _ = QuantileMap.fit(rows).forward(rows)
        assert abs(float(z.mean())) < 0.05, name
        assert abs(float(z.std()) - 1) < 0.05, name
        assert z.abs().max() < 4.5, name


def test_few_rows_come_out_at_unit_scale(rows):
    z, _ = QuantileMap.fit(rows).forward(rows)
    assert z.abs().max() < 5


@pytest.mark.parametrize("value", [1e300, -1e300, 1e100, -1e100])
def test_the_whole_line(rows, value):
    fitted = QuantileMap.fit(rows)
    distant = torch.tensor([[value]], dtype=torch.float64)
    z, log_derivative = fitted.forward(distant)
    assert not z.isnan().any()
    assert log_derivative.isfinite().all()
    if z.isfinite().all() and float(log_derivative) + np.log(abs(value)) > -20:  # else z's rounding swallows x
        torch.testing.assert_close(fitted.inverse(z), distant, rtol=1e-9, atol=0)
    assert not fitted.inverse(distant).isnan().any()


@pytest.mark.parametrize("columns", [1, 200])
def test_columns_do_not_know_of_each_other(columns):
    together = torch.from_numpy(RANDOM.standard_t(3, size=(300, columns)))
    together[:, ::3] = together[:, ::3].round()
    fitted = QuantileMap.fit(together)
    x = 2 * torch.from_numpy(RANDOM.standard_t(3, size=(100, columns)))
    z, log_derivative = fitted.forward(x)
    assert z.shape == log_derivative.shape == (100, columns)
    for d in {0, columns // 2, columns - 1}:
        alone = QuantileMap.fit(together[:, d : d + 1])
        own, own_derivative = alone.forward(x[:, d : d + 1])
        torch.testing.assert_close(z[:, d], own[:, 0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(log_derivative[:, d], own_derivative[:, 0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(fitted.inverse(z), x, rtol=1e-8, atol=1e-9)


def test_zero_rows_pass():
    fitted = QuantileMap.fit(torch.from_numpy(ROWS["normal"]))
    z, log_derivative = fitted.forward(torch.empty(0, 1, dtype=torch.float64))
    assert z.shape == log_derivative.shape == fitted.inverse(z).shape == (0, 1)


def test_knots_are_as_many_as_the_values_of_the_column_allow():
    """Cells that are missing are no values: with knots for them, each of a few values would have a spike."""
    random = np.random.default_rng(3)
    x = torch.from_numpy(random.normal(size=(20_000, 2)))
    few, new = x[:55, 1:], torch.from_numpy(random.normal(size=(5000, 1)))
    x[55:, 1] = torch.nan
    both, alone = QuantileMap.fit(x), QuantileMap.fit(few)
    torch.testing.assert_close(both.forward(torch.cat([new, new], 1))[0][:, 1:], alone.forward(new)[0])
