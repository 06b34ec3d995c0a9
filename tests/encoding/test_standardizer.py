"""Columns to coordinates and back, whatever their scale, offset and kind."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from flowcli.encoding import Encoder, Standardizer
from flowcli.table import Schema
from flowcli.table.schema import Column
from flowcli.training.loop.epochs import dequantization_shares
from tests.fits import BOUNDED, POSITIVE, REAL


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(count, columns=1, seed=0):
    return torch.randn(count, columns, dtype=torch.float64, generator=generator(seed))


def fit(values, *columns):
    return Encoder.fit(Schema(tuple(columns)), values)


def with_marginal(encoder, values):
    return encoder.with_coordinates(
        encoder.coordinates.with_marginal(encoder.continuous_numbers(encoder.prepare(values)))
    )


def inverse(encoder, u):
    nothing = torch.zeros(len(u), 0)
    given = torch.full((len(u), len(encoder.schema.columns)), math.nan, dtype=torch.float64)
    return encoder.inverse(u, nothing, nothing.long(), given, generator())


def jitter(encoder, values, random):
    """The rounded numbers anywhere in their intervals."""
    return encoder.continuous_numbers(encoder.prepare(values), dequantization_shares(encoder, len(values), random))


def mixed_rows(count=300):
    z = normal(count, 3)
    return torch.stack([1e3 + 20 * z[:, 0], torch.exp(2 * z[:, 1]), 4 * torch.sigmoid(z[:, 2]) - 1], dim=1)


@pytest.mark.parametrize("marginal", [False, True])
def test_inverse_undoes_forward_and_the_log_det_is_that_of_the_jacobian(marginal):
    values = mixed_rows()
    coordinates = fit(values, REAL, POSITIVE, BOUNDED)
    if marginal:
        coordinates = with_marginal(coordinates, values)
    u, log_det = coordinates.forward(values)
    assert u.abs().median() < 3
    torch.testing.assert_close(inverse(coordinates, u), values, rtol=1e-11, atol=0)
    for i in range(8):
        matrix = jacobian(lambda row: coordinates.forward(row[None])[0][0], values[i])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(matrix)[1], rtol=1e-10, atol=1e-10)


def test_below_its_bend_a_positive_column_is_a_straight_line_and_nothing_is_impossible():
    values = torch.exp(normal(300))
    column = Column("x", "positive", linear_below=0.01)
    encoder = fit(values, column)
    x = torch.tensor([[-3.0], [-1e-5], [0.0], [0.005], [0.011], [0.02], [5.0]], dtype=torch.float64)
    u, log_det = encoder.forward(x)
    assert (u[1:] > u[:-1]).all()
    torch.testing.assert_close(inverse(encoder, u), x, rtol=1e-12, atol=1e-12)
    for row, own in zip(x, log_det, strict=True):
        slope = jacobian(lambda row: encoder.forward(row[None])[0][0], row)
        torch.testing.assert_close(own, torch.log(slope.squeeze()), rtol=1e-12, atol=1e-12)
    strict = fit(values, Column("x", "positive"))
    for above, bent in zip(strict.forward(x[4:]), encoder.forward(x[4:]), strict=True):
        assert torch.equal(above, bent)


@pytest.mark.parametrize("scale", [1e-30, 1e-300, 1.0, 1e30, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_unit_scale_whatever_the_scale_of_the_column(scale, offset):
    values = scale * (normal(500) + offset)
    coordinates = fit(values, REAL)
    u, log_det = coordinates.forward(values)
    assert 0.8 < float(u.std()) < 1.25
    assert abs(float(u.median())) < 0.1
    torch.testing.assert_close(log_det, torch.full_like(log_det, -math.log(coordinates.coordinates.scale.item())))
    torch.testing.assert_close(inverse(coordinates, u), values, rtol=1e-12, atol=0)


def test_unix_times_keep_their_seconds():
    values = 1.7e9 + 3600 * normal(500)
    coordinates = fit(values, REAL)
    u, _ = coordinates.forward(values)
    torch.testing.assert_close(u.std(), torch.tensor(1.0, dtype=torch.float64), rtol=0.2, atol=0)
    torch.testing.assert_close(inverse(coordinates, u.float().double()), values, rtol=0, atol=0.01)


def test_an_outlier_does_not_move_the_scale():
    values = normal(500)
    spoiled = values.clone()
    spoiled[7] = 1e30
    scales = [fit(each, REAL).coordinates.scale.item() for each in (spoiled, values)]
    assert scales[0] == pytest.approx(scales[1], rel=0.05)


@pytest.mark.parametrize(
    "values", [[0.0] * 99 + [5.0], [0.0] * 60 + [1.0] * 40, [3.0, 4.0], [1.0] * 3, [0.0] * 999 + [1e-30]]
)
def test_a_column_of_few_values_has_a_positive_scale(values):
    coordinates = fit(torch.tensor(values, dtype=torch.float64)[:, None], REAL)
    assert coordinates.coordinates.scale.item() > 0
    u, _ = coordinates.forward(torch.tensor(values, dtype=torch.float64)[:, None])
    assert u.abs().max() < 10


def test_a_constant_column_has_no_coordinate_and_no_density_elsewhere():
    columns = [Column("c", "constant", value=2.5), REAL]
    values = torch.cat([torch.full((50, 1), 2.5, dtype=torch.float64), normal(50)], dim=1)
    coordinates = fit(values, *columns)
    u, log_det = coordinates.forward(values)
    assert u.shape == (50, 1)
    assert coordinates.coordinates.names == ["real"]
    assert log_det.isfinite().all()
    assert (inverse(coordinates, u)[:, 0] == 2.5).all()
    values[:, 0] = math.nextafter(2.5, 3)
    u, log_det = coordinates.forward(values)
    assert (log_det == -math.inf).all()
    assert (u == 0).all()


def test_nothing_but_constants():
    columns = [Column("a", "constant", value=1.0), Column("b", "constant", value=-3.0)]
    values = torch.tensor([[1.0, -3.0], [1.0, 3.0]], dtype=torch.float64)
    coordinates = fit(values[:1], *columns)
    u, log_det = coordinates.forward(values)
    assert u.shape == (2, 0)
    assert log_det.tolist() == [0, -math.inf]
    assert inverse(coordinates, u[:1]).tolist() == [[1.0, -3.0]]


@pytest.mark.parametrize("marginal", [False, True])
def test_outside_of_the_support_the_density_is_zero(marginal):
    values = mixed_rows()
    coordinates = fit(values, REAL, POSITIVE, BOUNDED)
    if marginal:
        coordinates = with_marginal(coordinates, values)
    inside = torch.tensor([1e3, 1.0, 0.0], dtype=torch.float64)
    cases = [(1, 0.0), (1, -1.0), (2, 3.5), (2, -7.0), (2, 1e300), (1, -1e300)]
    for index, value in cases:
        row = inside.clone()
        row[index] = value
        u, log_det = coordinates.forward(row[None])
        assert log_det.item() == -math.inf, (index, value)
        assert (u == 0).all()


@pytest.mark.parametrize("edge", [-1.0, 3.0])
def test_on_the_edge_of_an_interval_the_density_is_that_next_to_it(edge):
    values = mixed_rows()
    coordinates = fit(values, REAL, POSITIVE, BOUNDED)
    rows = torch.tensor([[1e3, 1.0, edge], [1e3, 1.0, edge - math.copysign(4e-6, edge)]], dtype=torch.float64)
    u, log_det = coordinates.forward(rows)
    torch.testing.assert_close(u[0], u[1], rtol=1e-9, atol=1e-9)
    assert log_det[0].item() == pytest.approx(log_det[1].item(), abs=1e-9)


@pytest.mark.parametrize("marginal", [False, True])
@pytest.mark.parametrize("value", [1e300, -1e300, 1.7e308, 5e-324])
def test_far_values_give_numbers(marginal, value):
    values = normal(300, 2)
    coordinates = fit(values, REAL, Column("other"))
    if marginal:
        coordinates = with_marginal(coordinates, values)
    u, log_det = coordinates.forward(torch.tensor([[value, 0.0]], dtype=torch.float64))
    assert u.isfinite().all()
    assert not log_det.isnan().any()
    assert log_det.item() < math.inf


@pytest.mark.parametrize("marginal", [False, True])
def test_inverse_stays_strictly_inside_of_the_support(marginal):
    values = mixed_rows()
    coordinates = fit(values, REAL, POSITIVE, BOUNDED)
    if marginal:
        coordinates = with_marginal(coordinates, values)
    distant = torch.tensor([[0.0, s * 10.0**p, s * 10.0**p] for p in range(5) for s in (-1, 1)], dtype=torch.float64)
    back = inverse(coordinates, distant)
    assert (back[:, 1] > 0).all()
    assert back.isfinite().all()
    assert ((back[:, 2] > -1) & (back[:, 2] < 3)).all()
    assert coordinates.forward(back)[1].isfinite().all()


GRIDS = [
    (Column("real", step=1.0), torch.tensor([-3.0, 0.0, 1.0, 7.0])),
    (Column("tenths", step=0.1), torch.tensor([-0.3, 0.1, 0.7])),
    (Column("positive", "positive", step=1.0), torch.tensor([0.0, 1.0, 2.0, 9.0])),
    (Column("bounded", "bounded", lower=0.0, upper=5.0, step=1.0), torch.tensor([0.0, 1.0, 4.0, 5.0])),
    (Column("off", "bounded", lower=0.2, upper=2.9, step=1.0), torch.tensor([1.0, 2.0])),
    (Column("wide", "bounded", lower=0.0, upper=1.0, step=1.0), torch.tensor([0.0, 1.0])),
]


@pytest.mark.parametrize(("column", "grid"), GRIDS, ids=[column.name for column, _ in GRIDS])
def test_jitter_fills_the_cell_of_each_value_within_the_support(column, grid):
    values = grid.double().repeat(2000)[:, None]
    coordinates = fit(values, column)
    before = values.clone()
    dequantized = jitter(coordinates, values, generator())
    assert (values == before).all()
    low = (values - column.step / 2).clamp_min(column.support[0])
    high = (values + column.step / 2).clamp_max(column.support[1])
    assert ((low < dequantized) & (dequantized < high)).all()
    share = (dequantized - low) / (high - low)
    assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(share.min()) < 0.01
    assert float(share.max()) > 0.99
    share = dequantization_shares(coordinates, len(values), generator())
    assert coordinates.forward(values, share)[1].isfinite().all()
    assert torch.equal(dequantized, jitter(coordinates, values, generator()))
    assert not torch.equal(dequantized, jitter(coordinates, values, generator(1)))


def test_only_rounded_columns_are_dequantized():
    values = normal(50, 2).round()
    coordinates = fit(values, Column("a"), Column("b", step=1.0))
    dequantized = jitter(coordinates, values, generator())
    assert torch.equal(dequantized[:, 0], values[:, 0])
    assert not (dequantized[:, 1] == values[:, 1]).any()
    assert coordinates.rounded
    assert not fit(values, Column("a"), Column("b")).rounded


@pytest.mark.parametrize(("column", "grid"), GRIDS, ids=[column.name for column, _ in GRIDS])
def test_every_value_of_the_grid_has_a_density(column, grid):
    values = grid.double()[:, None]
    u, log_det = fit(values.repeat(20, 1), column).forward(values)
    assert log_det.isfinite().all()
    assert u.isfinite().all()


def test_a_rounded_column_still_ends_at_its_bounds():
    column = Column("bounded", "bounded", lower=0.0, upper=5.0, step=1.0)
    coordinates = fit(torch.arange(6.0, dtype=torch.float64).repeat(9)[:, None], column)
    outside = torch.tensor([-0.3, -1e-9, -0.5, -2.0, 5.3, 5.0 + 1e-9, 9.0], dtype=torch.float64)[:, None]
    assert (coordinates.forward(outside)[1] == -math.inf).all()


def test_close_to_the_edges_of_an_interval_no_digit_is_lost():
    column = Column("share", "bounded", lower=0.0, upper=1.0)
    coordinates = Standardizer((column,), torch.zeros(1).double(), torch.ones(1).double())
    x = torch.tensor([[1e-300], [1e-12], [0.5], [1 - 2.0**-50]], dtype=torch.float64)
    u, log_det = coordinates.forward(x)
    exact = [math.log(1e-300), math.log(1e-12) - math.log1p(-1e-12), 0.0, math.log1p(-(2.0**-50)) + 50 * math.log(2)]
    torch.testing.assert_close(u[:, 0], torch.tensor(exact, dtype=torch.float64), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(coordinates.inverse(u), x, rtol=1e-12, atol=0)
    assert log_det.isfinite().all()


def test_powers_of_two_change_no_bit_of_the_coordinates():
    values = mixed_rows()
    plain = fit(values, REAL, Column("other"), Column("third"))
    for scale in (2.0**-20, 2.0**30):
        scaled = fit(scale * values, REAL, Column("other"), Column("third"))
        torch.testing.assert_close(scaled.forward(scale * values)[0], plain.forward(values)[0], rtol=0, atol=0)
