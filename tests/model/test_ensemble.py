"""Several flows as one density: a mixture, in scores, in draws and in files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowcli import model as models
from flowcli.errors import ModelFileError, UsageError
from flowcli.model import Ensemble
from flowcli.model.files import container
from flowcli.model.flow_density import require_flow
from flowcli.table.schema import Column
from tests.fits import fitted, rows, table

COLUMNS = [Column("x"), Column("n", step=0.5)]
WEIGHTS = np.array([0.2, 0.5, 0.3])


def values(count=200, seed=0):
    cloud = rows(count, 2, seed)
    return np.column_stack([cloud[:, 0], np.round(2 * cloud[:, 1]) / 2])


@pytest.fixture(scope="module")
def members():
    return [fitted(table(values(), COLUMNS), seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def ensemble(members):
    return Ensemble(members, WEIGHTS, {"rows": 1})


@pytest.fixture
def path(ensemble, tmp_path):
    models.save(ensemble, tmp_path / "m.flow")
    return tmp_path / "m.flow"


@pytest.mark.parametrize("double", [False, True])
def test_its_density_is_the_weighted_sum(ensemble, members, double):
    new = values(50, 3)
    whole = sum(w * np.exp(each.log_prob(new, double=double)) for w, each in zip(WEIGHTS, members, strict=True))
    np.testing.assert_allclose(np.exp(ensemble.log_prob(new, double=double)), whole, rtol=1e-12)


def test_errors_are_those_of_flows_that_share_their_points(ensemble, members):
    """A weighted mean of relative errors: with all weight on one flow, that flow's."""
    new = values(50, 3)
    for index, member in enumerate(members):
        almost = np.full(3, 1e-12)
        almost[index] = 1 - 2e-12
        error = Ensemble(members, almost).scores(new).error
        np.testing.assert_allclose(error, member.scores(new).error, rtol=1e-6)
    errors = np.stack([member.scores(new).error for member in members])
    assert (ensemble.scores(new).error <= errors.max(axis=0) * (1 + 1e-9)).all()


def test_where_every_flow_says_that_cannot_be_so_does_the_ensemble():
    bounded = [Column("x", "bounded", lower=0.0, upper=1.0)]
    inside = np.random.default_rng(0).random((200, 1))
    flows = [fitted(table(inside, bounded), seed=seed) for seed in range(2)]
    both = Ensemble(flows, np.array([0.5, 0.5])).scores(np.array([[0.5], [2.0]]))
    assert np.isfinite(both.log_prob[0])
    assert both.log_prob[1] == -np.inf
    assert not np.isnan(both.error).any()


def test_rows_come_from_flows_by_weight():
    """Two flows that lie far apart: the shares of drawn rows are the weights, within four standard errors."""
    left = fitted(table(rows(200, 2) - 100))
    right = fitted(table(rows(200, 2) + 100))
    drawn = Ensemble([left, right], np.array([0.3, 0.7])).sample(10_000, seed=1)
    assert abs((drawn[:, 0] > 0).mean() - 0.7) < 4 * np.sqrt(0.21 / 10_000)


def test_fewer_rows_are_a_beginning_of_more(ensemble):
    many = ensemble.sample(5000, seed=4)
    assert np.array_equal(ensemble.sample(2500, seed=4), many[:2500])
    assert not np.array_equal(ensemble.sample(2500, seed=5), many[:2500])


def test_several_processes_give_the_same_numbers(ensemble):
    new = values(6000, 3)
    with ensemble.pool(2) as pool:
        scores = ensemble.pooled_log_prob(new, pool)
        drawn = np.concatenate(list(ensemble.pooled_sample(9000, pool, seed=2)))
    assert np.array_equal(scores, ensemble.log_prob(new))
    assert np.array_equal(drawn, ensemble.sample(9000, seed=2))


def test_each_row_is_drawn_for_what_it_is_given():
    """The second column is the first but for little noise, so a mix-up of rows would show."""
    x = np.random.default_rng(0).uniform(-5, 5, 400)
    both = np.column_stack([x, x + 0.01 * np.random.default_rng(1).normal(size=400)])
    columns = [Column("x", given=True), Column("y")]
    flows = [fitted(table(both, columns), "auto", ["train.epochs=60"], seed=seed) for seed in range(2)]
    known = np.column_stack([np.linspace(-4, 4, 3000), np.full(3000, np.nan)])
    drawn = Ensemble(flows, np.array([0.5, 0.5])).sample(3000, seed=0, given=known)
    assert np.abs(drawn[:, 1] - known[:, 0]).max() < 1.0


def test_it_has_no_terms(ensemble):
    with pytest.raises(UsageError, match="ensemble"):
        require_flow(ensemble)


def test_what_was_saved_comes_back_to_the_bit(ensemble, path):
    again = models.load(path)
    assert isinstance(again, Ensemble)
    assert np.array_equal(again.log_prob(values()), ensemble.log_prob(values()))
    assert np.array_equal(again.sample(3000, seed=1), ensemble.sample(3000, seed=1))
    assert (again.summary, again.schema, again.parameters) == (ensemble.summary, ensemble.schema, ensemble.parameters)
    assert [member.summary for member in again.members] == [member.summary for member in ensemble.members]


def _more_weight(document, tensors):
    document["weights"][0] += 0.1


def _a_negative_weight(document, tensors):
    document["weights"][:2] = [-0.2, 0.9]


def _too_few_weights(document, tensors):
    document["weights"].pop()


def _no_members(document, tensors):
    document.update(weights=[], members=[])


def _a_member_less(document, tensors):
    document["members"].pop()
    document["weights"] = [0.5, 0.5]


def _other_columns(document, tensors):
    document["members"][1]["columns"][0]["name"] = "z"


def _a_tensor_more(document, tensors):
    tensors["0.flow.odd"] = torch.zeros(1)


def _a_tensor_of_nobody(document, tensors):
    tensors["odd"] = torch.zeros(1)


def _a_tensor_less(document, tensors):
    del tensors["2.coordinates.scale"]


@pytest.mark.parametrize(
    "edit",
    [
        _more_weight,
        _a_negative_weight,
        _too_few_weights,
        _no_members,
        _a_member_less,
        _other_columns,
        _a_tensor_more,
        _a_tensor_of_nobody,
        _a_tensor_less,
    ],
)
def test_a_file_that_contradicts_itself_is_refused(path, edit):
    document, tensors = container.read(path, "flowcli")
    edit(document, tensors)
    container.write(path, "flowcli", document, tensors)
    with pytest.raises(ModelFileError, match=r"m\.flow"):
        models.load(path)
