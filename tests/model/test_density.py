"""What a fitted density promises: terms that add up, bits that stay, samples on the grid, integrals of one."""

from __future__ import annotations

import copy
import math
from functools import cache

import numpy as np
import pytest
import torch

from flowcli import config
from flowcli.conditional.sampling import Sampler, SampleRequest
from flowcli.encoding import Encoder, Standardizer
from flowcli.flows import build_mixed
from flowcli.model import FlowDensity
from flowcli.model.density import DRAWN_ROWS
from flowcli.table import Schema
from flowcli.table.schema import Column
from flowcli.training.prepare import resolve
from tests.fits import REAL, fitted, prepared, rows, table
from tests.flows.cases import shaken

NAMES = [name for name in config.names() if "/" not in name]  # those of single tables are large
# The least that makes the large ones quick; every part of them stays.
SMALL = {
    "auto": ["flow.base.autoregressive_mixture.components=3"],
    "mixture": ["flow.base.mixture.components=3"],
    "gaussianization": ["flow.layers.1.repeat=3"],
    "glow": ["flow.layers.1.repeat=3", "flow.layers.1.layers.2.coupling.net.hidden=[24, 24]"],
    "maf": ["flow.layers.1.repeat=3", "flow.layers.1.layers.0.autoregressive.net.hidden=[24, 24]"],
    "maf-mixture": ["flow.layers.1.repeat=3", "flow.base.autoregressive_mixture.components=3"],
    "nsf": ["flow.layers.1.repeat=2", "flow.layers.1.layers.1.autoregressive.net.hidden=[24, 24]"],
    "nsf-coupling": [
        "flow.layers.1.repeat=2",
        "flow.layers.1.layers.1.coupling.net.hidden=[24, 24]",
        "flow.layers.1.layers.3.coupling.net.hidden=[24, 24]",
    ],
    "realnvp": ["flow.layers.1.repeat=2", "flow.layers.1.layers.0.coupling.net.hidden=[24, 24]"],
}


def values_of(kind, count, columns):
    cloud = rows(count, columns)
    return {"real": 50 + 10 * cloud, "positive": np.exp(cloud), "bounded": 3 / (1 + np.exp(-2 * cloud))}[kind]


def column_of(kind, name):
    return Column(name, kind, lower=0.0, upper=3.0) if kind == "bounded" else Column(name, kind)


@cache
def model(name, columns=2, kind="real", marginal=None):
    changes = [*SMALL.get(name, ())]
    if marginal is not None:
        changes.append(f"flow.layers.0.marginal={marginal}")
    values = values_of(kind, 300, columns)
    return fitted(table(values, [column_of(kind, f"c{i}") for i in range(columns)]), name, changes)


@pytest.fixture(params=NAMES)
def density(request):
    return model(request.param)


def test_the_terms_add_up_and_are_those_of_the_formula(density):
    values = values_of("real", 50, 2)
    terms = density.terms(values, double=True)
    assert np.array_equal(terms.log_prob, density.log_prob(values, double=True))
    assert np.array_equal(terms.log_prob, terms.base_log_prob + terms.log_det)
    u, coordinates_log_det = density.coordinates.forward(torch.from_numpy(values))
    flow = density._double.flow
    z, flow_log_det = flow(u)
    np.testing.assert_allclose(terms.latents, z.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(terms.log_det, (coordinates_log_det + flow_log_det).numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(terms.base_log_prob, flow.base.log_prob(z).numpy(), rtol=1e-12, atol=1e-12)
    assert not flow.training
    assert not any(parameter.requires_grad for parameter in flow.parameters())


def test_single_precision_is_close_to_double(density):
    values = values_of("real", 300, 2)
    require_flow, double = density.log_prob(values), density.log_prob(values, double=True)
    np.testing.assert_allclose(require_flow, double, rtol=1e-4, atol=1e-4)
    assert not np.array_equal(require_flow, double)


def test_blocks_change_no_bit(density):
    values = values_of("real", 3 * density.block_rows + 17, 2)
    whole = density.log_prob(values)
    size = density.block_rows
    by_block = [density.log_prob(values[i : i + size]) for i in range(0, len(values), size)]
    assert np.array_equal(whole, np.concatenate(by_block))
    assert np.array_equal(whole[: 2 * size], density.log_prob(values[: 2 * size]))
    assert np.array_equal(whole[size:], density.log_prob(values[size:]))
    fortran = np.asfortranarray(values)
    assert np.array_equal(whole, density.log_prob(fortran))


def test_a_smaller_sample_is_a_beginning_of_a_larger_one(density):
    large = density.sample(DRAWN_ROWS + 700, seed=3)
    assert np.array_equal(density.sample(100, seed=3), large[:100])
    assert np.array_equal(density.sample(1000, seed=3), large[:1000])
    assert np.array_equal(density.sample(DRAWN_ROWS, seed=3), large[:DRAWN_ROWS])
    assert not np.array_equal(density.sample(100, seed=4), large[:100])
    assert not np.array_equal(large[:100], large[DRAWN_ROWS:][:100])


def test_sampling_and_scoring_leave_the_random_state_alone(density):
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    density.log_prob(density.sample(10, seed=0))
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


def test_samples_look_like_the_density_they_come_from(density):
    """The mean of q/p over samples of p is the mass of q."""
    drawn = density.sample(4000, seed=1)
    # Here q is uniform around the middle of the samples.
    low, high = np.quantile(drawn, 0.3, axis=0), np.quantile(drawn, 0.7, axis=0)
    inside = ((drawn > low) & (drawn < high)).all(axis=1)
    share = inside / np.exp(density.log_prob(drawn, double=True)) / np.prod(high - low)
    error = share.std() / math.sqrt(len(share))
    assert error < 0.1
    assert abs(share.mean() - 1) < 4 * error


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("distant", [1e10, 1e19, 1e30, 1e150, 1e300, 1.7e308])
def test_far_points_have_a_number(density, distant, double):
    values = np.array([[distant, 50.0], [50.0, -distant], [distant, distant], [-distant, distant], [50.0, 50.0]])
    log_prob = density.log_prob(values, double=double)
    assert not np.isnan(log_prob).any()
    assert (log_prob < math.inf).all()
    assert np.isfinite(log_prob[4])
    assert (log_prob[:4] < log_prob[4]).all()
    terms = density.terms(values, double=double)
    assert not np.isnan(terms.log_prob).any()


@pytest.mark.parametrize("kind", ["positive", "bounded"])
def test_outside_of_the_support_the_density_is_zero(kind):
    density = model("nsf", kind=kind)
    outside = np.array([[-1e-9, 1.0], [3.1, 1.0]] if kind == "bounded" else [[0.0, 1.0], [1.0, -1.0], [1.0, -1e300]])
    assert (density.log_prob(outside) == -math.inf).all()
    assert np.isfinite(density.log_prob(np.array([[1e-9, 1.0], [5e-324, 1.0]]))).all()


def test_zero_rows(density):
    nothing = np.empty((0, 2))
    assert density.log_prob(nothing).shape == (0,)
    assert density.terms(nothing).latents.shape == (0, 2)
    assert density.sample(0, seed=0).shape == (0, 2)


def test_only_constants():
    schema = Schema((Column("a", "constant", value=1.5), Column("b", "constant", value=-2.0)))
    values = np.array([[1.5, -2.0], [1.5, 2.0]])
    encoder = Encoder.fit(schema, torch.from_numpy(values[:1]))
    nothing = config.from_mapping({"flow": {"layers": []}})
    density = FlowDensity(encoder, build_mixed(nothing.flow, encoder.layout), nothing)
    assert density.log_prob(values).tolist() == [0.0, -math.inf]
    assert density.sample(3, seed=0).tolist() == [[1.5, -2.0]] * 3


def test_constants_beside_other_columns():
    values = np.column_stack([np.full(200, 7.0), rows(200, 1)])
    density = fitted(table(values, [Column("c", "constant", value=7.0), REAL]))
    drawn = density.sample(50, seed=0)
    assert (drawn[:, 0] == 7).all()
    assert np.isfinite(density.log_prob(drawn)).all()
    drawn[:, 0] = 7.0000001
    assert (density.log_prob(drawn) == -math.inf).all()


def test_samples_lie_on_the_grid_within_the_support_and_have_a_density():
    cloud = rows(400, 4)
    columns = [
        Column("integer", step=1.0, decimals=0, integer=True),
        Column("tenths", "positive", step=0.1, decimals=1),
        Column("share", "bounded", lower=0.0, upper=1.0, step=0.25, decimals=2),
        Column("cents", "positive", decimals=2),
    ]
    values = np.column_stack(
        [
            np.round(3 * cloud[:, 0]),
            np.round(np.abs(cloud[:, 1]), 1),
            np.round(4 / (1 + np.exp(-3 * cloud[:, 2]))) / 4,
            np.exp(2 * cloud[:, 3]).round(2) + 0.01,
        ]
    )
    density = fitted(table(values, columns))
    drawn = density.sample(2000, seed=0)
    assert np.array_equal(drawn[:, 0], np.round(drawn[:, 0]))
    assert np.array_equal(drawn[:, 1], np.round(drawn[:, 1], 1))
    assert np.isin(drawn[:, 2], [0, 0.25, 0.5, 0.75, 1]).all()
    assert np.array_equal(drawn[:, 3], np.round(drawn[:, 3], 2))
    assert (drawn[:, 1] >= 0).all()
    assert (drawn[:, 3] > 0).all()
    assert np.isfinite(density.log_prob(drawn)).all()
    assert np.isfinite(density.log_prob(values)).all()


# --- integrals --------------------------------------------------------------------------------------------------------


def mesh(density, column, half, step):
    """Points of one column, even in the coordinate, with the length in units of the file that each stands for."""
    center, scale = (part[column : column + 1] for part in (density.coordinates.center, density.coordinates.scale))
    alone = Standardizer((density.schema.columns[column],), center, scale)
    x = alone.inverse(torch.arange(-half, half + step / 2, step, dtype=torch.float64)[:, None])
    return x[:, 0].numpy(), step * torch.exp(-alone.forward(x)[1]).numpy()


@pytest.mark.parametrize("kind", ["real", "positive", "bounded"])
@pytest.mark.parametrize("name", NAMES)
def test_one_column_integrates_to_one(name, kind):
    density = model(name, columns=1, kind=kind)
    x, length = mesh(density, 0, 11.0, 2e-3)
    values = x[:, None]
    assert float((np.exp(density.log_prob(values, double=True)) * length).sum()) == pytest.approx(1, abs=1e-6)
    coarse = np.exp(density.log_prob(values[::10])) * 10 * length[::10]
    assert float(coarse.sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("marginal", ["none", "quantile"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("auto", "mixture")])
def test_with_and_without_a_quantile_map(name, marginal):
    density = model(name, columns=1, marginal=marginal)
    assert (density.coordinates.marginal is not None) == (marginal == "quantile")
    x, length = mesh(density, 0, 11.0, 2e-3)
    assert float((np.exp(density.log_prob(x[:, None], double=True)) * length).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["real", "positive", "bounded"])
def test_two_columns_integrate_to_one(name, kind):
    density = model(name, kind=kind)
    (x, dx), (y, dy) = (mesh(density, i, 7.0, 0.1) for i in range(2))
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(density.log_prob(grid)) * np.outer(dx, dy).ravel()
    assert float(mass.sum()) == pytest.approx(1, abs=1e-3)


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2.0**40, 0.3, 1e-12])
@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_units_moves_every_log_density_by_the_log_of_the_scale(name, scale):
    values = values_of("real", 300, 2)
    plain = model(name)
    scaled = fitted(table(values * [scale, 1.0]), name, SMALL.get(name, ()))
    before = plain.log_prob(values, double=True)
    after = scaled.log_prob(values * [scale, 1.0], double=True)
    np.testing.assert_allclose(after, before - math.log(scale), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["positive", "bounded", "rounded"])
@pytest.mark.parametrize("scale", [2.0**10, 0.3, 1000.0])
def test_a_change_of_units_of_other_columns(kind, scale):
    cloud = rows(300, 2)
    base = {"positive": np.exp(cloud), "bounded": 3 / (1 + np.exp(-cloud)), "rounded": np.round(4 * cloud)}[kind]

    def columns(a):
        first = {
            "positive": Column("x", "positive"),
            "bounded": Column("x", "bounded", lower=0.0, upper=3.0 * a),
            "rounded": Column("x", step=a),
        }[kind]
        return [first, Column("y")]

    def log_prob(a):
        values = base * [a, 1.0]
        return fitted(table(values, columns(a)), "auto", SMALL["auto"]).log_prob(values, double=True)

    np.testing.assert_allclose(log_prob(scale), log_prob(1.0) - math.log(scale), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 100, 1999])
def test_fewer_scored_rows_are_a_beginning_of_more(rows: int) -> None:
    """On a model of many columns, where the last bits depend on how many rows are computed together."""
    wish = config.load("auto", ["flow.layers.1.repeat=1", "flow.layers.0.marginal=none"])
    schema = Schema(tuple(Column(f"c{i}") for i in range(10)))
    encoder = Encoder.fit(schema, torch.randn(100, 10, dtype=torch.float64))
    resolved = resolve.resolve_flow(wish.flow, size=resolve.Size(5000, 10), marginal=False, components=4)
    density = FlowDensity(encoder, shaken(build_mixed(resolved, encoder.layout)).float(), wish)
    sampler = Sampler(density, lambda: pytest.fail("no conditionals are needed"))
    with density.pool(1) as pool:
        few, many = (
            [np.concatenate(column) for column in zip(*sampler.scored_blocks(n, SampleRequest(1), pool), strict=True)]
            for n in (rows, 2500)
        )
    for short, long in zip(few, many, strict=True):
        assert np.array_equal(short, long[:rows])


def test_rows_far_beyond_the_training_rows_are_drawn_anew():
    """With limits far inside of what the density draws, all rows lie within them but for the margin."""
    fitting = prepared(table(rows(300, 2)), "realnvp", ["flow.layers.0.marginal=none"])
    density = FlowDensity(fitting.encoder, copy.deepcopy(fitting.loop.density), fitting.config)
    coordinates = density.coordinates
    u = coordinates.forward(torch.from_numpy(fitting.train.values))[0]
    assert torch.equal(coordinates.limits, torch.stack([u.amin(0), u.amax(0)]))
    narrow = 0.2 * coordinates.limits
    share = {}
    for name, limits in (("narrow", narrow), ("none", None)):
        coordinates.limits = limits
        drawn = coordinates.forward(torch.from_numpy(density.sample(5000, seed=0)))[0]
        coordinates.limits = narrow
        share[name] = float(coordinates.plausible(drawn).double().mean())
    assert share["none"] < 0.9
    assert share["narrow"] > 0.999
