"""Missing cells of drawn rows, filled: against the density of rows in which nothing is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import flowcli

ROWS = 3000


def frame() -> pd.DataFrame:
    """y, an angle and a category hang on x, and are the more often missing the larger it is."""
    random = np.random.default_rng(0)
    x = random.normal(size=ROWS)
    y = np.where(random.random(ROWS) < 0.5, x, -x) + 0.1 * random.normal(size=ROWS)
    wind = np.degrees(random.vonmises(x, 6.0)) % 360
    kind = np.where(random.random(ROWS) < stats.norm.cdf(2 * x), "a", "b")
    whole = pd.DataFrame({"x": x, "y": y, "wind": wind, "kind": kind})
    for name in ("y", "wind", "kind"):
        whole[name] = whole[name].where(random.random(ROWS) > 0.4 * stats.norm.cdf(2 * x))
    return whole


@pytest.fixture(scope="module")
def model() -> flowcli.Model:
    overrides = ["train.epochs=12", "train.batch_size=64"]
    return flowcli.fit(frame(), kinds={"wind": "circular:360", "x": "real", "y": "real"}, overrides=overrides)


@pytest.fixture(scope="module")
def drawn(model: flowcli.Model) -> tuple[pd.DataFrame, pd.DataFrame]:
    return model.sample(ROWS, seed=3), model.sample(ROWS, seed=3, complete=True)


def test_what_was_there_stays_and_all_else_is_filled(drawn: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    plain, filled = drawn
    assert plain.isna().any(axis=1).mean() > 0.3
    assert not filled.isna().any(axis=None)
    for name in plain:
        observed = plain[name].notna()
        assert (plain[name][observed] == filled[name][observed]).all()


@pytest.mark.parametrize(("name", "axis"), [("y", np.linspace(-6, 6, 481)), ("wind", np.arange(0, 360, 0.75))])
def test_filled_numbers_follow_their_density_given_the_rest(
    model: flowcli.Model, drawn: tuple[pd.DataFrame, pd.DataFrame], name: str, axis: np.ndarray
) -> None:
    plain, filled = drawn
    chosen = filled[plain[name].isna()].head(400)
    grid = chosen.loc[chosen.index.repeat(len(axis))].assign(**{name: np.tile(axis, len(chosen))})
    density = np.exp(model.log_prob(grid).reshape(len(chosen), len(axis)))
    below = np.cumsum(density, axis=1) / density.sum(axis=1, keepdims=True)
    share = [np.interp(x, axis, row) for x, row in zip(chosen[name], below, strict=True)]
    assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_filled_texts_follow_their_probability_given_the_rest(
    model: flowcli.Model, drawn: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    plain, filled = drawn
    chosen = filled[plain["kind"].isna()]
    a, b = (np.exp(model.log_prob(chosen.assign(kind=kind))) for kind in "ab")
    expected = a / (a + b)
    error = np.sqrt((expected * (1 - expected)).mean() / len(chosen))
    assert abs((chosen["kind"] == "a").mean() - expected.mean()) < 4 * error


def test_the_same_seed_and_fewer_rows_give_a_beginning(
    model: flowcli.Model, drawn: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    fewer = model.sample(700, seed=3, complete=True)
    pd.testing.assert_frame_equal(fewer, drawn[1].head(700))
