"""Masked networks: agreement with zuko, and the stepper against the network itself."""

from __future__ import annotations

import pytest
import torch
import zuko

from flowcli.flows import Context
from flowcli.flows.networks import MaskedNetwork, Stepper
from tests.flows.cases import NETS, masked, shaken


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


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("columns", "context"), [(1, 0), (1, 3), (2, 0), (7, 0), (7, 3), (60, 0)])
def test_stepper_gives_what_the_network_gives(net: str, columns: int, context: int) -> None:
    network = shaken(masked(columns, 4, net, context))
    x = torch.randn(11, columns, dtype=torch.float64)
    given = Context(given=torch.randn(11, context, dtype=torch.float64) if context else None)
    stepper = Stepper(network, 11, given)
    # What lies ahead must not be read: it is not known yet when sampling.
    known = torch.full((columns, 11), float("nan"), dtype=torch.float64)
    whole = network(x, given)
    for i in range(columns):
        torch.testing.assert_close(stepper.parameters(i, known), whole[:, :, i], rtol=1e-12, atol=1e-12)
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
    one, two = (network(x, Context(given=torch.full((1, 2), value, dtype=torch.float64))) for value in (0.0, 1.0))
    assert (one[:, 0, 0] != two[:, 0, 0]).all()


def test_dropout_acts_only_while_training() -> None:
    network = shaken(masked(5, 2, "residual", 0))
    x = torch.randn(8, 5, dtype=torch.float64)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))
