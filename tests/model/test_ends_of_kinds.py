"""No draw of a column lies beyond an end that its kind has, or off its lattice, and each is possible for the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flowcli import table
from flowcli.table import ColumnRequest
from tests.fits import fitted

ROWS, DRAWS = 600, 20_000


def kinds_of_columns():
    """Columns that have ends, as a user has them."""
    random = np.random.default_rng(0)
    shares = random.beta(0.5, 0.5, ROWS)
    return pd.DataFrame(
        {
            "rare": random.poisson(0.3, ROWS),
            "counts": random.poisson(3.0, ROWS),
            "many": random.poisson(random.gamma(2.0, 30.0, ROWS)),
            "percent": np.clip(np.round(random.normal(85, 15, ROWS)), 0, 100),
            "share": np.where(shares < 0.05, 0.0, np.where(shares > 0.9, 1.0, shares)),
            "amount": np.round(np.exp(random.normal(1.0, 1.5, ROWS)), 2),
            "paid": np.where(random.random(ROWS) < 0.4, 0.0, np.round(random.gamma(1.0, 3.0, ROWS), 2)),
            "angle": np.round(random.vonmises(np.pi, 0.7, ROWS) * 180 / np.pi) % 360,
        }
    )


# The ends of each, and the step of its lattice where it has one.
ENDS = {
    "rare": (0, np.inf, 1.0),
    "counts": (0, np.inf, 1.0),
    "many": (0, np.inf, 1.0),
    "percent": (0, 100, 1.0),
    "share": (0, 1, None),
    "amount": (0, np.inf, 0.01),
    "paid": (0, np.inf, 0.01),
    "angle": (0, 360, 1.0),
}
SAID = {"percent": "bounded:0,100", "share": "bounded:0,1", "angle": "circular:360"}


@pytest.fixture(scope="module", params=["found", "said"])
def drawn(request):
    """The kinds that were found, or that the user said where there are ends that no count shows, with draws."""
    kinds = SAID if request.param == "said" else {}
    rows = table.from_frame(kinds_of_columns(), ColumnRequest(kinds=kinds), notice=lambda _: None)
    density = fitted(rows, changes=["train.epochs=2"])
    draws = density.sample(DRAWS, seed=5)
    return rows.schema, draws, density.log_prob(draws[::10]), kinds


@pytest.mark.parametrize("name", ENDS)
def test_no_draw_lies_beyond_an_end_or_off_the_lattice(drawn, name):
    schema, draws, _, kinds = drawn
    index = schema.names.index(name)
    column, cells = schema.columns[index], draws[:, index]
    lower, upper, step = ENDS[name]
    assert np.isfinite(cells).all()
    if name in kinds or name not in SAID or column.kind == "bounded":
        assert cells.min() >= lower, column
        assert cells.max() < upper if name == "angle" else cells.max() <= upper, column
    if step is not None:
        np.testing.assert_allclose(cells / step, np.round(cells / step), atol=1e-6)
    if name == "share":  # its edges have probabilities of their own
        train = kinds_of_columns()[name]
        for edge in (0.0, 1.0):
            assert abs((cells == edge).mean() - (train == edge).mean()) < 0.1


def test_every_draw_is_possible(drawn):
    assert np.isfinite(drawn[2]).all()
