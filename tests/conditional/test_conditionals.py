"""Marginals, draws and single columns' shares of a joint density, against answers that are known exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from flowcli import table as tables
from flowcli import training
from flowcli.conditional.by_column import by_column
from flowcli.conditional.conditionals import Conditionals
from flowcli.conditional.importance import Randomness
from flowcli.conditional.sampling import Sampler, SampleRequest
from flowcli.config import load as config
from flowcli.errors import NumericsError, UsageError
from flowcli.model import Density, Ensemble, FlowDensity
from flowcli.table.schema import Column
from tests.fits import fitted, last, prepared, rows, run, table

DATA = Path(__file__).parents[2] / "sample_data"


class Exact:
    """A random mixture of Gaussians, as a density and as formulas."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.columns, count = int(random.integers(2, 6)), int(random.integers(1, 4))
        self.weights = random.dirichlet(np.full(count, 3.0))
        self.means = random.normal(0, 1.5, (count, self.columns))
        roots = random.normal(0, 0.6, (count, self.columns, self.columns)) + 0.5 * np.eye(self.columns)
        self.covariances = roots @ roots.swapaxes(1, 2) + 0.05 * np.eye(self.columns)
        fitting = prepared(table(rows(60, self.columns)), "mixture", [f"flow.base.mixture.components={count}"])
        self.density = last(fitting)
        coordinates = self.density.coordinates
        center, scale = coordinates.center.numpy(), coordinates.scale.numpy()
        assert coordinates.tails is None
        assert coordinates.marginal is None
        coordinates.limits = None  # those of other rows: draws beyond them would be drawn anew
        factors = np.stack([np.linalg.inv(np.linalg.cholesky(c / np.outer(scale, scale))) for c in self.covariances])
        parts = (self.weights, (self.means - center) / scale, factors)
        self.density.joint.flow.base.gaussians.set(*(torch.from_numpy(part).float() for part in parts))

    def log_joint(self, values: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Log-density of some columns (B, S) together with each component, (K, B)."""
        laws = [
            stats.multivariate_normal(mean[some], covariance[np.ix_(some, some)])
            for mean, covariance in zip(self.means, self.covariances, strict=True)
        ]
        logs = [np.atleast_1d(law.logpdf(values[:, some])) for law in laws]
        return np.log(self.weights)[:, None] + np.stack(logs)


_PREPARED: dict[int, Conditionals] = {}
_ALIVE: list[Density] = []


def conditionals(density: Density) -> Conditionals:
    """The conditionals of a density, prepared once."""
    if id(density) not in _PREPARED:
        _ALIVE.append(density)
        _PREPARED[id(density)] = Conditionals(density)
    return _PREPARED[id(density)]


@cache
def exact(seed: int) -> Exact:
    return Exact(seed)


CASES = list(itertools.product(range(10), range(10)))


def test_marginals_and_conditionals_are_within_three_of_their_errors() -> None:
    inside = {"marginal": 0, "conditional": 0}
    for model, case in CASES:
        known = exact(model)
        random = np.random.default_rng([model, case])
        values = known.density.sample(10, seed=case)[case : case + 1]
        some = np.sort(random.permutation(known.columns)[: random.integers(1, known.columns)])
        everything = np.arange(known.columns)
        mask = np.isin(everything, some)
        result = conditionals(known.density).marginal(values, mask, Randomness(case))
        truth = logsumexp(known.log_joint(values, some), axis=0)
        whole = logsumexp(known.log_joint(values, everything), axis=0)
        residuals = known.density.log_prob(values) - result.log_prob
        assert result.error[0] <= 0.05
        inside["marginal"] += abs(result.log_prob[0] - truth[0]) <= 3 * result.error[0] + 1e-6
        inside["conditional"] += abs(residuals[0] - (whole - truth)[0]) <= 3 * result.error[0] + 1e-6
    assert min(inside.values()) >= 95, inside


@pytest.mark.parametrize("model", range(5))
def test_draws_given_some_columns_follow_their_conditional(model: int) -> None:
    known = exact(model)
    values = np.repeat(known.density.sample(1, seed=7), 500, axis=0)
    given, asked = np.array([0]), known.columns - 1
    mask = np.zeros(values.shape, dtype=np.bool_)
    mask[:, given] = True
    drawn = conditionals(known.density).draw(values, mask, Randomness(model)).reliable()
    assert (drawn[:, 0] == values[:, 0]).all()
    shares = np.exp(known.log_joint(values[:1], given) - logsumexp(known.log_joint(values[:1], given)))[:, 0]
    cumulative = np.zeros(len(values))
    for share, mean, covariance in zip(shares, known.means, known.covariances, strict=True):
        slope = covariance[asked, 0] / covariance[0, 0]
        law = stats.norm(
            mean[asked] + slope * (values[0, 0] - mean[0]),
            np.sqrt(covariance[asked, asked] - slope * covariance[asked, 0]),
        )
        cumulative += share * law.cdf(drawn[:, asked])
    assert stats.kstest(cumulative, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("noise", [3e-3, 1e-3, 3e-4])
def test_columns_that_nearly_are_one_have_the_right_marginals(noise: float) -> None:
    """If what is drawn were wider than its weight says, marginals would be too low, by far more than their error."""
    density = last(prepared(table(rows(60, 6)), "mixture", ["flow.base.mixture.components=1"]))
    density.coordinates.limits = None
    factor = np.linalg.inv(np.linalg.cholesky(np.ones((6, 6)) + noise**2 * np.eye(6)))
    density.joint.flow.base.gaussians.set(torch.ones(1), torch.zeros(1, 6), torch.from_numpy(factor)[None].float())
    density.joint.double()
    values = density.sample(20, seed=1)
    result = conditionals(density).marginal(values, np.arange(6) == 2, Randomness(0), error=0.02)
    scale, center = density.coordinates.scale[2].item(), density.coordinates.center[2].item()
    truth = stats.norm(center, scale * np.sqrt(1 + noise**2)).logpdf(values[:, 2])
    assert (np.abs(result.log_prob - truth) < 4 * result.error + 1e-3).mean() >= 0.9
    assert abs((result.log_prob - truth).mean()) < 0.02


@cache
def penguins() -> FlowDensity:
    read = tables.read_table(str(DATA / "penguins.csv"), notice=lambda line: None)
    return last(run(training.prepare_fit(read, config("auto", ["train.epochs=15"]), notice=lambda line: None)))


def test_the_whole_mass_of_a_mixed_table_is_one() -> None:
    nothing = np.zeros(len(penguins().schema.columns), dtype=np.bool_)
    result = conditionals(penguins()).marginal(
        penguins().sample(1, seed=0), nothing, Randomness(0), error=0.02, max_candidates=16_384
    )
    assert result.error[0] < 0.03
    assert abs(result.log_prob[0]) < 4 * result.error[0]


def test_the_marginal_of_a_category_is_its_frequency_among_draws() -> None:
    names = penguins().schema.names
    drawn = penguins().sample(4000, seed=1)
    levels = np.arange(3.0)
    values = np.repeat(drawn[:1], 3, axis=0)
    values[:, names.index("species")] = levels
    result = conditionals(penguins()).marginal(
        values, conditionals(penguins()).mask(["species"]), Randomness(0), error=0.02
    )
    shares = np.exp(result.log_prob)
    counted = (drawn[:, names.index("species")][:, None] == levels).mean(axis=0)
    errors = np.hypot(shares * result.error, np.sqrt(counted * (1 - counted) / len(drawn)))
    assert (np.abs(shares - counted) < 4 * errors).all()


def test_a_number_depends_on_its_row_alone() -> None:
    values = penguins().sample(40, seed=2)
    mask = conditionals(penguins()).mask(["species", "body_mass_g"])
    whole, some = (conditionals(penguins()).marginal(rows_, mask, Randomness(3)) for rows_ in (values, values[:7]))
    np.testing.assert_allclose(whole.log_prob[:7], some.log_prob, atol=1e-6)
    missing = np.isnan(values[:, penguins().schema.names.index("body_mass_g")])
    assert np.isfinite(whole.log_prob).all()
    assert missing.sum() < 40


# --- column by column -------------------------------------------------------------------------------------------------


@cache
def one_factor() -> FlowDensity:
    """Six columns that say the same but for some noise: which of them is wrong can be known."""
    covariance = np.full((6, 6), 1.0) + 0.1 * np.eye(6)
    density = last(prepared(table(rows(60, 6)), "mixture", ["flow.base.mixture.components=1"]))
    density.coordinates.limits = None
    factor = torch.from_numpy(np.linalg.inv(np.linalg.cholesky(covariance)))[None].float()
    density.joint.flow.base.gaussians.set(torch.ones(1), torch.zeros(1, 6), factor)
    return density


@pytest.mark.parametrize("make", [penguins, one_factor])
def test_terms_add_up_and_name_the_replaced_column(make: Callable[[], FlowDensity]) -> None:
    density, count = make(), 500
    random = np.random.default_rng(0)
    values, others = density.sample(count, seed=5), density.sample(count, seed=6)
    replaced = random.integers(values.shape[1], size=count)
    values[np.arange(count), replaced] = others[np.arange(count), replaced]
    log_prob = density.log_prob(values)
    result = by_column(conditionals(density), values, log_prob, Randomness(1))
    np.testing.assert_allclose(result.terms.sum(axis=1), log_prob, atol=1e-6)
    usual = density.log_prob(density.sample(4000, seed=8))
    odd = log_prob < np.quantile(usual, 0.001)
    assert odd.sum() >= 40
    assert (result.oddest == replaced)[odd].mean() >= 0.95


def test_terms_of_independent_columns_are_their_marginals() -> None:
    fitting = prepared(table(rows(60, 3)), "mixture", ["flow.base.mixture.components=1"])
    density = last(fitting)
    density.coordinates.limits = None
    gaussians = density.joint.flow.base.gaussians
    gaussians.set(torch.ones(1), torch.zeros(1, 3), torch.eye(3)[None])
    values = density.sample(20, seed=0)
    result = by_column(conditionals(density), values, density.log_prob(values), Randomness(0))
    scale, center = density.coordinates.scale.numpy(), density.coordinates.center.numpy()
    np.testing.assert_allclose(result.terms, stats.norm(center, scale).logpdf(values), atol=0.5)
    assert np.abs(result.terms - stats.norm(center, scale).logpdf(values)).mean() < 0.1


def test_a_value_that_cannot_be_is_the_oddest_and_all_that_is_minus_infinity() -> None:
    values = penguins().sample(5, seed=0)
    position = penguins().schema.names.index("island")
    values[2, position] = -1  # a text that no row to fit had
    log_prob = penguins().log_prob(values)
    result = by_column(conditionals(penguins()), values, log_prob, Randomness(0))
    assert log_prob[2] == -np.inf
    assert result.oddest[2] == position
    assert (np.flatnonzero(result.terms[2] == -np.inf) == [position]).all()
    np.testing.assert_allclose(result.terms.sum(axis=1), log_prob, atol=1e-6)


def test_constants_have_a_term_of_their_own() -> None:
    values = np.column_stack([rows(80, 2), np.full(80, 7.0)])
    columns = [Column("a"), Column("b"), Column("c", "constant", value=7.0, step=0.5)]
    density = fitted(table(values, columns), "nsf")
    log_prob = density.log_prob(values[:6])
    result = by_column(conditionals(density), values[:6], log_prob, Randomness(0))
    assert result.terms[:, 2] == pytest.approx(np.full(6, np.log(2.0)))
    np.testing.assert_allclose(result.terms.sum(axis=1), log_prob, atol=1e-6)


# --- what a density is made of ----------------------------------------------------------------------------------------


def test_of_several_flows_it_is_their_mixture_that_is_asked() -> None:
    flows = [fitted(table(rows(200, 2, seed)), "mixture", ["flow.base.mixture.components=1"]) for seed in (0, 1)]
    ensemble = Ensemble(flows, np.array([0.3, 0.7]))
    values, mask = rows(5, 2, seed=9), np.array([True, False])
    result = conditionals(ensemble).marginal(values, mask, Randomness(0), error=0.01)
    difference = [conditionals(flow).marginal(values, mask, Randomness(0), error=0.01).log_prob for flow in flows]
    expected = np.logaddexp(difference[0] + np.log(0.3), difference[1] + np.log(0.7))
    np.testing.assert_allclose(result.log_prob, expected, atol=0.06)


def test_what_a_density_is_conditioned_on_is_known() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=600)
    values = np.column_stack([x, x + 0.3 * random.normal(size=600), random.normal(size=600)])
    columns = [Column("x", given=True), Column("y"), Column("z")]
    density = fitted(table(values, columns), "auto", ["train.epochs=20"])
    some, mask = values[:20], np.array([False, True, False])
    result = conditionals(density).marginal(some, mask, Randomness(0))
    grid = np.linspace(-6, 6, 601)
    for row, log_prob, error in zip(some[:5], result.log_prob, result.error, strict=False):
        line = np.column_stack([np.repeat(row[None, :2], 601, axis=0), grid])
        integral = logsumexp(density.log_prob(line)) + np.log(grid[1] - grid[0])
        assert log_prob == pytest.approx(integral, abs=4 * error + 1e-3)
    with pytest.raises(UsageError, match="no density of a column 'x'; it has y, z"):
        conditionals(density).mask(["x"])


def test_a_total_goes_with_its_parts() -> None:
    columns = [
        Column("a"),
        Column("b"),
        Column("sum", "discrete", values=(0.0, 1.0), step=1.0, subtracted_columns=(("a", 1.0),)),
    ]
    random = np.random.default_rng(0)
    a = np.round(random.normal(0, 20, 300))
    values = np.column_stack([a, random.normal(size=300), a + random.integers(0, 2, 300)])
    density = fitted(table(values, [columns[0], columns[1], columns[2]]), "nsf", ["flow.layers=[]"])
    with pytest.raises(UsageError, match="'sum' is modelled as the rest of it after a: add 'a'"):
        conditionals(density).mask(["sum"])
    assert conditionals(density).mask(["sum", "a"]).tolist() == [True, False, True]
    drawn = conditionals(density).draw(values[:50], np.tile([True, False, False], (50, 1)), Randomness(0)).values
    assert set(np.unique(drawn[:, 2] - drawn[:, 0])) <= {0.0, 1.0}


def test_a_marginal_of_what_cannot_be_is_zero_for_sure() -> None:
    density = penguins()
    values = density.sample(3, seed=0)
    values[1, density.schema.names.index("species")] = -1
    result = conditionals(density).marginal(values, conditionals(density).mask(["species"]), Randomness(0))
    assert (result.log_prob == -np.inf).tolist() == [False, True, False]
    assert result.error[1] == 0


def test_where_what_is_given_cannot_be_no_column_is_blamed_for_it() -> None:
    random = np.random.default_rng(0)
    values = np.column_stack([random.integers(0, 2, 300), random.normal(size=(300, 2))])
    columns = [Column("k", "category", levels=("a", "b"), given=True), Column("y"), Column("z")]
    density = fitted(table(values, columns), "auto", ["train.epochs=2"])
    some = values[:3].copy()
    some[1, 0] = -1
    log_prob = density.log_prob(some)
    result = by_column(conditionals(density), some, log_prob, Randomness(0))
    assert log_prob[1] == -np.inf
    assert result.oddest[1] == 0
    assert np.isnan(result.terms[1]).all()
    np.testing.assert_allclose(result.terms[[0, 2]].sum(axis=1), log_prob[[0, 2]], atol=1e-6)


def test_rows_that_cannot_be_drawn_are_not_outnumbered_by_those_that_nobody_asked_for() -> None:
    density = penguins()
    index = density.schema.names.index("body_mass_g")
    sampler = Sampler(density, lambda: conditionals(density))
    fixed = np.full((20, len(density.schema.columns)), np.nan)
    fixed[:, index] = np.where(np.arange(20) < 15, 4000.0, 30_000.0)
    with density.pool(1) as pool:
        with pytest.raises(NumericsError, match="5 of 20 rows cannot be drawn"):
            list(sampler.blocks(20, SampleRequest(0, fixed=fixed), pool))
        (drawn,) = sampler.blocks(10, SampleRequest(0, fixed=fixed[:10]), pool)
    assert (drawn[:, index] == 4000.0).all()


def test_what_cannot_be_drawn_is_refused() -> None:
    density = penguins()
    values = density.sample(20, seed=0)
    position = density.schema.names.index("island")
    values[:, position] = -1
    mask = np.zeros(values.shape, dtype=np.bool_)
    mask[:, position] = True
    with pytest.raises(NumericsError, match="20 of 20 rows cannot be drawn"):
        conditionals(density).draw(values, mask, Randomness(0)).reliable()
