"""Masked networks: agreement with zuko, and the stepper against the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
import zuko
from torch import nn

from flowcli.flows import Context
from flowcli.flows.conditioners import MaskedNetwork, SparseNetwork
from flowcli.flows.conditioners.mutual_information import mutual_information
from tests.flows.cases import NETS, masked, shaken, sparse


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_plain_network_agrees_with_zuko_on_shared_weights(columns: int) -> None:
    width, planes = 5 * (columns - 1), 3
    ours = MaskedNetwork(columns, planes, (width, width), residual=False, activation="relu", dropout=0.0)
    ours = shaken(ours)
    # zuko orders outputs column by column, and hidden units round robin by what they see.
    adjacency = torch.tril(torch.ones(columns, columns, dtype=torch.bool), -1).repeat_interleave(planes, 0)
    theirs = zuko.nn.MaskedMLP(adjacency, (width, width)).double()
    layers = [layer for layer in theirs if hasattr(layer, "mask")]
    order = layers[0].mask.sum(1).argsort(stable=True)
    out = torch.arange(columns * planes).view(columns, planes).t().flatten()
    with torch.no_grad():
        for layer, twin, rows, inputs in [
            (layers[0], ours.first, order, torch.arange(columns)),
            (layers[1], ours.trunk.layers[0], order, order),
            (layers[2], ours.last, out, order),
        ]:
            assert torch.equal(layer.mask[rows][:, inputs], twin.mask)
            layer.weight[rows[:, None], inputs] = twin.weight
            layer.bias[rows] = twin.bias
    x = torch.randn(50, columns, dtype=torch.float64)
    expected = theirs(x).view(50, columns, planes).permute(2, 0, 1)
    torch.testing.assert_close(ours(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [masked, sparse])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("columns", "context"), [(1, 0), (1, 3), (2, 0), (7, 0), (7, 3), (60, 0)])
def test_steps_give_what_the_network_gives(make, net: str, columns: int, context: int) -> None:
    network = shaken(make(columns, 4, net, context))
    x = torch.randn(11, columns, dtype=torch.float64)
    given = Context(features=torch.randn(11, context, dtype=torch.float64) if context else None)
    steps = network.column_by_column(11, given)
    # What lies ahead must not be read: it is not known yet when sampling.
    known = torch.full((columns, 11), float("nan"), dtype=torch.float64)
    whole = network(x, given)
    for i in range(columns):
        torch.testing.assert_close(steps.parameters(i, known), whole[:, :, i], rtol=1e-12, atol=1e-12)
        known[i] = x[:, i]


@pytest.mark.parametrize("net", NETS)
def test_wide_tables_work(net: str) -> None:
    network = shaken(masked(500, 2, net, 0))
    theta = network(torch.randn(3, 500, dtype=torch.float64))
    assert theta.shape == (2, 3, 500)
    assert theta.isfinite().all()


def test_first_column_sees_the_context() -> None:
    network = shaken(masked(4, 2, "residual", 2))
    x = torch.zeros(1, 4, dtype=torch.float64)
    one, two = (network(x, Context(features=torch.full((1, 2), value, dtype=torch.float64))) for value in (0.0, 1.0))
    assert (one[:, 0, 0] != two[:, 0, 0]).all()


def test_dropout_acts_only_while_training() -> None:
    network = shaken(masked(5, 2, "residual", 0))
    x = torch.randn(8, 5, dtype=torch.float64)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("columns", "context"), [(1, 0), (1, 2), (6, 0), (6, 2)])
def test_a_sparse_network_is_a_small_one_for_each_column(
    columns: int, context: int, residual: bool, activation: str
) -> None:
    network = SparseNetwork(
        columns, 4, 2, (5, 5), residual=residual, activation=activation, dropout=0.0, context=context
    )
    x = torch.randn(9, columns, dtype=torch.float64)
    network.select_parents(x)
    network = shaken(network)
    half = torch.randn(9, context, dtype=torch.float64) if context else None
    probe = torch.randn(4, 9, columns, dtype=torch.float64)
    act = {"relu": torch.relu, "silu": nn.functional.silu, "tanh": torch.tanh}[activation]

    def by_column(x: torch.Tensor, half: torch.Tensor | None) -> torch.Tensor:
        out = []
        layers = [network.first, *network.trunk["layers"], network.last]
        for i in range(columns):
            weights = [layer.weight.view(columns, -1, layer.weight.shape[1])[i] for layer in layers]
            biases = [layer.bias.view(columns, -1)[i] for layer in layers]
            parents = network.first.parents[i, : min(i, 2)]
            assert (parents < i).all()
            value = nn.functional.linear(x[:, parents], weights[0][:, : len(parents)], biases[0])
            if half is not None:
                value = value + half @ network.context.weight.view(columns, 5, -1)[i].t()
            stream = value
            for number in range(1, len(layers)):
                value = nn.functional.linear(act(value), weights[number], biases[number])
                if residual and number % 2 == 0 and number < len(layers) - 1:
                    value = stream = value + stream
            out.append(value.t())
        return torch.stack(out, 2)

    found = []
    for forward in (lambda a, b: network(a, Context(features=b)), by_column):
        inputs = [t.clone().requires_grad_() for t in (x, half) if t is not None]
        out = forward(*inputs, *[None] * (2 - len(inputs)))
        wanted = [*inputs, *(p for p in network.parameters() if p.requires_grad)]
        gradients = torch.autograd.grad((out * probe).sum(), wanted, allow_unused=True)
        found.append([out, *(torch.zeros_like(w) if g is None else g for g, w in zip(gradients, wanted, strict=True))])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_parents_are_the_columns_that_say_most() -> None:
    """A chain in a random order: each column's neighbours come first, bent as their relation is."""
    random = torch.Generator().manual_seed(0)
    chain = [torch.randn(4000, generator=random)]
    for _ in range(11):
        chain.append(torch.cos(2 * chain[-1]) + 0.2 * torch.randn(4000, generator=random))
    order = torch.randperm(12, generator=random)
    network = SparseNetwork(12, 2, 2, (4,), residual=False, activation="silu", dropout=0.0)
    network.select_parents(torch.stack(chain, 1)[:, order])
    for column in range(12):
        links = [before for before in range(column) if abs(int(order[before] - order[column])) == 1]
        assert set(links) <= set(network.first.parents[column].tolist())


def binned_normal_information(correlation: float, bins: int = 8) -> float:
    """The mutual information of two normals of which only the octile is known, by quadrature of their density."""
    edges = scipy.stats.norm.ppf(np.linspace(0, 1, bins + 1)).clip(-8, 8)
    cdf = np.array(
        [
            [scipy.stats.multivariate_normal.cdf([a, b], cov=[[1, correlation], [correlation, 1]]) for b in edges]
            for a in edges
        ]
    )
    joint = np.diff(np.diff(cdf, axis=0), axis=1)
    return float((joint * np.log(joint * bins**2)).sum())


def test_mutual_information_is_that_of_normals_and_of_nothing() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 3, generator=random)
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    x[::3, 2] = torch.nan
    found = mutual_information(x)
    assert found[0, 1].item() == pytest.approx(binned_normal_information(0.8), abs=0.01)
    assert found[0, 2] < 2e-3
    assert torch.equal(found, found.t())
    # A column that is not there beside another tells nothing of it.
    x[:, 0] = torch.where(torch.arange(20_000) < 10_000, x[:, 1], torch.nan)
    x[:, 2] = torch.where(torch.arange(20_000) < 10_000, torch.nan, x[:, 1])
    assert mutual_information(x)[0, 2] == 0
    assert mutual_information(x)[0, 1] > 1
