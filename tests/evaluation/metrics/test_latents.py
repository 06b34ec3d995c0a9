"""Latents are scored by the base they have: right rows of a model look normal, and wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from flowcli.errors import UsageError
from flowcli.evaluation.metrics.latents import latent_scores
from flowcli.table import Column, from_frame
from tests.fits import fitted, rows, table
from tests.model.test_tables import frame

BASES = {
    "normal": ("nsf", ()),
    "student_t": ("nsf", ("flow.base=student_t",)),
    "mixture": ("mixture", ()),
    "autoregressive_mixture": ("maf-mixture", ()),
}


@pytest.mark.parametrize("base", BASES)
def test_rows_of_the_model_itself_have_normal_scores(base):
    name, changes = BASES[base]
    density = fitted(table(rows(300, 2)), name, changes)
    own = density.sample(2000, seed=3)
    scores = latent_scores(density, own, 0)
    for each in (*scores.rows.T, *scores.base.T):
        assert np.isfinite(each).all()
        assert kstest(each[:2000], "norm").pvalue > 1e-3  # of more, one would see that the reference is 20,000 draws
    moved = latent_scores(density, own + 0.5, 0)
    assert min(kstest(each, "norm").pvalue for each in moved.rows.T) < 1e-6


def test_missing_cells_have_no_score_and_rounded_numbers_are_spread():
    cells = frame(600)[["kind", "x"]]
    data = from_frame(cells, notice=lambda _: None)
    density = fitted(data, "mixture")
    own = density.sample(1000, seed=1)
    scores = latent_scores(density, own, 0).rows
    np.testing.assert_array_equal(np.isnan(scores[:, 0]), np.isnan(own[:, 1]))
    present = scores[~np.isnan(scores)]
    assert kstest(present, "norm").pvalue > 1e-3

    rounded = fitted(table(np.round(rows(400, 1) * 2) / 2, [Column("x", step=0.5)]))
    scores = latent_scores(rounded, rounded.sample(2000, seed=1), 0).rows
    assert len(np.unique(scores)) > 1900
    assert kstest(scores[:, 0], "norm").pvalue > 1e-3


def test_what_the_base_depends_on_is_that_of_the_rows():
    """Where the mixture's means move with what is given, pooled draws of other rows would hide a wrong model."""
    random = np.random.default_rng(0)
    given = random.choice([-3.0, 3.0], 500)
    values = np.column_stack([given, given + 0.3 * random.normal(size=500)])
    density = fitted(table(values, [Column("g", given=True), Column("y")]), "mixture")
    swapped = np.column_stack([values[:, 0], values[::-1, 1]])
    right, wrong = (latent_scores(density, v, 0).rows[:, 0] for v in (values, swapped))
    assert abs(right.std() - 1) < 0.15
    assert wrong.std() > 1.4


def test_what_has_no_latents_is_said():
    codes = fitted(
        table(
            np.random.default_rng(0).integers(0, 2, (200, 1)).astype(float),
            [Column("k", "discrete", values=(0.0, 1.0))],
        ),
        "auto",
    )
    with pytest.raises(UsageError, match="no latents"):
        latent_scores(codes, np.zeros((3, 1)), 0)
    density = fitted(table(rows(100, 1)))
    with pytest.raises(UsageError, match="need rows"):
        latent_scores(density, np.empty((0, 1)), 0)
