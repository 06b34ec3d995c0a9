"""Tables as they are: the density over all cells, patterns and numbers is one, before and after training."""

from __future__ import annotations

import copy
import io
import itertools
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import flowcli
from flowcli import config, training
from flowcli.errors import DataError, UsageError
from flowcli.model import FlowDensity
from flowcli.table import ColumnRequest, from_frame
from tests.fits import last, run

SHORT = ["train.epochs=3", "train.batch_size=32", "train.learning_rate=3e-3", "train.warmup=0"]
KINDS = {"wind": "circular:360", "share": "bounded:0,1", "x": "real"}


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A category that shifts a number, an angle, a share, counts, missing cells and zeros beside other values."""
    random = np.random.default_rng(seed)
    kind = random.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    position = np.select([kind == "a", kind == "b"], [-1.0, 2.0], 0.5)
    x = position + random.normal(size=rows)
    x[random.random(rows) < np.where(kind == "a", 0.3, 0.05)] = np.nan
    share = random.beta(0.7, 1.5, rows)
    wind = np.degrees(random.vonmises(0.5 * position, 2.0, rows)) % 360
    rain = np.where(random.random(rows) < 0.4, 0.0, random.lognormal(0.3 * position, 0.8))
    count = random.poisson(np.exp(0.4 + 0.3 * position))
    return pd.DataFrame({"kind": kind, "x": x, "share": share, "wind": wind, "rain": rain, "count": count})


@cache
def densities(columns: tuple[str, ...], given: tuple[str, ...] = ()) -> tuple[FlowDensity, FlowDensity]:
    """A density before training, and after some."""
    kinds = {name: kind for name, kind in KINDS.items() if name in columns}
    table = from_frame(frame(1200)[list(columns)], ColumnRequest(kinds=kinds, given=given), notice=lambda _: None)
    request = config.load("auto", SHORT)
    fitting = training.prepare_fit(table, request, notice=lambda _: None)
    start = FlowDensity(fitting.encoder, copy.deepcopy(fitting.loop.density), fitting.config)
    return start, last(run(fitting))


def axis(column, density: FlowDensity) -> list[tuple[float, float]]:
    """What a column can be, each with the measure that it stands for in a sum."""
    points: list[tuple[float, float]] = []
    if column.missing:
        points.append((math.nan, 1.0))
    if column.text:
        return [*points, *((float(level), 1.0) for level in range(len(column.levels)))]
    step = column.step or 1.0
    if column.kind == "discrete":
        return [*points, *((float(value), step) for value in np.arange(-5, 60))]
    points += [(atom, 1.0) for atom in column.atoms]
    if column.kind == "circular":
        turns = (np.arange(240) + 0.5) / 240
        return [*points, *((360 * turn, 1.5) for turn in turns)]
    assert not column.step
    # Even in the coordinate, so that the edges of an interval are not missed.
    position, coordinates = density.coordinates.names.index(column.name), density.coordinates
    u = np.linspace(-11, 11, 331)

    def inverse(shift: float) -> np.ndarray:
        grid = torch.zeros(len(u), len(coordinates), dtype=torch.float64)
        grid[:, position] = torch.from_numpy(u + shift)
        return coordinates.inverse(grid)[:, position].numpy()

    slope = (inverse(1e-5) - inverse(-1e-5)) / 2e-5
    return [*points, *zip(inverse(0.0).tolist(), (slope * (u[1] - u[0])).tolist(), strict=True)]


def total(density: FlowDensity, fixed: dict[str, float] | None = None) -> float:
    """The sum of the density over everything that rows can be, but for columns whose value is fixed."""
    columns = density.schema.columns
    axes = [[(fixed[c.name], 1.0)] if fixed and c.name in fixed else axis(c, density) for c in columns]
    rows = np.array([[value for value, _ in row] for row in itertools.product(*axes)])
    weights = np.array([math.prod(weight for _, weight in row) for row in itertools.product(*axes)])
    return float((np.exp(density.log_prob(rows)) * weights).sum())


TABLES = [
    ("kind",),
    ("kind", "count"),
    ("x",),
    ("kind", "x"),
    ("x", "kind", "count"),
    ("rain", "kind"),
    ("share", "kind"),
    ("wind",),
    ("wind", "kind", "x"),
    ("rain", "x"),
    ("share", "x"),
    ("wind", "share"),
]


@pytest.mark.parametrize("columns", TABLES, ids=["-".join(columns) for columns in TABLES])
def test_everything_sums_to_one(columns: tuple[str, ...]) -> None:
    for density in densities(columns):
        assert total(density) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("given", ["kind", "count", "wind", "rain", "x", "share"])
def test_given_a_column_the_rest_sums_to_one(given: str) -> None:
    other = "x" if given != "x" else "share"
    columns = (given, "kind", other) if given != "kind" else (given, other)
    values = {"kind": [0.0, 2.0], "count": [0.0, 3.0], "wind": [10.0, 300.0], "rain": [0.0, 1.5], "share": [0.2, 0.9]}
    for density in densities(columns, (given,)):
        for value in values.get(given, [math.nan, 0.4]):
            assert total(density, {given: value}) == pytest.approx(1.0, abs=1e-3)


def test_rounded_numbers_have_the_mass_of_their_cells() -> None:
    """The sum over a grid is one, each cell standing for its step; with many draws, to three digits."""
    random = np.random.default_rng(3)
    cells = pd.DataFrame({"kind": random.choice(["a", "b"], 600), "x": np.round(random.gamma(9, 8, 600))})
    table = from_frame(cells, ColumnRequest(kinds={"x": "rounded:1"}), notice=lambda _: None)
    density = last(run(training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)))
    assert density.rounded
    grid = np.array([[k, x] for k in range(2) for x in np.arange(-2000, 3000)], dtype=np.float64)
    assert float(np.exp(density.log_prob(grid, draws=64)).sum()) == pytest.approx(1.0, abs=1e-3)


def test_the_error_of_a_cell_is_that_of_its_average() -> None:
    random = np.random.default_rng(3)
    cells = pd.DataFrame({"x": np.round(random.normal(size=600), 1), "y": np.round(random.normal(size=600), 1)})
    table = from_frame(cells, ColumnRequest(kinds={"x": "rounded:0.1", "y": "rounded:0.1"}), notice=lambda _: None)
    density = last(run(training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)))
    values = table.values[:200]
    exact = density.log_prob(values, draws=1000)
    few = [density.scores(values, draws=4, seed=seed) for seed in range(20)]
    off = np.array([(scores.log_prob - exact) / scores.error for scores in few])
    assert np.sqrt(np.mean(off**2)) < 1.2  # an even spread of points does better than its error says
    assert np.array_equal(few[0].log_prob, density.log_prob(values, draws=4, seed=0))
    assert not np.array_equal(few[0].log_prob, few[1].log_prob)


@pytest.fixture(scope="module")
def whole() -> flowcli.Model:
    return flowcli.fit(frame(1500), kinds=KINDS, overrides=["train.epochs=15"])


def test_samples_are_of_the_kinds_of_the_table(whole: flowcli.Model) -> None:
    data, drawn = frame(4000, seed=9), whole.sample(4000, seed=1)
    assert list(drawn) == list(data)
    assert set(drawn["kind"]) == {"a", "b", "c"}
    assert drawn["share"].between(0, 1, inclusive="neither").all()
    assert drawn["wind"].between(0, 360, inclusive="left").all()
    assert (drawn["rain"] >= 0).all()
    assert drawn["count"].dtype.kind == "i"
    assert (drawn["count"] >= 0).all()
    for level in "abc":
        assert (drawn["kind"] == level).mean() == pytest.approx((data["kind"] == level).mean(), abs=0.04)
        missing = drawn["x"].isna()[drawn["kind"] == level].mean()
        assert missing == pytest.approx(data["x"].isna()[data["kind"] == level].mean(), abs=0.06)
    assert (drawn["rain"] == 0).mean() == pytest.approx(0.4, abs=0.05)
    assert np.isfinite(whole.log_prob(drawn)).all()


def test_what_cannot_be_has_no_density(whole: flowcli.Model) -> None:
    row = frame(1, seed=5)
    for column, value in (("kind", "d"), ("share", 1.5), ("wind", 361.0), ("count", -1)):
        changed = row.copy()
        changed[column] = value
        assert whole.log_prob(changed)[0] == -math.inf, column
    # That no rain is below zero was found, and not said.
    assert whole.log_prob(row.assign(rain=-0.1))[0] < whole.log_prob(row)[0] - 10
    assert np.isfinite(whole.log_prob(row.assign(count=40))[0])  # a count that nobody has seen, but might


def test_the_angle_knows_no_cut(whole: flowcli.Model) -> None:
    row = frame(1, seed=5)
    low, high = (whole.log_prob(row.assign(wind=value), precision="float64")[0] for value in (1e-9, 360 - 1e-9))
    assert low == pytest.approx(high, abs=1e-4)


def test_terms_add_up(whole: flowcli.Model) -> None:
    data = frame(200, seed=4)
    terms = whole.terms(data)
    np.testing.assert_allclose(terms.log_prob, whole.log_prob(data), rtol=0, atol=1e-9)
    assert (terms.latents[data["x"].isna().to_numpy(), 0] == 0).all()


def test_weights_count_in_the_start_the_loss_and_the_score() -> None:
    data = frame(300)
    weights = np.where(data["kind"] == "a", 3.0, 0.5)
    table = from_frame(data.assign(w=weights), ColumnRequest(kinds=KINDS, weights="w"), notice=lambda _: None)
    assert "w" not in table.schema.names
    fitting = training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)
    train = fitting.train
    assert train.weights is not None
    assert train.weights.mean() == pytest.approx(1.0)

    def share(density: FlowDensity) -> float:
        """How probable the first category is."""
        assert density.joint.codes is not None
        drawn = density.joint.codes.sample(20_000, torch.Generator().manual_seed(0))
        return float((drawn[:, 0] == 0).double().mean())

    expected = np.average(train.values[:, 0] == 0, weights=train.weights)
    start = FlowDensity(fitting.encoder, copy.deepcopy(fitting.loop.density), fitting.config)
    assert share(start) == pytest.approx(expected, abs=0.02)
    density = run(fitting).density()
    assert share(last(fitting)) == pytest.approx(expected, abs=0.1)  # unweighted it would be 0.5, and not 0.85
    held_out = fitting.held_out
    nats = density.log_prob(held_out.values)
    assert density.summary["held_out_nats"] == pytest.approx(np.average(nats, weights=held_out.weights), abs=1e-9)


@pytest.mark.parametrize(("weights", "said"), [(-1.0, "a weight is -1.0"), (np.nan, "a weight is missing")])
def test_weights_are_numbers_from_zero_up(weights: float, said: str) -> None:
    data = frame(30).assign(w=1.0)
    data.loc[7, "w"] = weights
    with pytest.raises(DataError, match=f"'w': row 8: {said}"):
        from_frame(data, ColumnRequest(weights="w"), notice=lambda _: None)
    with pytest.raises(DataError, match="all weights are zero"):
        from_frame(data.assign(w=0.0), ColumnRequest(weights="w"), notice=lambda _: None)
    with pytest.raises(UsageError, match="--weights: there is no column 'W'; did you mean 'w'"):
        from_frame(data, ColumnRequest(weights="W"), notice=lambda _: None)


def test_what_is_given_and_cannot_be_makes_nothing_likely() -> None:
    density = densities(("kind", "x"), ("kind",))[1]
    assert density.log_prob(np.array([[-1.0, 0.3]]))[0] == -math.inf
    assert np.isfinite(density.log_prob(np.array([[1.0, 0.3]]))[0])


def test_halves_that_are_left_of_a_sum_are_told_apart() -> None:
    """t = a + b / 2, rounded up where b is odd: two totals of the same parts must not share one remainder."""
    random = np.random.default_rng(2)
    a, half = random.integers(500, 3000, 2000), random.integers(0, 400, 2000)
    odd = random.random(2000) < 0.05
    b = 2 * half + odd
    data = pd.DataFrame({"a": a, "b": b, "t": a + (b + 1) // 2})
    model = flowcli.fit(data, overrides=["train.epochs=2"])
    (column,) = (column for column in model.density.schema.columns if column.subtracted_columns)
    assert column.subtracted_columns == (("a", 1.0), ("b", 0.5))
    totals = pd.DataFrame({"a": 1000, "b": 401, "t": np.arange(1000, 1400)})
    even = totals.assign(b=400)
    masses = [np.exp(model.log_prob(rows)).sum() for rows in (totals, even)]
    assert masses[0] == pytest.approx(masses[1], rel=0.05)  # a total counted twice would double the first
    drawn = model.sample(2000, seed=0)
    left = drawn["t"] - drawn["a"] - 0.5 * drawn["b"]
    assert left.isin([-0.5, 0.0, 0.5, 1.0]).mean() > 0.99  # "another" remainder is a rare one
    assert (left == 0.5).mean() == pytest.approx(0.5 * odd.mean(), abs=0.02)


def test_the_cells_of_a_bounded_grid_with_an_atom_sum_to_one() -> None:
    random = np.random.default_rng(4)
    share = np.where(random.random(1500) < 0.3, 0, np.round(100 * random.beta(0.8, 1.5, 1500)))
    table = from_frame(pd.DataFrame({"share": share.astype(int)}), notice=lambda _: None)
    (column,) = table.schema.columns
    assert (column.kind, column.atoms, column.step) == ("bounded", (0.0,), 1.0)
    density = last(run(training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)))
    grid = np.arange(101, dtype=np.float64)[:, None]
    assert float(np.exp(density.log_prob(grid, draws=256)).sum()) == pytest.approx(1.0, abs=2e-4)


def test_an_atom_on_a_lattice_counts_as_its_probability() -> None:
    """Hundredths are a density per unit, and so 1 / 0.01 times their mass; zero, which is apart, is not."""
    random = np.random.default_rng(4)
    paid = np.where(random.random(2000) < 0.4, 0.0, np.round(1 + random.gamma(3.0, 2.0, 2000), 2))
    table = from_frame(pd.DataFrame({"paid": paid}), notice=lambda _: None)
    assert (table.schema.columns[0].atoms, table.schema.columns[0].step) == ((0.0,), 0.01)
    density = last(run(training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)))
    (zero,) = np.exp(density.log_prob(np.zeros((1, 1))))
    assert zero == pytest.approx((paid == 0).mean(), abs=0.02)
    hundredths = np.exp(density.log_prob(np.arange(1, 6000, dtype=np.float64)[:, None] / 100, draws=64)).sum() * 0.01
    assert zero + hundredths == pytest.approx(1.0, abs=2e-3)


LOW = np.random.default_rng(5).normal(20, 5, 1500)
ABOVE = np.random.default_rng(6).gamma(1.2, 1.5, 1500)
ORDERED = {
    "floats": pd.DataFrame({"low": LOW, "high": LOW + ABOVE}),
    "hundredths": pd.DataFrame({"low": LOW.round(2), "high": (LOW.round(2) + ABOVE.round(2)).round(2)}),
    "hundredths, hardly repeated": pd.DataFrame({"low": (99 * LOW).round(2), "high": (99 * LOW + 99 * ABOVE).round(2)}),
    "tenths above whole numbers, and some zeros": pd.DataFrame(
        {"high": LOW.round() + ABOVE.round(1) * (ABOVE > 0.5), "low": LOW.round()}
    ),
    "days": pd.DataFrame({"low": pd.to_datetime((99 * LOW).round(), unit="D")}).assign(
        high=lambda frame: frame["low"] + pd.to_timedelta(np.floor(9 * ABOVE), unit="D")
    ),
    "a chain": pd.DataFrame({"low": LOW, "highest": LOW + ABOVE + ABOVE[::-1], "high": LOW + ABOVE}),
}


@pytest.mark.parametrize("data", ORDERED.values(), ids=ORDERED.keys())
def test_draws_keep_the_order_of_columns_as_written(data: pd.DataFrame) -> None:
    model = flowcli.fit(data, overrides=["train.epochs=2"])
    drawn = model.sample(5000, seed=0)
    as_read = pd.read_csv(io.StringIO(drawn.to_csv(index=False)))
    assert (as_read["low"] <= as_read["high"]).all()
    if "highest" in data:
        assert (as_read["high"] <= as_read["highest"]).all()
    assert np.isfinite(model.log_prob(drawn)).all()
    if (digits := model.density.schema.columns[data.columns.get_loc("high")].decimals) is not None and "low" in data:
        numbers = as_read.select_dtypes("number")
        assert (numbers == numbers.round(digits)).all(axis=None)
    swapped = drawn[drawn["low"] < drawn["high"]].rename(columns={"low": "high", "high": "low"})
    assert np.isneginf(model.log_prob(swapped)).all()


def test_cells_of_a_column_that_is_never_below_another_sum_to_one() -> None:
    low = LOW.round()
    data = pd.DataFrame({"low": low, "high": low + np.floor(4 * ABOVE)}).astype(int)
    table = from_frame(data, notice=lambda _: None)
    assert table.schema.columns[1].at_least == "low"
    density = last(run(training.prepare_fit(table, config.load("auto", SHORT), notice=lambda _: None)))
    grid = np.array([[a, b] for a in range(0, 42) for b in range(a - 1, a + 60)], dtype=np.float64)
    assert float(np.exp(density.log_prob(grid, draws=8)).sum()) == pytest.approx(1.0, abs=1e-2)
