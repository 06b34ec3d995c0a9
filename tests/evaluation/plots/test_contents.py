"""Pictures show what there is: samples as samples, data as data, and which columns say the most."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch

from flowcli.errors import UsageError
from flowcli.evaluation.plots import calibration, corner, density_map, latents, marginals, training_curve
from flowcli.evaluation.plots.column_selection import dependence, telling, telling_pair
from flowcli.evaluation.plots.density_map import GRID
from flowcli.evaluation.plots.sheet import DATA, PALE
from flowcli.model import Ensemble
from flowcli.table import Column, Schema
from tests.evaluation.plots.reading import assert_readable, panel_of, said, texts
from tests.evaluation.plots.tables import mixed
from tests.fits import fitted, rows, table

REAL = Schema((Column("a"), Column("b")))
CODE = Schema((Column("k", "category", levels=("x", "y", "z"), missing=True),))


def bars(axes, colour):
    return [patch.get_height() for patch in axes.patches if to_hex(patch.get_facecolor()) == colour.lower()]


def test_bars_are_the_shares_of_samples_and_of_data():
    samples, data = np.array([[0.0]] * 6 + [[1.0]] * 4), np.array([[0.0], [2.0], [2.0], [np.nan]])
    axes = panel_of(marginals(samples, data, CODE), "k")
    assert bars(axes, PALE) == pytest.approx([0.6, 0.4, 0.0])
    assert bars(axes, DATA) == pytest.approx([0.25, 0.0, 0.5])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["x", "y", "z"]


def test_the_area_is_the_samples_and_the_line_the_data():
    low, high = np.zeros((200, 2)), np.ones((200, 2))
    axes = panel_of(corner(low, high, REAL), "a")
    area, line = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    middles = [np.average(p.get_data().edges[:-1], weights=p.get_data().values) for p in (area, line)]
    assert area.get_fill()
    assert not line.get_fill()
    assert middles[0] < 0.2 < 0.8 < middles[1]


def test_the_first_of_two_columns_runs_across():
    """Its values, in data and in samples, not only its ticks: one column is left-heavy, the other right-heavy."""
    random = np.random.default_rng(0)
    data = np.column_stack([random.exponential(size=400), 1000 - random.exponential(size=400)])
    figure = corner(data, data, REAL)
    (pair,) = [axes for axes in figure.axes if axes.collections]
    assert all(abs(float(text.get_text())) < 10 for text in pair.get_xticklabels())
    assert all(float(text.get_text()) > 980 for text in pair.get_yticklabels())
    x, y = np.median(np.asarray(pair.collections[-1].get_offsets()), axis=0)
    assert x < 0.3
    assert y > 0.7
    densest = pair.collections[0].get_paths()[-1].vertices
    assert np.median(densest[:, 0]) < 0.3
    assert np.median(densest[:, 1]) > 0.7


@pytest.mark.parametrize("levels_first", [True, False])
def test_points_beside_levels_lie_in_their_strip(levels_first):
    levels = np.repeat([0.0, 1.0], 50)
    numbers = np.where(levels == 0, -5.0, 5.0) + np.random.default_rng(0).normal(size=100)
    order = [0, 1] if levels_first else [1, 0]
    schema = Schema(tuple((Column("k", "category", levels=("x", "y")), Column("n"))[index] for index in order))
    data = np.column_stack([levels, numbers])[:, order]
    figure = corner(data, data, schema)
    (pair,) = [axes for axes in figure.axes if axes.collections]
    x, y = pair.collections[-1].get_offsets().T
    np.testing.assert_array_equal(x < 0.5, y < 0.5)
    ticks = pair.get_xticklabels() if levels_first else pair.get_yticklabels()
    assert [text.get_text() for text in ticks] == ["x", "y"]


def test_boxes_of_two_levels_stand_where_their_labels_are():
    schema = Schema((Column("k", "category", levels=("x", "y", "z")), Column("l", "category", levels=("u", "v"))))
    data = np.array([[0.0, 1.0]] * 3 + [[2.0, 0.0]])
    (pair,) = [axes for axes in corner(data, data, schema).axes if axes.collections]
    middles = [path.vertices[:4].mean(axis=0) for path in pair.collections[0].get_paths()]
    np.testing.assert_allclose(middles, [[1 / 6, 0.75], [5 / 6, 0.25]], atol=1e-9)


def test_missing_shares_are_said_of_data_and_of_samples():
    schema = Schema((Column("a", missing=True), Column("b")))
    random = np.random.default_rng(0)
    samples, data = random.normal(size=(100, 2)), random.normal(size=(40, 2))
    samples[:30, 0], data[:10, 0] = np.nan, np.nan
    for picture in (corner, marginals):
        words = texts(picture(samples, data, schema))
        assert "missing 25% | 30%" in words
        assert "missing: share of empty cells (data | samples)." in " ".join(words)
    assert "missing 30%" in texts(corner(samples, None, schema))


def test_what_lies_beyond_the_axis_is_counted():
    values = np.random.default_rng(0).normal(size=(1000, 1))
    values[:20] = 1e9
    assert "beyond 2.0% | 0%" in texts(marginals(values[20:], values, Schema((Column("a"),))))


@pytest.mark.parametrize("kind", ["real", "category"])
def test_the_columns_that_differ_are_chosen_and_named(kind):
    schema, data = mixed(43, 2000)
    samples = mixed(43, 2000, seed=2)[1]
    index = 40 if kind == "real" else 1
    samples[:, index] = samples[:, index] + 1 if kind == "real" else np.minimum(samples[:, index], 1)
    selection = telling(samples, data, schema, 8)
    assert selection.differing == (index,)
    assert index in selection.positions
    assert (len(selection.positions), selection.total) == (8, 43)
    name = schema.columns[index].name
    assert f"8 of 43 columns: where samples and data differ the most ({name})" in said(corner(samples, data, schema))


def test_chance_is_no_difference():
    chosen = [telling(*(np.random.default_rng([s, i]).normal(size=(500, 20)) for i in (0, 1)),
                      Schema(tuple(Column(f"c{i}") for i in range(20))), 8).differing for s in range(10)]  # fmt: skip
    assert sum(map(len, chosen)) <= 2


def test_columns_that_depend_on_each_other_are_chosen():
    random = np.random.default_rng(0)
    data = random.normal(size=(3000, 20))
    data[:, 17] = np.sin(3 * data[:, 4]) + 0.1 * random.normal(size=3000)
    schema = Schema(tuple(Column(f"c{i}") for i in range(20)))
    assert telling_pair(data, schema, list(range(20))) == (4, 17)
    assert {4, 17} <= set(telling(data, None, schema, 8).positions)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_dependence_of_normals_is_nearly_their_correlation(correlation):
    pair = np.random.default_rng(0).multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 5000)
    assert dependence(pair, REAL)[0, 1] == pytest.approx(correlation, abs=0.06)


def test_constants_are_no_columns_to_look_at():
    schema = Schema((Column("c", "constant", value=1.0), Column("a"), Column("b")))
    assert telling(np.ones((10, 3)), None, schema, 8).positions == (1, 2)
    assert "2 of 3 columns; the others always are the same." in said(corner(np.ones((10, 3)), None, schema))
    assert telling(np.ones((10, 1)), None, Schema(schema.columns[:1]), 8).positions == (0,)


def test_columns_by_hand_keep_their_order():
    schema, data = mixed(12, 200)
    figure = corner(data, data, schema, columns=["unix time", "x"])
    lefts = [panel_of(figure, name).get_position().x0 for name in ("unix time", "x")]
    assert lefts[0] < lefts[1]
    assert len(figure.axes) == 3


def test_every_column_has_a_marginal():
    schema, data = mixed(43, 100)
    assert len(marginals(data, data, schema).axes) == 43


# --- training ---------------------------------------------------------------------------------------------------------


def summary(held_out, best):
    history = [
        {"step": 10 * i, "epoch": float(i), "train_nats": None if i == 0 else nats + 0.1, "held_out_nats": nats}
        for i, nats in enumerate(held_out)
    ]
    return {"history": history, "best_step": 10 * best}


def dots(figure):
    return [line for line in figure.axes[0].lines if line.get_marker() == "o"]


def test_the_kept_step_is_marked():
    figure = training_curve(summary([-3, -2, -1.5, -1.8], 2))
    assert_readable(figure)
    (dot,) = dots(figure)
    assert dot.get_xdata()[0] == pytest.approx(2 / 3)
    held_out = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    assert dot.get_ydata()[0] == max(held_out[0].get_ydata())
    assert "Held-out best -1.5 nats a row, at epoch 2." in said(figure)


def test_each_flow_of_an_ensemble_has_its_curve():
    figure = training_curve(*(summary([-3, -2 - 0.1 * k], 1) for k in range(6)), model="m.flow")
    assert_readable(figure)
    assert len(dots(figure)) == 6
    assert "Flow 4 -2.3 nats a row, at epoch 1. and 2 more flows." in said(figure)


def test_a_bad_beginning_leaves_room_for_the_rest():
    figure = training_curve(summary([-1e9, -3, -2, -1.5, -1.4, -1.35], 5))
    assert_readable(figure)
    assert "The beginning lies below, down to -1e9." in said(figure)
    assert all(float(text.get_text()) > -10 for text in figure.axes[0].get_yticklabels())


def test_a_fit_of_one_evaluation_is_a_point():
    assert_readable(training_curve(summary([-2.0], 0)))


@pytest.mark.parametrize("summaries", [[{}], [{"history": []}], []])
def test_no_history_is_said(summaries):
    with pytest.raises(UsageError, match="no training history"):
        training_curve(*summaries)


# --- calibration ------------------------------------------------------------------------------------------------------


def test_columns_out_of_the_band_are_named():
    schema, data = mixed(12, 2000)
    samples = mixed(12, 4000, seed=1)[1]
    assert "All columns lie within the band." in said(calibration(data, samples, schema))
    samples[:, 0] += 0.5
    figure = calibration(data, samples, schema)
    assert_readable(figure)
    assert "1 of 11 columns beyond what chance makes: x." in said(figure)
    line = max(figure.axes[0].lines, key=lambda each: np.ptp(each.get_ydata()))
    # Draws lie too high, so too many rows lie below each quantile.
    assert line.get_ydata().max() > 0.9
    assert line.get_ydata().min() > 0.4


def test_shares_of_missing_cells_are_compared():
    schema = Schema((Column("a", missing=True), Column("b")))
    random = np.random.default_rng(0)
    data, samples = random.normal(size=(1000, 2)), random.normal(size=(5000, 2))
    data[:300, 0], samples[:500, 0] = np.nan, np.nan
    axes = calibration(data, samples, schema).axes[1]
    bar, dot = axes.lines
    assert dot.get_color() == DATA
    largest = 0.3 * 1.05
    assert dot.get_xdata()[0] * largest == pytest.approx(0.3)
    assert bar.get_xdata().mean() * largest == pytest.approx(0.1)


def test_own_draws_of_each_row():
    schema = Schema((Column("g", given=True), Column("x")))
    random = np.random.default_rng(0)
    given = 10 * random.normal(size=400)
    data = np.column_stack([given, given + random.normal(size=400)])
    own = np.stack([np.repeat(given[:, None], 49, axis=1), given[:, None] + random.normal(size=(400, 49))], axis=2)
    assert "The column lies within the band." in said(calibration(data, own, schema))
    assert "beyond what chance makes: x" in said(calibration(data, own[::-1], schema))
    with pytest.raises(UsageError, match="column that varies"):
        calibration(data, own, schema, columns=["g"])


# --- density and latents ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skewed():
    """A density of two columns, of which one is drawn on a logarithm, and data of it."""
    random = np.random.default_rng(0)
    data = np.column_stack([np.exp(1.5 * random.normal(size=600)), np.round(4 * random.normal(3, 0.5, 600)) / 4])
    return fitted(table(data, [Column("p", "positive"), Column("q", step=0.25)])), data


def test_areas_of_a_map_are_probabilities(skewed):
    from flowcli.evaluation.plots.density_map import _log_density
    from flowcli.evaluation.plots.scale import Scale

    density, data = skewed
    scales = [Scale.of(column, data[:, i]) for i, column in enumerate(density.schema.columns)]
    assert [scale.log for scale in scales] == [True, False]
    middles = (np.arange(60) + 0.5) / 60
    at = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    assert np.exp(_log_density(density, [0, 1], scales, at, 0)).mean() == pytest.approx(0.98, abs=0.03)


def test_a_map_is_dark_where_the_data_are():
    random = np.random.default_rng(0)
    data = np.column_stack([random.choice([-3.0, 3.0], 400), np.zeros(400)]) + 0.3 * random.normal(size=(400, 2))
    figure = density_map(fitted(table(data)), data)
    assert_readable(figure)
    axes = figure.axes[0]
    image = axes.images[0].get_array()
    cells = [(int(x * GRID), int(y * GRID)) for x, y in axes.collections[0].get_offsets()]
    assert np.mean([image[y, x] for x, y in cells]) > np.mean([image[x, y] for x, y in cells]) + 1


def test_a_curve_of_one_column():
    data = rows(300, 1)
    density = fitted(table(data))
    figure = density_map(density, data)
    assert_readable(figure)
    (curve,) = figure.axes[0].lines
    assert np.mean(curve.get_ydata()) == pytest.approx(1.0, abs=0.03)
    assert_readable(density_map(density, None))


def test_no_map_of_other_columns():
    data = rows(100, 3)
    with pytest.raises(UsageError, match="this is one of 3 columns"):
        density_map(fitted(table(data)), data)
    given = fitted(table(data[:, :2], [Column("g", given=True), Column("y")]))
    with pytest.raises(UsageError, match="1 of them continuous and not given"):
        density_map(given, data[:, :2])


def test_latents_that_are_not_normal_are_named():
    density = fitted(table(rows(300, 3)))
    own = density.sample(2000, seed=5)
    figure = latents(density, own)
    assert_readable(figure)
    assert "All 3 latents: no farther than chance." in said(figure)
    own[:, 0] *= 1.5
    figure = latents(density, own)
    assert_readable(figure)
    assert "Farther from the base than chance makes it: z1" in said(figure)


def test_dependence_that_a_flow_has_left_shows_in_distances():
    density = fitted(table(rows(300, 2)))
    own = density.sample(2000, seed=5)
    broken = np.column_stack([own[:, 0], np.sort(own[:, 1])[np.argsort(np.argsort(own[:, 0]))]])

    def gap(data):
        base, found = (patch.get_data().values for patch in latents(density, data).axes[1].patches)
        return np.abs(base - found).sum() / base.sum()

    assert gap(broken) > 2 * gap(own)


def test_each_flow_of_an_ensemble_has_its_latents():
    members = [fitted(table(rows(200, 2)), seed=seed) for seed in range(2)]
    figure = latents(Ensemble(members, np.array([0.3, 0.7])), rows(50, 2))
    assert_readable(figure)
    assert [text for text in texts(figure) if text.startswith("flow")] == [
        "flow 2, weight 0.7: one by one",
        "flow 1, weight 0.3: one by one",
    ]
